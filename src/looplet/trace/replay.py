"""`ReplayBackend`: a model that answers with what a trace recorded. No network, no sleep."""

from __future__ import annotations

import threading
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from looplet import errors
from looplet.errors import BackendError, ReplayMismatch, ToolsUnsupported, TraceError
from looplet.events import ModelFailed
from looplet.messages import Capabilities
from looplet.trace.directory import JOURNAL
from looplet.trace.matching import RequestKeys, first_difference
from looplet.trace.read import Trace, read_journal, run_dirs
from looplet.trace.redact import redaction, redaction_for

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from looplet.events import ModelReplied
    from looplet.messages import Prompt, Reply

OnMiss = Literal["strict", "stale"]


class ReplayBackend:
    """Give it as `llm`. Each of `dirs` is a trace, or holds the traces `run_1`, `run_2`, ... of one agent.

    A request is answered by the recorded reply to the same request (see `matching.py`), each reply once, in the
    recorded order; recorded provider errors are raised again. When there is none:

    on_miss="strict"   ReplayMismatch, with the nearest recording and the first difference
    on_miss="stale"    the next unplayed reply of that run; `stale` then holds the first difference

    A run that asks for more than was recorded is a ReplayMismatch in both. `redact` is needed only for a recording
    that was written with a redaction of your own. May be shared by threads.
    """

    no_sleep = True  # a recorded "try again in 30 s" is not waited for

    def __init__(
        self,
        *dirs: str | os.PathLike[str],
        on_miss: OnMiss = "strict",
        redact: Callable[[str], str] | bool | None = None,
    ) -> None:
        if on_miss not in get_args(OnMiss):
            raise ValueError(f"on_miss={on_miss!r}: use 'strict' or 'stale'")
        self._runs = [_Recording(read_journal(path)) for given in dirs for path in _traces(Path(given))]
        if not self._runs:
            raise ValueError("ReplayBackend() needs the directory of a trace")
        self.stale: str | None = None
        self._on_miss = on_miss
        self._lock = threading.Lock()
        self._native_tools = self._recorded_capabilities.native_tools
        self._count = 0
        redactor = self.header.get("redactor")
        self._redaction = redaction(redact) or redaction_for(redactor)
        self._unknown_redactor = redactor if redactor and self._redaction is None else None
        self._keys = RequestKeys(self._redaction)
        self._by_key: dict[bytes, deque[_Exchange]] = {}
        for run in self._runs:
            for exchange in run.exchanges:
                self._by_key.setdefault(exchange.key, deque()).append(exchange)

    @property
    def header(self) -> dict[str, Any]:
        """The first line of the (first) trace: task, max_steps, system, settings, tools, labels."""
        return self._runs[0].trace.header

    @property
    def name(self) -> str:
        return str(self.header.get("model", "replay"))

    @property
    def capabilities(self) -> Capabilities:
        """The recorded ones, so that requests are built the same way."""
        return self._recorded_capabilities.replace(native_tools=self._native_tools)

    @property
    def leftover(self) -> int:
        """How many recorded replies were not played."""
        return sum(not exchange.played for run in self._runs for exchange in run.exchanges)

    def chat(self, prompt: Prompt) -> Reply:
        with self._lock:
            self._count += 1
            event = self._find(prompt).event
            if not isinstance(event, ModelFailed):
                return event.reply
            error = recorded_error(event)
            if isinstance(error, ToolsUnsupported):  # the live backend had learnt it, too
                self._native_tools = False
            raise error

    @property
    def _recorded_capabilities(self) -> Capabilities:
        return Capabilities.from_dict(self.header.get("capabilities", {}))

    def _find(self, prompt: Prompt) -> _Exchange:
        key, digests = self._keys.key(prompt)
        queue = self._by_key.get(key, deque())
        while queue and queue[0].played:  # a stale miss took it out of turn
            queue.popleft()
        exchange = queue.popleft() if queue else self._miss(prompt, digests)
        exchange.played = True
        return exchange

    def _miss(self, prompt: Prompt, digests: tuple[bytes, ...]) -> _Exchange:
        run = max(self._runs, key=lambda each: each.likeness(digests))
        nearest, where = run.next, repr(run.trace.dir)
        if nearest is None:
            raise ReplayMismatch(
                f"request {self._count} has no recorded reply: all {len(run.exchanges)} replies of the recording "
                f"{where} were played, and the run asks for more. Record it again"
            )
        if self._on_miss == "stale" and self.stale is not None:  # the first difference explains the others
            return nearest
        difference = self._difference(nearest, prompt)
        if self._on_miss == "stale":
            self.stale = f"request {self._count}: {difference}"
            return nearest
        raise ReplayMismatch(
            f"request {self._count} has no recorded reply. The nearest is request {nearest.event.call} of {where}: "
            f"{difference}. Record it again if the change is meant{self._redactor_hint()}"
        )

    def _difference(self, nearest: _Exchange, prompt: Prompt) -> str:
        recorded = RequestKeys().shape(nearest.event.prompt)
        now = RequestKeys(self._redaction).shape(prompt)
        return first_difference(recorded, now) or "the same request, which was answered before"

    def _redactor_hint(self) -> str:
        if self._unknown_redactor is None:
            return ""
        return f" (it was written with redact={self._unknown_redactor}; give ReplayBackend the same redact=)"


class _Exchange:
    """One recorded request and what came of it."""

    def __init__(self, event: ModelReplied | ModelFailed, key: bytes, digests: tuple[bytes, ...]) -> None:
        self.event = event
        self.key = key
        self.digests = digests
        self.played = False


class _Recording:
    """The exchanges of one trace, in order."""

    def __init__(self, trace: Trace) -> None:
        self.trace = trace
        keys = RequestKeys()
        self.exchanges = [_Exchange(event, *keys.key(event.prompt)) for event in trace.exchanges]

    @property
    def next(self) -> _Exchange | None:
        return next((exchange for exchange in self.exchanges if not exchange.played), None)

    def likeness(self, digests: tuple[bytes, ...]) -> tuple[int, bool]:
        """How many messages of a request stand in this run's next one; a run with replies left goes first."""
        nearest = self.next or (self.exchanges[-1] if self.exchanges else None)
        recorded = nearest.digests if nearest else ()
        return sum(a == b for a, b in zip(digests, recorded, strict=False)), self.next is not None


def recorded_error(event: ModelFailed) -> BackendError:
    """The error a recorded request failed with, of the same class."""
    kind = getattr(errors, event.kind, None)
    if isinstance(kind, type) and issubclass(kind, BackendError):
        error = kind(event.error)
    else:
        error = BackendError(f"{event.kind}: {event.error}")
    for name, value in event.details.items():
        setattr(error, name, value)
    return error


def _traces(path: Path) -> list[Path]:
    """The directory itself, or the traces `run_N` in it."""
    if (path / JOURNAL).is_file():
        return [path]
    runs = run_dirs(path)
    if not runs:
        raise TraceError(f"{str(path)!r} is neither a trace nor a directory of traces run_1, run_2, ...")
    return runs
