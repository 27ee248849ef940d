from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from tests.support.strategies import JSON, patient

from looplet.errors import BackendTimeout, ConnectionFailed, RateLimited, ToolValidationError
from looplet.tools.context import ToolContext
from looplet.tools.execute import execute
from looplet.tools.registry import BaseToolRegistry
from looplet.tools.spec import ToolSpec
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Iterator


def run(function: Any, context: ToolContext | None = None, **args: Any) -> ToolResult:
    """Execute to the end, sync or async."""
    spec = ToolSpec("act", parameters=dict.fromkeys(args, "any"), execute=function)
    result = execute(spec, ToolCall("act", args), context)
    if isinstance(result, ToolResult):
        return result

    async def finish(pending: Awaitable[ToolResult]) -> ToolResult:
        return await pending

    return asyncio.run(finish(result))


def raising(error: BaseException) -> Any:
    def act() -> None:
        raise error

    return act


def raising_later(error: BaseException) -> Any:
    async def act() -> None:
        raise error

    return act


class UnreadableError(Exception):
    def __str__(self) -> str:
        raise KeyError("no")


@patient
@given(JSON)
def test_what_the_tool_returns_is_the_data_uncut(value: object) -> None:
    result = run(lambda: value)
    assert result.data is value
    assert result.ok


def test_arguments_are_given_by_name() -> None:
    assert run(lambda *, a, b: (a, b), a=1, b=[2]).data == (1, [2])


@pytest.mark.parametrize("failing", [raising, raising_later], ids=["sync", "async"])
@pytest.mark.parametrize(
    ("error", "text", "kind", "retriable"),
    [
        (ValueError("bad"), "ValueError: bad", ErrorKind.EXECUTION, False),
        (ValueError(), "ValueError", ErrorKind.EXECUTION, False),
        (PermissionError("no"), "PermissionError: no", ErrorKind.EXECUTION, False),
        (SystemExit(2), "SystemExit: 2", ErrorKind.EXECUTION, False),
        (ToolValidationError("which?"), "ToolValidationError: which?", ErrorKind.VALIDATION, False),
        (TimeoutError("late"), "TimeoutError: late", ErrorKind.TIMEOUT, True),
        (socket.gaierror("no such host"), "gaierror: no such host", ErrorKind.NETWORK, True),
        (socket.herror("no such host"), "herror: no such host", ErrorKind.NETWORK, True),
        (FileNotFoundError("x"), "FileNotFoundError: x", ErrorKind.EXECUTION, False),
        (ConnectionResetError("gone"), "ConnectionResetError: gone", ErrorKind.NETWORK, True),
        (BackendTimeout("late"), "BackendTimeout: late", ErrorKind.TIMEOUT, True),
        (ConnectionFailed("gone"), "ConnectionFailed: gone", ErrorKind.NETWORK, True),
        (RateLimited("slow down"), "RateLimited: slow down", ErrorKind.RATE_LIMIT, True),
        (UnreadableError(), "<UnreadableError, unreadable>", ErrorKind.EXECUTION, False),
    ],
    ids=lambda value: repr(value) if isinstance(value, BaseException) else "",
)
def test_an_exception_becomes_a_classified_error(
    failing: Any, error: BaseException, text: str, kind: ErrorKind, retriable: bool
) -> None:
    result = run(failing(error))
    assert (result.error, result.error_kind, result.error_retriable) == (text, kind, retriable)
    assert result.tool == "act"
    assert result.data is None


def test_a_tool_that_raises_stopiteration_is_an_error_result() -> None:
    assert run(raising(StopIteration(1))).error == "StopIteration: 1"


@pytest.mark.parametrize("error", [KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("failing", [raising, raising_later], ids=["sync", "async"])
def test_interruption_passes_through(failing: Any, error: BaseException) -> None:
    with pytest.raises(type(error)):
        run(failing(error))


async def waits_for_what_is_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(9))
    task.cancel()
    await task


@pytest.mark.parametrize(
    "act",
    [raising(asyncio.CancelledError()), raising_later(asyncio.CancelledError()), waits_for_what_is_cancelled],
    ids=["sync", "async", "task"],
)
def test_a_cancellation_that_begins_inside_the_tool_is_its_failure(act: Any) -> None:
    result = run(act)
    assert result.error == "CancelledError (the tool was not cancelled itself: something it waited for was)"
    assert (result.error_kind, result.error_retriable) == (ErrorKind.CANCELLED, False)


def test_a_cancellation_of_the_run_passes_through() -> None:
    started = asyncio.Event()

    async def act() -> None:
        started.set()
        await asyncio.Event().wait()

    def at_once() -> None:
        task = asyncio.current_task()
        assert task is not None
        task.cancel()
        raise asyncio.CancelledError

    async def call(function: Any) -> object:
        result = execute(ToolSpec("act", execute=function), ToolCall("act"))
        return result if isinstance(result, ToolResult) else await result

    async def main() -> None:
        outer = asyncio.create_task(call(act))
        await started.wait()
        outer.cancel()
        with pytest.raises(asyncio.CancelledError):
            await outer
        with pytest.raises(asyncio.CancelledError):
            await asyncio.create_task(call(at_once))

    asyncio.run(main())


def test_a_tool_cannot_change_what_the_call_was() -> None:
    call = ToolCall("act", {"items": [1, {"a": [2]}], "name": "n"})

    def act(items: list[Any], name: str) -> int:
        items[1]["a"].clear()
        items.clear()
        return len(items)

    execute(ToolSpec("act", parameters={"items": "list", "name": "str"}, execute=act), call)
    assert call.args == {"items": [1, {"a": [2]}], "name": "n"}


def test_a_very_long_error_is_cut() -> None:
    assert len(run(raising(ValueError("x" * 100_000))).error or "") <= 4_000


def test_an_async_tool_gives_an_awaitable_of_its_result() -> None:
    async def act(x: int) -> int:
        await asyncio.sleep(0)
        return x + 1

    assert run(act, x=1).data == 2


def test_a_plain_function_may_return_an_awaitable() -> None:
    async def later() -> str:
        return "late"

    assert run(lambda: later()).data == "late"


def test_what_can_be_read_only_once_is_listed() -> None:
    def numbers() -> Iterator[int]:
        yield from (1, 2)

    async def later() -> AsyncIterator[int]:
        yield 1
        yield 2

    async def wrapped() -> Iterator[int]:
        return numbers()

    for function in (numbers, later, wrapped, lambda: map(int, "12"), lambda: iter([1, 2])):
        assert run(function).data == [1, 2]


def test_a_generator_that_fails_halfway_is_an_error() -> None:
    def numbers() -> Iterator[int]:
        yield 1
        raise ValueError("halfway")

    assert run(numbers).error == "ValueError: halfway"


def test_a_result_the_tool_made_itself_passes_through() -> None:
    own = ToolResult("act", error="mine", error_kind=ErrorKind.RATE_LIMIT, duration_ms=5.0, warnings=("a",))
    assert run(lambda: own) == own
    measured = run(lambda: ToolResult("act", 1))
    assert measured.data == 1
    assert measured.duration_ms > 0


def test_a_result_the_tool_made_itself_can_be_written_to_a_trace() -> None:
    wrong: Any = {"error": KeyError("x"), "error_kind": "weird"}
    result = run(lambda: ToolResult("other", **wrong))
    assert (result.tool, result.error, result.error_kind) == ("act", "KeyError: 'x'", ErrorKind.EXECUTION)
    word: Any = "timeout"
    assert run(lambda: ToolResult("act", error="late", error_kind=word)).error_kind is ErrorKind.TIMEOUT


def test_warnings_of_a_call_stand_beside_its_own_result_only() -> None:
    shared = ToolContext(task="t")

    def act(*, ctx: ToolContext, text: str) -> str:
        ctx.warn(text)
        return str(ctx.task)

    registry = BaseToolRegistry()
    registry.register(ToolSpec("act", parameters={"text": "str"}, execute=act))
    first, second = (registry.dispatch(ToolCall("act", {"text": text}), shared) for text in ("one", "two"))
    assert (first.warnings, second.warnings) == (("one",), ("two",))
    assert first.data == "t"
    assert shared.warnings == []


def test_warnings_survive_a_failure_and_a_result_of_the_tools_own() -> None:
    def fail(*, ctx: ToolContext) -> None:
        ctx.warn("careful")
        raise ValueError

    def own(*, ctx: ToolContext) -> ToolResult:
        ctx.warn("careful")
        return ToolResult("act", 1, warnings=("first",))

    assert run(fail).warnings == ("careful",)
    assert run(own).warnings == ("first", "careful")


def test_progress_reaches_whoever_listens_and_metadata_is_shared() -> None:
    heard: list[str] = []
    context = ToolContext(metadata={"n": 0}, on_progress=heard.append)

    def act(*, ctx: ToolContext) -> None:
        ctx.progress("half")
        ctx.metadata["n"] += 1

    run(act, context)
    run(act, context)
    run(act)  # nobody listens
    assert heard == ["half", "half"]
    assert context.metadata == {"n": 2}
