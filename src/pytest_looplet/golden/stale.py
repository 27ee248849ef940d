"""A run that no longer sends what was recorded: say in one line what changed, and keep it for `looplet review`."""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING

from looplet.errors import TraceError
from looplet.trace.read import read_journal
from pytest_looplet.files import relative_to_root
from pytest_looplet.golden import pending
from pytest_looplet.golden.recordings import record_command, recording_dir, traces_in

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.trace.change import Change
    from looplet.trace.replay import ReplayBackend
    from pytest_looplet.cells import Cell


def look(llm: ReplayBackend, cell: Cell, trace: Path | None, root: Path) -> str | None:
    """Return how this run differs from the recording it was played from, None when it does not.

    A stale run is kept among what is pending; one that is no longer stale is taken away from there.
    """
    recording = recording_dir(cell)
    difference = llm.stale
    if difference is None and llm.leftover:
        difference = f"{llm.leftover} recorded repl{'y was' if llm.leftover == 1 else 'ies were'} not asked for"
    if difference is None:
        if pending.writes_allowed():
            pending.discard(root, pending.RECORDING, recording)
        return None
    why = _explained(recording, trace, difference)
    if trace is not None and pending.writes_allowed():
        pending.write_recording(root, recording_id(cell, root), recording, trace, why, record_command(cell, root))
    return why


def recording_id(cell: Cell, root: Path) -> str:
    """The name under which a recording is reported."""
    return f"{relative_to_root(cell.file, root)}::recording[{cell.agent_name}/{cell.name}]"


def _explained(recording: Path, trace: Path | None, difference: str) -> str:
    """What the agent did differently, if it did, and the first request that differs."""
    changes = _behaviour(traces_in(recording), traces_in(trace) if trace is not None else [])
    if not changes:
        return difference
    more = f" (and {len(changes) - 1} more)" if len(changes) > 1 else ""
    return f"{changes[0].text}{more}; {difference}"


def _behaviour(recorded: list[Path], played: list[Path]) -> list[Change]:
    """The significant changes. Runs beyond the recorded ones, or traces that cannot be read, have none to tell."""
    from looplet.trace.diff import diff_traces  # ten modules, for runs that went another way

    changes: list[Change] = []
    for old, new in zip_longest(recorded, played):
        if old is not None and new is not None:
            try:
                changes += diff_traces(read_journal(old), read_journal(new)).significant
            except TraceError:
                continue
    return changes
