"""Decisions about what is pending: each is carried out at once, and only on what the reviewer has seen."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from pytest_looplet.golden.pending import (
    NEW_TRACE,
    RECORDING,
    SNAPSHOT,
    PendingError,
    pending_dir,
    reloaded,
    remove,
    write_whole,
)
from pytest_looplet.golden.recordings import replace_recording, traces_in

if TYPE_CHECKING:
    from pytest_looplet.golden.pending import Pending


class WrittenAgainError(PendingError):
    """The entry is another one than the reviewer has looked at."""


class AlreadyDecidedError(PendingError):
    """The entry is gone: another reviewer decided about it, or a later pytest found nothing to decide."""


def refusal(pending: Pending) -> str | None:
    """Say why this entry cannot be accepted, None when it can."""
    if pending.problem:
        return f"{pending.slug}: {pending.problem}; reject it and run pytest again"
    if not pending.new.exists():
        return f"{pending.id}: {pending.new.name} is missing from {pending.folder}; reject it and run pytest again"
    if pending.gone:
        return f"{pending.id}: its {pending.kind} is gone; reject this entry"
    if pending.changed:
        return f"{pending.id}: {pending.target.name} has changed since it was compared; run pytest again, then review"
    return _behaviour(pending) if pending.kind == RECORDING else None


def accept(pending: Pending) -> None:
    """Put the new content in the target's place and drop the entry; what cannot be accepted is a PendingError.

    A recording is accepted when the agent still does what it did: it is keyed by the requests sent now, keeps what is
    known of the recorded run, and no model is called.
    """
    _check_seen(pending)
    refused = refusal(pending)
    if refused:
        raise PendingError(refused)
    if pending.kind == SNAPSHOT:
        write_whole(pending.target, pending.new.read_bytes())
    else:
        from pytest_looplet.golden.rekey import rekeyed  # reads and renders traces: only where a recording is accepted

        with tempfile.TemporaryDirectory(dir=pending_dir(pending.root), prefix=".accept-") as staging:
            replace_recording(pending.target, rekeyed(pending.target, pending.new, Path(staging) / NEW_TRACE))
    remove(pending.folder)


def reject(pending: Pending) -> None:
    """Drop the entry; the target stays as it is."""
    _check_seen(pending)
    remove(pending.folder)


def _check_seen(pending: Pending) -> None:
    now = reloaded(pending)
    if now is None:
        raise AlreadyDecidedError(f"{pending.id}: already decided elsewhere; nothing is left to do")
    if now.seen != pending.seen:
        raise WrittenAgainError(f"{pending.id}: was written again since you looked; look at it again, then decide")


def _behaviour(pending: Pending) -> str | None:
    """What the agent does differently from the recording, which only a new recording can show the consequences of."""
    from looplet.errors import TraceError
    from looplet.trace.diff import diff_traces
    from looplet.trace.read import read_journal

    again = f"record it again: {pending.command}"
    old, new = traces_in(pending.target), traces_in(pending.new)
    if len(old) != len(new):
        ran = f"{len(new)} loop{'s' * (len(new) != 1)} and {len(old)} {'is' if len(old) == 1 else 'are'} recorded"
        return f"{pending.id}: the agent ran {ran}; {again}"
    try:
        changes = [
            change
            for a, b in zip(old, new, strict=True)
            for change in diff_traces(read_journal(a), read_journal(b)).significant
        ]
    except TraceError as error:
        return f"{pending.id}: {error}; {again}"
    return f"{pending.id}: the agent's behaviour changed ({changes[0].text}); {again}" if changes else None
