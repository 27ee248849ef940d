"""Verdicts on an eval as a whole: its gate, and the comparison with a baseline. Each that fails is a failed item of its
own, so that exit status, counts and JUnit agree on it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_looplet.options import Options

_LISTED = 10


def failed_verdicts(report: dict[str, Any], options: Options) -> Iterator[pytest.TestReport]:
    """A report for each gate that is not met (or undecided, unless that only warns) and each eval that got worse."""
    for row in report["evals"]:
        if row["gate"] and row["gate"]["verdict"] in failing_verdicts(options):
            yield _failed(row, "gate", options, [gate_line(row), *_cases_below(row, report)])
        if row["baseline"] and row["baseline"]["verdict"] == "worse":
            yield _failed(row, "baseline", options, [baseline_line(row)])


def forget_earlier(report: dict[str, Any], config: pytest.Config) -> None:
    """Take the verdicts this session gives anew out of what `--lf` knows: one that passes is not reported."""
    known, options = getattr(config.pluginmanager.get_plugin("lfplugin"), "lastfailed", {}), config.stash[OPTIONS]
    verdicts = {_verdict_id(row, what, options) for row in report["evals"] for what in ("gate", "baseline")}
    files = {run["file"] for run in report["runs"]}
    for nodeid in list(known):  # a text, or an object with one, by version of pytest
        file, _, last = str(nodeid).partition("[")[0].partition("::")
        if str(nodeid) in verdicts or (last == "recording" and file in files):
            del known[nodeid]


def warnings(report: dict[str, Any], options: Options) -> Iterator[str]:
    """What is said of evals in the summary without failing."""
    for row in report["evals"]:
        gate = row["gate"]
        if gate and gate["verdict"] == "undecided" and "undecided" not in failing_verdicts(options):
            yield f"undecided: {named(row, options)}: {gate_line(row)}"


def named(row: dict[str, Any], options: Options) -> str:
    return f"{row['eval']} [{row['backend']}]" if len(options.backends) > 1 and row["backend"] else row["eval"]


def gate_line(row: dict[str, Any]) -> str:
    """One sentence, the same on the terminal, in JUnit and elsewhere."""
    bar, verdict = row["gate"]["bar"], row["gate"]["verdict"]
    mean = f"the mean {row['score']:.3f} of {_counted(row['n_cases'], 'case')}"
    if row["pass_at_k"] is None:
        return f"{mean} {'meets' if verdict == 'pass' else 'is below'} the gate {bar:g}"
    low, high = row["interval"]
    words = {
        "pass": "lies above",
        "fail": "lies below",
        "undecided": "neither lies above nor below",
    }
    sample = f"{mean} and {_counted(row['n_trials'], 'trial')}, with 95 % confidence {low:.3f} to {high:.3f},"
    more = "; more cases or trials may tell" if verdict == "undecided" else ""
    return f"{sample} {words[verdict]} the gate {bar:g}{more}"


def baseline_line(row: dict[str, Any]) -> str:
    before = row["baseline"]
    low, high = before["interval"] or (None, None)
    between = f" ({low:+.3f} to {high:+.3f})" if low is not None else ""
    why = f"; {before['why']}" if before["why"] else ""
    return (
        f"{before['verdict']} than the baseline: {before['score'] + before['delta']:.3f} after {before['score']:.3f}, "
        f"a difference of {before['delta']:+.3f}{between}, p {before['p_adjusted']:.3g}{why}"
    )


def failing_verdicts(options: Options) -> tuple[str, ...]:
    return ("fail", "undecided") if options.undecided == "fail" else ("fail",)


def _failed(row: dict[str, Any], what: str, options: Options, lines: list[str]) -> pytest.TestReport:
    nodeid = _verdict_id(row, what, options)
    file, _, name = nodeid.partition("::")
    return pytest.TestReport(
        nodeid=nodeid,
        location=(file, None, name.replace("::", ".", name.partition("[")[0].count("::"))),
        keywords={},
        outcome="failed",
        longrepr="\n".join(lines),
        when="call",
    )


def _verdict_id(row: dict[str, Any], what: str, options: Options) -> str:
    name = f"{what}-{row['backend']}" if len(options.backends) > 1 and row["backend"] else what
    return f"{row['eval']}[{name}]"


def _cases_below(row: dict[str, Any], report: dict[str, Any]) -> Iterator[str]:
    """The items that failed, as far as a reader can take them."""
    failed = [item for item in items_of(row, report) if item["outcome"] == "fail"]
    for item in failed[:_LISTED]:
        yield f"  {item['id'].rpartition('::')[2]}: {item['message']}"
        trace = report["runs"][item["run"]]["trace"] if item["run"] is not None else None
        if trace:
            yield f"    looplet show {trace}"
    if len(failed) > _LISTED:
        yield f"  and {len(failed) - _LISTED} more"


def items_of(row: dict[str, Any], report: dict[str, Any]) -> list[dict[str, Any]]:
    return [item for item in report["items"] if (item["eval"], item["backend"]) == (row["eval"], row["backend"])]


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
