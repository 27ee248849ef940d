"""What a session found: entries gathered from reports, and what the controller makes of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.cells import with_trial

if TYPE_CHECKING:
    from pytest_looplet.options import Options

REPORT_ATTRIBUTE = "looplet_eval"
LLM_ATTRIBUTE = "looplet_llm"


def put_entry(report: pytest.TestReport, entry: dict[str, Any], *, is_sent: bool) -> None:
    """Put an entry, which is made of JSON values, on a report. One that is sent to another process gets a text: an
    object there that cannot be sent ends the session with exit status 0.
    """
    setattr(report, REPORT_ATTRIBUTE, json.dumps(entry) if is_sent else entry)


def entry_on(report: pytest.TestReport) -> dict[str, Any] | None:
    """The entry of an eval's report, None of others."""
    told: str | dict[str, Any] | None = getattr(report, REPORT_ATTRIBUTE, None)
    entry: dict[str, Any] | None = json.loads(told) if isinstance(told, str) else told
    return entry


class Findings:
    """Everything the controller learnt. `entries` is by node id: of an item that is run again the last report counts,
    unless the new one is only a teardown that failed.
    """

    def __init__(self) -> None:
        self.entries: dict[str, dict[str, Any]] = {}
        self.announced: set[str] = set()
        self.reported: set[str] = set()
        self.ended: set[str] = set()  # of those, what was not interrupted before its call was over
        self.unused: set[str] = set()
        self.ordinary_tests = False
        self.used_llm = False

    def note(self, report: pytest.TestReport) -> dict[str, Any] | None:
        """Take what a report says; return the entry when it belongs to an eval."""
        self.reported.add(report.nodeid)
        if report.when != "setup" or not report.passed:
            self.ended.add(report.nodeid)
        entry = entry_on(report)
        self.used_llm = self.used_llm or hasattr(report, LLM_ATTRIBUTE)
        if entry is None:
            self.ordinary_tests = self.ordinary_tests or report.when == "call"
            return None
        self.entries[entry["id"]] = entry
        return entry

    @property
    def stale(self) -> dict[str, str]:
        """First difference of each stale run, by the node id under which it is reported."""
        stale = [entry["run"] for entry in self.entries.values() if entry["run"] and entry["run"]["stale"]]
        stale.sort(key=lambda run: (run["file"], run["agent"], run["case"], run["trial"]))
        return {
            f"{run['file']}::recording[{run['agent']}/{with_trial(run['case'], run['trial'])}]": run["stale"]
            for run in stale
        }

    @property
    def missing(self) -> list[str]:
        """Evals that a worker announced and nobody reported."""
        return sorted(self.announced - self.reported)


def eval_name(nodeid: str) -> str:
    return nodeid.partition("[")[0]


def unknown_entry(nodeid: str) -> dict[str, Any]:
    """The entry of an eval nothing is known of but that it did not report."""
    return {
        "id": nodeid,
        "eval": eval_name(nodeid),
        "case": None,
        "trial": 1,
        "trials": 1,
        "backend": None,
        "outcome": "error",
        "score": None,
        "passed": None,
        "label": None,
        "metrics": {},
        "reason": "",
        "message": "",
        "gate": None,
        "line": 1,
        "eval_digest": "",
        "case_digest": "",
        "judge": None,
        "run": None,
    }


def stale_reports(findings: Findings) -> list[pytest.TestReport]:
    return [stale_report(nodeid, difference) for nodeid, difference in findings.stale.items()]


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
    entry = unknown_entry(report.nodeid) | {"message": "worker died in phase 1"}
    put_entry(report, entry, is_sent=False)


def status_of(report: pytest.TestReport, verbosity: int) -> tuple[str, str, str | tuple[str, dict[str, bool]]] | None:
    """An eval that crashed is an ERROR; a score stands beside PASSED under -v."""
    if report.when != "call" or hasattr(report, "wasxfail") or (report.passed and verbosity <= 0):
        return None
    entry = entry_on(report)
    if entry is None:
        return None
    if entry["outcome"] == "error":
        return "error", "E", "ERROR"
    if entry["outcome"] == "fail" and report.passed and verbosity > 0:
        return "passed", ".", ("PASSED (counted by its gate as failed)", {"yellow": True})
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
