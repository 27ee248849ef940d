"""Run one tool call. Whatever the tool does, a `ToolResult` comes of it; only Ctrl-C and cancellation pass through."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Iterator
from time import perf_counter
from typing import TYPE_CHECKING, Any

from looplet._core.to_text import to_text
from looplet.errors import BackendTimeout, ConnectionFailed, RateLimited, ToolValidationError
from looplet.tools.context import ToolContext
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Coroutine

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
_RETRIABLE = {ErrorKind.TIMEOUT, ErrorKind.NETWORK, ErrorKind.RATE_LIMIT}


def execute(
    spec: ToolSpec, call: ToolCall, context: ToolContext | None = None
) -> ToolResult | Coroutine[Any, Any, ToolResult]:
    """Run a validated call. An async tool gives an awaitable of its result."""
    context = ToolContext() if context is None else context.for_call()
    began = perf_counter()
    try:
        value = spec.run(call.args, context)
        if isinstance(value, (Awaitable, AsyncIterator)):
            return _finish(value, call, context, began)
        return _result(value, call, context, began)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # boundary: the tool's own code
        return _failure(error, call, context, began)


async def _finish(value: Any, call: ToolCall, context: ToolContext, began: float) -> ToolResult:
    try:
        value = await value if isinstance(value, Awaitable) else [item async for item in value]
        return _result(value, call, context, began)
    except (Exception, SystemExit) as error:  # noqa: BLE001  # boundary: the tool's own code
        return _failure(error, call, context, began)


def _result(value: Any, call: ToolCall, context: ToolContext, began: float) -> ToolResult:
    if isinstance(value, Iterator):
        value = list(value)  # can be read once only, and the trace, the hooks and the model all want to
    duration = _since(began)
    if isinstance(value, ToolResult):
        return value.replace(duration_ms=value.duration_ms or duration, warnings=(*value.warnings, *context.warnings))
    return ToolResult(call.tool, value, duration_ms=duration, warnings=tuple(context.warnings))


def _failure(error: BaseException, call: ToolCall, context: ToolContext, began: float) -> ToolResult:
    kind = next((kind for kinds, kind in _KINDS if isinstance(error, kinds)), ErrorKind.EXECUTION)
    return ToolResult(
        call.tool,
        error=to_text(error, _ERROR_CHARS),
        error_kind=kind,
        error_retriable=kind in _RETRIABLE,
        duration_ms=_since(began),
        warnings=tuple(context.warnings),
    )


def _since(began: float) -> float:
    return (perf_counter() - began) * 1000
