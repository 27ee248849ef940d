"""`FallbackBackend`: several models in a row, the next one for when a provider fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._core.exchange import as_backend_error
from looplet._drivers.performer import warn
from looplet.backends.adapter import adapt
from looplet.backends.flow import run, run_async
from looplet.backends.streaming import show_whole
from looplet.errors import BackendError, ContentFiltered, ContextOverflow, MalformedReply, ToolsUnsupported

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looplet.backends.flow import Exchange
    from looplet.backends.streaming import OnChunk
    from looplet.messages import Capabilities, Prompt, Reply
    from looplet.protocols import Model

# About this request and not about the provider: the loop has a remedy, or another model has no business with it.
_OWN_FAULT = (ContentFiltered, ContextOverflow, MalformedReply, ToolsUnsupported)


class FallbackBackend:
    """Ask the first backend; when its provider fails, ask the next at once, and stay with the one that answers.

    A provider fails with any BackendError but ContextOverflow, MalformedReply, ToolsUnsupported and ContentFiltered,
    which are about the request. When all have failed, one of their errors is raised: the first that may pass, so that
    the loop waits and tries again, else the last. `name` and `capabilities` are those of the current backend, as are
    all attributes this class lacks. Sync and async backends cannot be mixed.
    """

    def __init__(self, backends: Sequence[object]) -> None:
        if not isinstance(backends, (list, tuple)) or not backends:
            raise TypeError(
                f"FallbackBackend takes a list of backends: FallbackBackend([first, second]), not {backends!r}"
            )
        self._models: tuple[Model, ...] = tuple(adapt(backend) for backend in backends)
        kinds = {bool(getattr(model, "is_async", False)) for model in self._models}
        if len(kinds) > 1:
            raise TypeError("FallbackBackend got sync and async backends; give it one kind")
        self.is_async = kinds.pop()
        self.no_sleep = all(getattr(model, "no_sleep", False) for model in self._models)
        self._current = 0

    def __repr__(self) -> str:
        return f"FallbackBackend({list(self._models)!r})"

    @property
    def name(self) -> str:
        return self._models[self._current].name

    @property
    def capabilities(self) -> Capabilities:
        return self._models[self._current].capabilities

    def chat(self, prompt: Prompt) -> Reply:
        return self._run(self._exchange(prompt))

    def stream(self, prompt: Prompt, on_chunk: OnChunk) -> Reply:
        """`chat`, streamed by those that can, else in one piece. After half a reply may come the next backend's."""
        return self._run(self._exchange(prompt, on_chunk))

    def close(self) -> None:
        """Close every backend that can be closed."""
        for model in self._models:
            if callable(close := getattr(model, "close", None)):
                close()

    def __getattr__(self, attribute: str) -> Any:
        if attribute.startswith("_"):  # while it is being made or copied, there is no current backend
            raise AttributeError(attribute)
        return getattr(self._models[self._current], attribute)

    def _run(self, exchange: Exchange[Reply]) -> Reply:
        return run_async(exchange) if self.is_async else run(exchange)  # type: ignore[return-value]  # see class

    def _exchange(self, prompt: Prompt, on_chunk: OnChunk | None = None) -> Exchange[Reply]:
        first, count = self._current, len(self._models)
        failures: list[BackendError] = []
        for number in range(first, first + count):
            model = self._models[number % count]
            self._current = number % count
            try:
                reply: Reply = yield _ask(model, prompt, on_chunk)
            except Exception as error:
                failure = as_backend_error(error)
                if failure is None or isinstance(failure, _OWN_FAULT):
                    raise
                failures.append(failure.with_traceback(None))  # which would hold this frame, and that the failure
                if len(failures) < count:
                    following = self._models[(number + 1) % count].name
                    warn(f"{model.name} failed ({type(failure).__name__}: {failure}); going on with {following}")
            else:
                if on_chunk is not None and not hasattr(model, "stream"):
                    show_whole(reply, on_chunk)
                return reply
        self._current = first
        raise next((failure for failure in failures if failure.retriable), failures[-1])


def _ask(model: Model, prompt: Prompt, on_chunk: OnChunk | None) -> Any:
    stream = getattr(model, "stream", None)
    return model.chat(prompt) if on_chunk is None or stream is None else stream(prompt, on_chunk)
