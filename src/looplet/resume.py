"""Going on with a run that another process began: `composable_loop(..., resume=...)`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet._core.save import RESUMABLE, checkpoint_of
from looplet._drivers.performer import warn
from looplet._record import Record
from looplet.decisions import Allow
from looplet.errors import TraceError
from looplet.trace.checkpoint import CheckpointHook
from looplet.trace.jsonable import jsonable
from looplet.trace.read import Trace, is_begun, read_journal

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from looplet.decisions import Deny
    from looplet.types import ToolResult

_ONLY = "a run goes on only from what a CheckpointHook wrote"


class Resume(Record):
    """Which run goes on, and the `answer` to the call it waits with: approve(), Deny(reason), or a ToolResult."""

    path: str | os.PathLike[str]
    answer: Allow | Deny | ToolResult | None = None


def approve(args: dict[str, Any] | None = None) -> Allow:
    """The answer that lets a waiting call run, with `args` instead of its own when given."""
    return Allow(args, approved=True)


def take_up(
    asked: str | os.PathLike[str] | Resume, task: Any, hooks: Sequence[object]
) -> tuple[Trace | None, Any, list[CheckpointHook]]:
    """The run to go on with (None: begin one), the answer it waits for, and a CheckpointHook if none is given."""
    resume = asked if isinstance(asked, Resume) else Resume(asked)
    past = resumable(resume, task)
    return past, resume.answer, checkpoint_to_add(Path(resume.path), past, hooks)


def resumable(resume: Resume, task: Any) -> Trace | None:
    """The unfinished run to go on with. None, and a notice, when there is none; a TraceError when it cannot be used.

    Resumable is a run without an end, or one that ended as closed, cancelled, error, llm_error or waiting_for_approval.
    """
    path = Path(resume.path)
    if not is_begun(path):
        warn(f"resume: there is no run in {str(path)!r}; a new one starts")
        return None
    trace = read_journal(path)
    if trace.header.get("redactor"):
        raise TraceError(f"resume: {str(path)!r} is redacted; {_ONLY}")
    end = trace.finished
    if end is not None and end.stop_reason not in RESUMABLE:
        warn(f"resume: the run in {str(path)!r} is finished ({end.stop_reason}); a new one starts")
        return None
    if task is not None and jsonable(task) != trace.header.get("task"):
        raise TraceError(
            f"resume: {str(path)!r} holds a run of another task, {trace.header.get('task')!r}; "
            "give that task, or another directory"
        )
    if not any(checkpoint_of(event) for event in trace.events):
        if len(trace.events) == 1:  # killed between its first line and its first checkpoint
            return None
        raise TraceError(f"resume: {str(path)!r} has no checkpoints; {_ONLY}")
    return trace


def checkpoint_to_add(path: Path, past: Trace | None, hooks: Sequence[object]) -> list[CheckpointHook]:
    """A run that may be resumed again goes on in its journal, also when no CheckpointHook is given for it."""
    given = [hook for hook in hooks if isinstance(hook, CheckpointHook)]
    own = [hook for hook in given if hook.dir.resolve() == path.resolve()]
    added = [] if own else [CheckpointHook(path.resolve())]
    for hook in [*given, *added]:
        hook.resume_from(past if hook in own + added else None)
    return added
