"""The log analyst is judged by the report file it leaves, against facts read off the logs by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from evals.agents.log_analyst import agent, scripted_model

if TYPE_CHECKING:
    from looplet import RunResult
    from looplet.evals import EvalCase


def incident(id: str, files: Any, **expected: Any) -> dict[str, Any]:  # noqa: A002  # the case's own word
    return {
        "id": id,
        "task": "Which service failed most, since when, and why?",
        "files": files,
        "expected": expected,
        "script": scripted_model,
    }


ONE_ERROR = "2026-03-02T10:00:00Z ERROR web GET / 500 1ms boom\n"

pytestmark = pytest.mark.looplet(
    agent=agent,
    cases=[
        incident(
            "checkout",
            "data/checkout",
            service="payments",
            errors=7,
            first="2026-03-02T09:04:40Z",
            cause="connection pool exhausted (20 of 20)",
        ),
        incident(
            "two-files",
            "data/search",
            service="search",
            errors=3,
            first="2026-03-02T09:01:10Z",
            cause="disk full on /data, index set to read-only",
        ),
        incident("no-errors", "data/quiet", service=None, errors=0, first=None, cause=None),
        incident(
            "no-warning", {"app.log": ONE_ERROR}, service="web", errors=1, first="2026-03-02T10:00:00Z", cause=None
        ),
        incident("empty-log", {"app.log": ""}, service=None, errors=0, first=None, cause=None),
    ],
)


def eval_report_is_right(run: RunResult, case: EvalCase, workdir: Path) -> dict[str, float]:
    """The share of the report's fields that are right."""
    report = json.loads((workdir / "report.json").read_text(encoding="utf-8"))
    right = {field: float(report.get(field) == value) for field, value in case.expected.items()}
    return {"score": sum(right.values()) / len(right), **right}


def eval_every_file_was_searched(run: RunResult, workdir: Path) -> bool:
    searched = {step.tool_call.args["file"] for step in run.steps if step.tool_call.tool == "search"}
    return searched == {path.name for path in workdir.glob("*.log")}


def eval_answer_names_the_service(run: RunResult, case: EvalCase) -> None:
    assert run.status == "completed"
    assert str(case.expected["service"]) in run.output


def eval_leaves_the_logs_alone(run: RunResult, case: EvalCase, workdir: Path) -> bool:
    """Nothing in the working directory changed but the report."""
    left = {path.name: path.read_text(encoding="utf-8") for path in workdir.iterdir() if path.name != "report.json"}
    return left == given_files(case)


def given_files(case: EvalCase) -> dict[str, str]:
    if isinstance(case.files, dict):
        return dict(case.files)
    folder = Path(__file__).parent / str(case.files)
    return {path.name: path.read_text(encoding="utf-8") for path in folder.iterdir()}
