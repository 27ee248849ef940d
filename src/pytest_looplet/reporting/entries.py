"""What the report of an eval tells about it: one entry, made of JSON values only."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._pretty import shorten
from looplet.types import Usage
from pytest_looplet.cells import cell_of
from pytest_looplet.declare import mark_values
from pytest_looplet.files import relative_to_root
from pytest_looplet.phase1.runs import outcome_of
from pytest_looplet.reporting.digests import case_digest, eval_digest
from pytest_looplet.reporting.hide import secrets_of
from pytest_looplet.reporting.known_secrets import Secrets
from pytest_looplet.reporting.report import unknown_entry
from pytest_looplet.uses import needs_run

if TYPE_CHECKING:
    import pytest

    from looplet.evals.score import EvalResult
    from looplet.result import RunResult
    from pytest_looplet.cells import Cell
    from pytest_looplet.phase1.store import Outcome

_LOG_CHARS = 20_000
_PATTERNS = Secrets()  # of no run in particular


def entry_of(
    item: pytest.Function, kind: str, result: EvalResult, *, passed: bool | None, message: str
) -> dict[str, Any]:
    """The entry of an item with outcome `kind`."""
    cell, secrets = cell_of(item), secrets_of(item)
    score = 0.0 if kind == "fail" and result.score is None and result.label is None else result.score
    told = {
        "outcome": kind,
        "score": None if kind == "error" else score,
        "passed": passed if kind in ("pass", "fail") else None,
        "label": secrets.value(result.label),
        "metrics": secrets.value(result.metrics),
        "reason": secrets(result.reason),
        "message": secrets(message),
        "gate": gate_of(item),
        "line": (item.location[1] or 0) + 1,
        "eval_digest": eval_digest(item),
        "judge": secrets.value(_judge(item)),
    }
    entry = unknown_entry(node_id(item)) | told
    return entry if cell is None else entry | _of_cell(item, cell, secrets)


def _judge(item: pytest.Function) -> dict[str, Any] | None:
    if "judge" not in item.fixturenames:
        return None
    from pytest_looplet.judges.judging import judge_entry  # loads the backends: only where a judge is asked

    return judge_entry(item)


def gate_of(item: pytest.Item) -> float | None:
    gate = mark_values(item).get("gate")
    return None if gate is None else float(gate)


def node_id(item: pytest.Item) -> str:
    """The node id without the `@group` that xdist's loadgroup appends: the same in every session."""
    assert item.parent is not None, "an item has a parent"  # noqa: S101  # for the type checker
    return f"{item.parent.nodeid}::{item.name}"


def _of_cell(item: pytest.Item, cell: Cell, secrets: Secrets) -> dict[str, Any]:
    return {
        "case": cell.case.id,
        "trial": cell.trial,
        "trials": cell.trials,
        "backend": cell.backend,
        "case_digest": case_digest(item, cell),
        "run": _run_entry(item, cell, secrets),
    }


def _run_entry(item: pytest.Item, cell: Cell | None, secrets: Secrets) -> dict[str, Any] | None:
    outcome = outcome_of(item)
    if cell is None or outcome is None or not needs_run(item):
        return None
    told = {
        "error": outcome.error.splitlines()[0] if outcome.error else None,
        "stale": outcome.stale,
        "text": _log(outcome.result) if outcome.result and outcome.trace is None else None,
    }
    return {
        "file": relative_to_root(cell.file, item.config.rootpath),
        "agent": cell.agent_name,
        "case": cell.case.id,
        "trial": cell.trial,
        "backend": outcome.backend,
        "model": outcome.model,
        "trace": outcome.trace,
        "usage": _usage(outcome).to_dict(),
        "stop_reason": _PATTERNS(outcome.result.stop_reason) if outcome.result else None,
        **(secrets.value(told) if any(told.values()) else told),
    }


def _log(result: RunResult) -> str:
    """What can be told of a run that left no trace, as of an agent that is not looplet's."""
    return shorten("\n\n".join(one.text for one in result.all or (result,)), _LOG_CHARS)


def _usage(outcome: Outcome) -> Usage:
    if outcome.result is None:
        return Usage()
    total = Usage()
    for result in outcome.result.all or (outcome.result,):
        total += result.usage
    return total
