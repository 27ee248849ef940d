"""Run one tool call. Whatever the tool does, a `ToolResult` comes of it; only what stops the run passes through."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Awaitable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from looplet._clock import milliseconds_since
from looplet._core.arguments import own_copy
from looplet._core.to_text import to_text
from looplet.errors import BackendTimeout, ConnectionFailed, RateLimited, ToolValidationError
from looplet.tools.context import ToolContext
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Generator

    from looplet.tools.spec import ToolSpec

_ERROR_CHARS = 4_000
_KINDS: tuple[tuple[type[BaseException], ErrorKind], ...] = (
    (ToolValidationError, ErrorKind.VALIDATION),
    (TimeoutError, ErrorKind.TIMEOUT),
    (BackendTimeout, ErrorKind.TIMEOUT),
    (ConnectionError, ErrorKind.NETWORK),
    (ConnectionFailed, ErrorKind.NETWORK),
    (RateLimited, ErrorKind.RATE_LIMIT),
)
_NETWORK_NAMES = {"gaierror", "herror"}  # of `socket`, which is not imported for two names
_CANCELLED = "the tool was not cancelled itself: something it waited for was"
_RETRIABLE = {ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.RATE_LIMIT}


def execute(spec: ToolSpec, call: ToolCall, context: ToolContext | None = None) -> ToolResult | Unfinished:
    """Run a validated call. An async tool gives an awaitable of its result.

    `context` collects the warnings of this call. The tool gets arguments of its own: what it does to them must not
    change what the call was.
    """
    context = context or ToolContext()
    began = perf_counter()
    try:
        value = spec.run(own_copy(call.args), context)
        if isinstance(value, (Awaitable, AsyncIterator)):
            return Unfinished(value, call, context, began)
        return _result(value, call, context, began)
    except BaseException as error:  # boundary: the tool's own code
        if _stops_the_run(error):
            raise
        return _failure(error, call, context, began)


class Unfinished:
    """The result of an async tool, once it is awaited. `close()` gives up one that nobody will await."""

    __slots__ = ("_about", "_value")

    def __init__(self, value: Any, call: ToolCall, context: ToolContext, began: float) -> None:
        self._value = value
        self._about = (call, context, began)

    def __await__(self) -> Generator[Any, Any, ToolResult]:
        return _finish(self._value, *self._about).__await__()

    def close(self) -> None:
        if hasattr(self._value, "close"):  # a coroutine warns when it is collected without having run
            self._value.close()


async def _finish(value: Any, call: ToolCall, context: ToolContext, began: float) -> ToolResult:
    try:
        value = await value if isinstance(value, Awaitable) else [item async for item in value]
        return _result(value, call, context, began)
    except BaseException as error:  # boundary: the tool's own code
        if _stops_the_run(error):
            raise
        return _failure(error, call, context, began)


def _stops_the_run(error: BaseException) -> bool:
    """Ctrl-C, a closing generator, and a cancellation of the task that runs the tool; not one that began inside it."""
    if isinstance(error, (Exception, SystemExit)):
        return False
    asyncio = _cancellation_of(error)
    if asyncio is None:
        return True
    try:
        task = asyncio.current_task()
    except RuntimeError:  # no event loop in this thread
        return False
    return task is not None and task.cancelling() > 0


def _cancellation_of(error: BaseException) -> Any:
    """`asyncio` when `error` is its CancelledError. While nobody has imported it, nobody can have raised that."""
    asyncio = sys.modules.get("asyncio")
    return asyncio if asyncio is not None and isinstance(error, asyncio.CancelledError) else None


def _result(value: Any, call: ToolCall, context: ToolContext, began: float) -> ToolResult:
    if isinstance(value, Iterator):
        value = list(value)  # can be read once only, and the trace, the hooks and the model all want to
    duration = milliseconds_since(began)
    if isinstance(value, ToolResult):
        return _own_result(value, call, context, duration)
    return ToolResult(call.tool, value, duration_ms=duration, warnings=tuple(context.warnings))


def _own_result(result: ToolResult, call: ToolCall, context: ToolContext, duration: float) -> ToolResult:
    """A result the tool made itself, with what the trace and the hooks rely on put right."""
    return result.replace(
        tool=call.tool,
        error=None if result.error is None else to_text(result.error, _ERROR_CHARS),
        error_kind=_known_kind(result.error_kind),
        duration_ms=result.duration_ms or duration,
        warnings=(*result.warnings, *context.warnings),
    )


def _known_kind(kind: Any) -> ErrorKind | None:
    try:
        return None if kind is None else ErrorKind(kind)
    except ValueError:
        return ErrorKind.EXECUTION


def _failure(error: BaseException, call: ToolCall, context: ToolContext, began: float) -> ToolResult:
    kind = _kind_of(error)
    text = to_text(error, _ERROR_CHARS)
    return ToolResult(
        call.tool,
        error=f"{text} ({_CANCELLED})" if kind is ErrorKind.CANCELLED else text,
        error_kind=kind,
        error_retriable=kind in _RETRIABLE,
        duration_ms=milliseconds_since(began),
        warnings=tuple(context.warnings),
    )


def _kind_of(error: BaseException) -> ErrorKind:
    if _cancellation_of(error) is not None:
        return ErrorKind.CANCELLED
    if isinstance(error, OSError) and not _NETWORK_NAMES.isdisjoint(kind.__name__ for kind in type(error).__mro__):
        return ErrorKind.NETWORK
    return next((kind for kinds, kind in _KINDS if isinstance(error, kinds)), ErrorKind.EXECUTION)
