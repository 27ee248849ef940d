"""What a session found: entries gathered from reports, the summary on the terminal, the exit status."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.cells import with_trial

if TYPE_CHECKING:
    from pytest_looplet.options import Options

REPORT_ATTRIBUTE = "looplet_eval"
LLM_ATTRIBUTE = "looplet_llm"


class Findings:
    """Everything the controller learnt. `entries` is by node id: of an item that is run again the last report counts,
    unless the new one is only a teardown that failed.
    """

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.announced: set[str] = set()
        self.reported: set[str] = set()
        self.unused: set[str] = set()
        self.ordinary_tests = False
        self.used_llm = False

    def note(self, report: pytest.TestReport) -> dict[str, Any] | None:
        """Take what a report says; return the entry when it belongs to an eval."""
        self.reported.add(report.nodeid)
        text = getattr(report, REPORT_ATTRIBUTE, None)
        self.used_llm = self.used_llm or hasattr(report, LLM_ATTRIBUTE)
        if text is None:
            self.ordinary_tests = self.ordinary_tests or report.when == "call"
            return None
        entry: dict[str, Any] = json.loads(text)
        self.entries[entry["id"]] = entry
        return entry

    @property
    def stale(self) -> dict[str, str]:
        """First difference of each stale run, by the node id under which it is reported."""
        found = {}
        for entry in self.entries.values():
            run = entry["run"]
            if run and run["stale"]:
                name = with_trial(run["case"], run["trial"])
                found[f"{run['file']}::recording[{run['agent']}/{name}]"] = run["stale"]
        return dict(sorted(found.items()))

    @property
    def missing(self) -> list[str]:
        """Evals that a worker announced and nobody reported."""
        return sorted(self.announced - self.reported)


def eval_name(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def stale_report(nodeid: str, difference: str) -> pytest.TestReport:
    """A stale recording as a failed item of its own: exit status, counts and JUnit agree on it."""
    file = nodeid.partition("::")[0]
    return pytest.TestReport(
        nodeid=nodeid,
        location=(file, None, nodeid.partition("::")[2]),
        keywords={},
        outcome="failed",
        longrepr=f"stale recording: {difference}\n"
        "The agent no longer sends what was recorded. `looplet review` shows it and accepts new wording; "
        "for new behaviour record the case again, or set the ini key looplet_stale = warn",
        when="call",
    )


def crash_report(report: pytest.TestReport) -> None:
    """Make the failure xdist invents for a worker that died in phase 1 an error of that item, and say what happened."""
    file, _, name = report.nodeid.partition("::")
    report.when = "setup"
    report.location = (file, None, name.replace("::", "."))
    report.longrepr = (
        "worker died in phase 1, while agents were running, before it called this eval. "
        "Another worker takes over the run that was in flight."
    )
    entry: dict[str, Any] = {
        "id": report.nodeid,
        "eval": eval_name(report.nodeid),
        "case": None,
        "outcome": "error",
        "score": None,
        "label": None,
        "metrics": {},
        "reason": "",
        "message": "worker died in phase 1",
        "run": None,
    }
    setattr(report, REPORT_ATTRIBUTE, json.dumps(entry))


def status_of(report: pytest.TestReport, verbosity: int) -> tuple[str, str, str | tuple[str, dict[str, bool]]] | None:
    """An eval that crashed is an ERROR; a score stands beside PASSED under -v."""
    text = getattr(report, REPORT_ATTRIBUTE, None)
    if text is None or report.when != "call" or hasattr(report, "wasxfail"):
        return None
    entry: dict[str, Any] = json.loads(text)
    if entry["outcome"] == "error":
        return "error", "E", "ERROR"
    if entry["outcome"] == "pass" and entry["score"] is not None and verbosity > 0:
        return "passed", ".", (f"PASSED {entry['score']:g}", {"green": True})
    return None


def nothing_evaluated(findings: Findings, options: Options) -> str | None:
    """Say why a session that was asked for evals has none, although nothing failed."""
    outcomes = {entry["outcome"] for entry in findings.entries.values()}
    if outcomes == {"skip"} and (options.asked or not findings.ordinary_tests):
        return "every eval was skipped; nothing was evaluated"
    if not outcomes and options.asked and not findings.used_llm:
        return f"no evals were collected, although --looplet-{options.asked[0]} was given"
    return None


def summary_lines(findings: Findings, verbosity: int) -> list[str]:
    """The summary, without times and in one order: the same text whoever ran what."""
    entries = list(findings.entries.values())
    if not entries:
        return []
    from looplet.evals.report import build_report, count_outcomes  # loads looplet: only for sessions with evals

    counts = count_outcomes(entries)
    if verbosity < 0:
        return [f"evals: {_counted(counts)}"]
    report = build_report(entries, suite="")
    lines = _table(report["evals"])
    lines += [_runs(report["runs"], report["totals"]["usage"])]
    lines += _not_passed(report["items"], report["runs"])
    return lines


def _table(figures: list[dict[str, Any]]) -> list[str]:
    columns = ("score", "pass", "fail", "error", "skip")
    width = max(len("eval"), *(len(row["eval"]) for row in figures))
    lines = [f"{'eval':<{width}}" + "".join(f"{name:>7}" for name in columns)]
    for row in figures:
        score = "-" if row["score"] is None else f"{row['score']:.3f}"
        cells = (score, *(row[name] for name in columns[1:]))
        lines.append(f"{row['eval']:<{width}}" + "".join(f"{cell:>7}" for cell in cells))
    return lines


def _counted(counts: dict[str, int]) -> str:
    words = (("pass", "passed"), ("fail", "failed"), ("error", "errors"), ("skip", "skipped"))
    return ", ".join(f"{counts[key]} {word}" for key, word in words if counts[key]) or "none"


def _runs(runs: list[dict[str, Any]], usage: dict[str, Any]) -> str:
    if not runs:
        return "no runs"
    models = ", ".join(sorted({f"{run['backend']} {run['model']}".strip() for run in runs}))
    cost = "unknown" if usage["cost"] is None else f"{usage['cost']:.4f}"
    count = f"{len(runs)} run{'s' * (len(runs) != 1)}"
    return f"{count} ({models}); tokens {usage['input_tokens']} in, {usage['output_tokens']} out; cost {cost}"


def _not_passed(items: list[dict[str, Any]], runs: list[dict[str, Any]]) -> list[str]:
    lines = []
    for item in items:
        if item["outcome"] in ("fail", "error"):
            lines.append(f"{item['outcome'].upper()} {item['id']}: {item['message']}")
            trace = runs[item["run"]]["trace"] if item["run"] is not None else None
            lines += [f"    looplet show {trace}"] if trace else []
    return lines
