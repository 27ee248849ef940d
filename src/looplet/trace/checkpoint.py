"""`CheckpointHook`: keep a run so that it can go on after a crash, a pause or a `kill -9`."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from looplet.trace.journal import JournalWriter

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from looplet.events import Event
    from looplet.messages import Prompt
    from looplet.trace.read import Trace


class CheckpointHook:
    """Put one in `hooks=[...]`, and `composable_loop(..., resume=path)` continues the run from directory `path`.

    Restored are the conversation, steps, usage, the budget and a waiting call; `state.metadata` is yours to restore.

    The directory is a trace like ProvenanceSink's, with checkpoints, unredacted and for the owner's eyes only: what a
    run goes on from must be whole. A checkpoint that cannot be written stops the run. `fsync` waits for the disk after
    every event, which a power failure needs and a killed process does not.
    """

    checkpoints: ClassVar[bool] = True

    def __init__(self, path: str | os.PathLike[str], *, fsync: bool = False) -> None:
        self._journal = JournalWriter(path, fsync=fsync, strict=True, checkpoints=True, owner=type(self).__name__)

    @property
    def dir(self) -> Path:
        return self._journal.path

    def resume_from(self, past: Trace | None) -> None:
        """The next run goes on with `past`, which this directory holds; None: with none, or with one elsewhere."""
        self._journal.resume_from(past)

    def filter_prompt(self, prompt: Prompt) -> Prompt:
        return prompt

    def write(self, event: Event) -> None:
        self._journal.write(event)

    def close(self) -> None:
        self._journal.close()
