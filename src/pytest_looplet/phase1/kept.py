"""Runs as they are kept in `.looplet/runs`, where people look at them and `--looplet-traces` reads them.

A run's directory holds its trace, or `run_1`, `run_2`, ... of an agent that ran several loops; beside the journal
`outcome.json` says what a trace does not: whose run it is, what went wrong, what was printed.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from looplet.events import RunFinished, RunStarted, StepFinished
from looplet.messages import Capabilities
from looplet.trace.directory import ARTIFACTS
from looplet.trace.files import write_whole
from looplet.trace.journal import JournalWriter
from looplet.trace.redact import Redaction, Redactor
from pytest_looplet.files import relative_to_root
from pytest_looplet.golden.recordings import traces_in
from pytest_looplet.phase1.stored_session import OUTCOME, SCHEMA

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.result import RunResult
    from pytest_looplet.cells import Cell
    from pytest_looplet.phase1.store import Outcome

TOLD = ("backend", "model", "error", "stale", "workdir", "stdout", "stderr", "log")
_SECRETLESS = Redaction(Redactor())


def labels_of(cell: Cell, root: Path) -> dict[str, Any]:
    """Whose run it is, as written into traces."""
    return {
        "eval_file": place(str(cell.file), root),
        "agent": cell.agent_name,
        "case": cell.case.id,
        "backend": cell.backend,
        "trial": cell.trial,
    }


def keep(outcome: Outcome, folder: Path, labels: dict[str, Any]) -> None:
    """Write `outcome.json` into the run's directory, without secrets."""
    result, said = outcome.result, {name: getattr(outcome, name) for name in TOLD}
    told = {
        "schema": SCHEMA,
        "labels": labels,
        **{name: _SECRETLESS.text(text) if text else text for name, text in said.items()},
        "has_result": result is not None,
        "cost": result.usage.cost if result is not None else None,
        "costs": [one.usage.cost for one in result.all or (result,)] if result is not None else [],
    }
    data = json.dumps(told).encode() + b"\n"
    try:
        write_whole(folder / OUTCOME, data, mode=0o600)
    except FileNotFoundError:  # a run without a trace
        folder.mkdir(mode=0o700, parents=True)
        write_whole(folder / OUTCOME, data, mode=0o600)


def write_result(result: RunResult, folder: Path, redaction: Redaction, labels: dict[str, Any]) -> None:
    """Write the trace of a RunResult no loop of ours left: its steps and its end."""
    journal = JournalWriter(folder, redaction=redaction)
    journal.write(RunStarted(folder.name, result.task, "", (), 0, {}, "", Capabilities(), labels))
    for step in result.steps:
        journal.write(StepFinished(step, step.tool_call, 0))
    journal.write(
        RunFinished(
            result.stop_reason, result.status, result.output, result.usage, result.errors, round(result.duration, 3)
        )
    )
    journal.close()
    if result.artifacts:
        write_whole(folder / ARTIFACTS, json.dumps(redaction.value(result.artifacts)).encode() + b"\n", mode=0o600)


def shown(folder: Path, root: Path) -> str | None:
    """The trace to name to people, relative to rootdir: of a run that was cut short, its only loop."""
    found = traces_in(folder)
    if not found:
        return None
    return relative_to_root(found[0] if len(found) == 1 else folder, root)


@lru_cache(maxsize=64)
def place(file: str, root: Path) -> str:
    """The eval file relative to rootdir, or its name where it lies elsewhere."""
    path = root / file
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name
