"""Models that are listened to: each request and reply passes a tap, which may price it, count it or write it down."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Any, Protocol

from looplet._clock import milliseconds_since
from looplet._core.exchange import as_backend_error, details_of
from looplet.errors import TraceError
from looplet.events import ModelFailed, ModelReplied, RunFinished, RunStarted
from looplet.trace.journal import JournalWriter
from looplet.types import Usage

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from looplet.errors import BackendError
    from looplet.messages import Prompt, Reply
    from looplet.protocols import Model
    from looplet.trace.redact import Redaction


class Tap(Protocol):
    """What is told of a model's calls. It answers what goes on: the prompt to send, the reply to hand over."""

    def sent(self, prompt: Prompt) -> Prompt: ...

    def took(self, prompt: Prompt, reply: Reply, duration_ms: float) -> Reply: ...

    def failed(self, prompt: Prompt, error: BackendError) -> None: ...


def tapped(llm: Model, tap: Tap) -> Model:
    """`llm` with a tap. Everything else of it stays within reach."""
    made: Model = (_AsyncTapped if getattr(llm, "is_async", False) else _Tapped)(llm, tap)
    return made


class _Tapped:
    is_async = False

    def __init__(self, llm: Model, tap: Tap) -> None:
        self._llm, self._tap = llm, tap

    def chat(self, prompt: Prompt) -> Reply:
        return self._listen(prompt, self._llm.chat)

    def _stream(self, prompt: Prompt, on_chunk: Any) -> Reply:
        stream: Any = self._llm.stream  # type: ignore[attr-defined]  # asked for by __getattr__
        return self._listen(prompt, lambda sent: stream(sent, on_chunk))

    def _listen(self, prompt: Prompt, ask: Callable[[Prompt], Reply]) -> Reply:
        __tracebackhide__ = True
        sent, began = self._tap.sent(prompt), time.perf_counter()
        try:
            reply = ask(sent)
        except Exception as error:
            self._note(sent, error)
            raise
        return self._tap.took(sent, reply, milliseconds_since(began))

    def _note(self, sent: Prompt, error: Exception) -> None:
        known = as_backend_error(error)
        if known is not None:
            self._tap.failed(sent, known)

    def __getattr__(self, attribute: str) -> Any:  # also name and capabilities, which may change
        value = getattr(self._llm, attribute)
        return self._stream if attribute == "stream" else value


class _AsyncTapped(_Tapped):
    is_async = True

    async def chat(self, prompt: Prompt) -> Reply:  # type: ignore[override]  # the async form of the same protocol
        return await self._listen_async(prompt, self._llm.chat)

    async def _stream(self, prompt: Prompt, on_chunk: Any) -> Reply:  # type: ignore[override]  # likewise
        stream: Any = self._llm.stream  # type: ignore[attr-defined]  # asked for by __getattr__
        return await self._listen_async(prompt, lambda sent: stream(sent, on_chunk))

    async def _listen_async(self, prompt: Prompt, ask: Callable[[Prompt], Any]) -> Reply:
        sent, began = self._tap.sent(prompt), time.perf_counter()
        try:
            reply: Reply = await ask(sent)
        except Exception as error:
            self._note(sent, error)
            raise
        return self._tap.took(sent, reply, milliseconds_since(began))


class JournalTap:
    """Writes the calls into a trace in `folder`, if there is one; the first call begins it.

    redaction  for what is written

    upstream   applied to what is sent
    strict     a trace that cannot be begun is an error, and not only missing
    """

    def __init__(
        self,
        folder: Path | None,
        header: Callable[[], RunStarted],
        redaction: Redaction,
        *,
        upstream: Redaction | None = None,
        strict: bool = False,
    ) -> None:
        self.folder = folder
        self.failed_last = False  # the latest call came to nothing
        self.calls = 0
        self._header, self._redaction, self._upstream, self._strict = header, redaction, upstream, strict
        self._journal: JournalWriter | None = None
        self._lock = threading.Lock()
        self._usage = Usage()

    def sent(self, prompt: Prompt) -> Prompt:
        return self._upstream.prompt(prompt) if self._upstream else prompt

    def took(self, prompt: Prompt, reply: Reply, duration_ms: float) -> Reply:
        with self._lock:
            self.calls += 1
            self.failed_last = False
            self._usage += reply.usage or Usage()
            self._write(ModelReplied(self.calls, prompt, reply, duration_ms))
        return reply

    def failed(self, prompt: Prompt, error: BackendError) -> None:
        with self._lock:
            self.calls += 1
            self.failed_last = True
            self._write(ModelFailed(self.calls, prompt, type(error).__name__, str(error), details=details_of(error)))

    def close(self) -> None:
        if self._journal is not None:
            self._journal.write(RunFinished("done", "completed", None, self._usage))
            self._journal.close()

    def _write(self, event: ModelReplied | ModelFailed) -> None:
        if self.calls == 1:
            self._begin()
        if self._journal is not None:
            self._journal.write(event)

    def _begin(self) -> None:
        if self.folder is None:
            return
        self._journal = JournalWriter(self.folder, redaction=self._redaction)
        try:
            self._journal.write(self._header())
        except TraceError:
            if self._strict:
                raise
            self._journal = None  # with `--dist=each` two workers score the same run: one of them writes
