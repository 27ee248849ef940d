"""Where a run hangs: the user's frames of its threads and of its asyncio tasks."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import sys
import sysconfig
import traceback
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any

import looplet
from looplet import ambient

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from types import FrameType

    from looplet.ambient import Capture

_OURS = tuple(str(path) for path in (Path(__file__).parents[1], Path(looplet.__file__).parent))
_INSTALLED = tuple({sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib", "platlib")})
_MOST = 5  # stacks that are shown
_DEEPEST = 200  # frames that are followed
_KINDS = (types.CoroutineType, types.GeneratorType, types.AsyncGeneratorType)


def stacks_of(thread_id: int | None, capture: Capture | None) -> str:
    """The stacks of a run's threads and tasks, innermost frame last, as a traceback shows them. Empty if none has user
    code in it.
    """
    threads = [_outwards(frame) for frame in _threads_of(thread_id, capture)]
    found = [list(reversed(frames)) for frames in threads]
    found += [frames for loop in _loops(threads) for frames in _tasks_of(loop)]
    texts = dict.fromkeys(text for frames in found if (text := _text(frames)))
    return "\n".join(list(texts)[:_MOST])


def _threads_of(thread_id: int | None, capture: Capture | None) -> Iterator[FrameType]:
    """The frames of the run's own thread, and of those that looplet started for it with its context."""
    for ident, frame in sys._current_frames().items():  # noqa: SLF001  # documented for exactly this
        if ident == thread_id or (capture is not None and _belongs(frame, capture)):
            yield frame


def _belongs(frame: FrameType, capture: Capture) -> bool:
    """Say whether this thread runs in a context of the run: a local variable of the function that began it."""
    return any(
        isinstance(value, contextvars.Context) and value.get(ambient.current) is capture
        for outer in _outwards(frame)
        if outer.f_code.co_filename.startswith(_OURS)
        for value in list(outer.f_locals.values())
    )


def _outwards(frame: FrameType | None) -> list[FrameType]:
    frames = []
    while frame is not None:
        frames.append(frame)
        frame = frame.f_back
    return frames


def _loops(threads: Iterable[list[FrameType]]) -> list[asyncio.AbstractEventLoop]:
    """Event loops these threads run, or wait for."""
    found: dict[int, asyncio.AbstractEventLoop] = {}
    for frames in threads:
        for frame in frames:
            owner = frame.f_locals.get("self")
            for loop in (owner, getattr(owner, "_loop", None)):
                if isinstance(loop, asyncio.AbstractEventLoop):
                    found[id(loop)] = loop
    return list(found.values())


def _tasks_of(loop: asyncio.AbstractEventLoop) -> list[list[FrameType]]:
    try:
        tasks = asyncio.all_tasks(loop)
    except RuntimeError:  # they change while we look; the thread's own stack is there in any case
        return []
    return [list(_awaited(task.get_coro())) for task in tasks]


def _awaited(waiting: Any) -> Iterator[FrameType]:
    """Frames of a coroutine and of what it awaits, outermost first."""
    for _ in range(_DEEPEST):
        kind = next((kind for kind in ("cr", "gi", "ag") if hasattr(waiting, f"{kind}_frame")), None)
        if kind is None:  # what `__await__` and `__anext__` return says nothing of itself, but refers to its coroutine
            found = (each for each in gc.get_referents(waiting) if isinstance(each, _KINDS))
            waiting = next(found, None)
            if waiting is None:
                return
            continue
        frame = getattr(waiting, f"{kind}_frame")
        if frame is not None:
            yield frame
        waiting = getattr(waiting, "gi_yieldfrom" if kind == "gi" else f"{kind}_await")


def _text(frames: list[FrameType]) -> str:
    summary = traceback.StackSummary.extract((frame, frame.f_lineno) for frame in frames if _is_users(frame))
    return "".join(summary.format()).rstrip()


def _is_users(frame: FrameType) -> bool:
    name = frame.f_code.co_filename
    return not name.startswith((*_OURS, *_INSTALLED, "<frozen"))
