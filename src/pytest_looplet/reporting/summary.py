"""What is said about a session's evals on the terminal, when all is done. Imported in sessions with evals only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._pretty import shorten
from looplet.evals.figures import by_case, item_value
from pytest_looplet.reporting import verdicts
from pytest_looplet.reporting.table import table_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pytest_looplet.options import Options

_CHARS = 100  # of a list of cases or evals


def summary_lines(report: dict[str, Any], options: Options, verbosity: int, width: int) -> list[str]:
    """The summary, without times and in one order: the same text whoever ran what."""
    if verbosity < 0:
        return [f"evals: {totals_line(report)}"]
    lines = table_lines(report["evals"], width, verbose=verbosity > 0)
    lines += [runs_line(report)]
    lines += verdicts.warnings(report, options)
    lines += baseline_notes(report, options, verbosity)
    lines += _not_passed(report, verbosity)
    return lines


def totals_line(report: dict[str, Any]) -> str:
    """All outcomes in one line, with what is to say of gates and the baseline."""
    gates = [row["gate"]["verdict"] for row in report["evals"] if row["gate"]]
    before = [row["baseline"]["verdict"] for row in report["evals"] if row["baseline"]]
    told = [f"{gates.count('pass')} of {len(gates)} gates met"] if gates else []
    told += [f"{before.count('worse')} of {len(before)} worse than the baseline"] if before else []
    totals = report["totals"]
    errors = "error" if totals["error"] == 1 else "errors"
    words = (("pass", "passed"), ("fail", "failed"), ("error", errors), ("skip", "skipped"))
    counted = ", ".join(f"{totals[key]} {word}" for key, word in words if totals[key])
    return "; ".join([counted or "none", *told])


def runs_line(report: dict[str, Any], shown: Callable[[str], str] = str) -> str:
    """How many runs with which models, and what they took. `shown` is how a model's name is written."""
    runs, totals = report["runs"], report["totals"]
    if not runs:
        return "no runs"
    models = ", ".join(map(shown, sorted({f"{run['backend']} {run['model']}".strip() for run in runs})))
    count = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    judges = f"; judges: {_usage(totals['judge_usage'])}" if totals["judge_usage"] else ""
    return f"{count} ({models}); {_usage(totals['usage'])}{judges}"


def _usage(usage: dict[str, Any]) -> str:
    cost = "unknown" if usage["cost"] is None else f"{usage['cost']:.4f}"
    return f"tokens {usage['input_tokens']} in, {usage['output_tokens']} out; cost {cost}"


def baseline_notes(report: dict[str, Any], options: Options, verbosity: int = 0) -> list[str]:
    """What there is to know about the comparison, once, with the evals it is about."""
    told: dict[str, list[str]] = {}
    for row in report["evals"]:
        before = row["baseline"]
        for text in _told_of(before, verbosity) if before else ():
            told.setdefault(text, []).append(verdicts.named(row, options).rpartition("::")[2])
    return [f"baseline: {text} ({shorten(', '.join(names), _CHARS)})" for text, names in told.items()]


def _told_of(before: dict[str, Any], verbosity: int) -> Iterator[str]:
    if before["verdict"] == "not compared":
        yield f"not compared, {before['why']}"
    elif before["why"] and (verbosity > 0 or before["verdict"] != "same"):
        yield before["why"]
    for key in ("new_cases", "removed_cases"):
        if before[key]:
            yield shorten(f"{key.replace('_', ' ')}: {', '.join(before[key])}", _CHARS)
    left_out: dict[str, list[str]] = {}
    for text in before.get("left_out", ()):
        what, _, why = text.rpartition(": ")
        left_out.setdefault(why, []).append(what)
    yield from (f"left out, {shorten(', '.join(names), _CHARS)}: {why}" for why, names in left_out.items())


def _not_passed(report: dict[str, Any], verbosity: int) -> list[str]:
    """Every item that failed by itself or broke. Failures that a gate counts, and cases by trials, only if verbose."""
    lines = []
    for item in report["items"]:
        if item["outcome"] == "error" or (item["outcome"] == "fail" and (item["gate"] is None or verbosity > 0)):
            lines.append(f"{item['outcome'].upper()} {item['id']}: {item['message']}")
            trace = report["runs"][item["run"]]["trace"] if item["run"] is not None else None
            lines += [f"    looplet show {trace}"] if trace else []
    return lines + (_cases(report) if verbosity > 0 else [])


def _cases(report: dict[str, Any]) -> list[str]:
    """How each case did that was tried several times and did not always pass."""
    lines = []
    for row in report["evals"]:
        for case, items in by_case(verdicts.items_of(row, report)).items():
            passed = sum(item["outcome"] == "pass" for item in items)
            if len(items) > 1 and passed < len(items):
                values = [value for item in items if (value := item_value(item)) is not None]
                mean = f"; mean {sum(values) / len(values):.3f}" if values else ""
                backend = f" [{row['backend']}]" if row["backend"] else ""
                lines.append(f"CASE {row['eval']}{backend} {case}: {passed} of {len(items)} passed{mean}")
    return lines
