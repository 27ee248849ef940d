"""What the controller makes of reports."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pytest_looplet.reporting.report import Findings, crash_report, stale_report, unknown_entry

ENTRY: dict[str, Any] = unknown_entry("e.py::eval_a[c]") | {"case": "c", "outcome": "pass", "score": 0.5}


def _report(entry: dict[str, Any] | None, when: Any = "call") -> pytest.TestReport:
    extra: dict[str, Any] = {} if entry is None else {"looplet_eval": json.dumps(entry)}
    return pytest.TestReport("e.py::eval_a[c]", ("e.py", None, "x"), {}, "passed", None, when, **extra)


def test_the_last_report_of_an_item_counts() -> None:
    findings = Findings()
    findings.note(_report(ENTRY | {"outcome": "fail", "score": 0.0}))
    findings.note(_report(ENTRY))
    assert [entry["outcome"] for entry in findings.entries.values()] == ["pass"]


def test_reports_without_a_grade_are_ordinary_tests() -> None:
    findings = Findings()
    findings.note(_report(None, "setup"))
    assert not findings.ordinary_tests
    findings.note(_report(None))
    assert findings.ordinary_tests
    assert findings.entries == {}


def test_evals_announced_and_never_reported_are_missing() -> None:
    findings = Findings()
    findings.announced |= {"e.py::eval_a[c]", "e.py::eval_b[c]"}
    findings.note(_report(ENTRY))
    assert findings.missing == ["e.py::eval_b[c]"]


def test_a_crash_in_phase_1_becomes_an_error_of_the_item_that_was_blamed() -> None:
    report = pytest.TestReport("e.py::eval_a[c]", ("e.py", None, "e.py"), {}, "failed", "crashed", "call")
    crash_report(report)
    assert report.when == "setup"
    assert str(report.longrepr).startswith("worker died in phase 1, while agents were running")
    findings = Findings()
    findings.note(report)
    assert findings.entries["e.py::eval_a[c]"]["outcome"] == "error"


def test_a_stale_recording_is_a_failed_item_that_says_what_to_do() -> None:
    report = stale_report("e.py::recording[agent/c]", "request 1: system differs")
    assert report.failed
    assert "stale recording: request 1: system differs" in str(report.longrepr)
    assert "`looplet review` shows it" in str(report.longrepr)
    assert "record the case again, or set the ini key looplet_stale = warn" in str(report.longrepr)
