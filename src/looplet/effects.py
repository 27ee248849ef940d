"""The five things the core asks a driver to do. The helpers here are the only places in the core that `yield`.

A helper gives its effect a type: `reply = yield from call_model(prompt, 1)` has its type under mypy,
whichever driver runs it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar, cast

from looplet._record import Record
from looplet.events import Event
from looplet.messages import Prompt, Reply
from looplet.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator, Sequence

    T = TypeVar("T")
    Flow = Generator["Effect", Any, T]


class Decided(Record):
    """A call after `pre_dispatch`: to be run, or with the `result` that stands in for running it.

    `asked` is the call as the model wrote it. `native` says that the model made it as a native tool call and expects a
    tool message with its id. `notes` say what validation changed.
    `step` is the number of the step it becomes; after `timeout_s` seconds the call is abandoned.
    `known` marks a `result` that an earlier process of a resumed run got by running the call.
    """

    call: ToolCall
    asked: ToolCall
    result: ToolResult | None = None
    native: bool = True
    notes: tuple[str, ...] = ()
    step: int = 0
    timeout_s: float | None = None
    approved: bool = False
    known: bool = False


class CallModel(Record):
    """Send `prompt` as request number `call`; answers with (Reply, milliseconds)."""

    prompt: Prompt
    call: int


class RunTools(Record):
    """Run every call that has no result yet, side by side; answers with the results, in order.

    The driver announces each call's `CallFinished` as it ends: what has happened is on disk while others still run.
    """

    decided: tuple[Decided, ...]


class AwaitHook(Record):
    """Await what an async hook returned; answers with its value."""

    awaitable: Any


class Sleep(Record):
    """Wait between two attempts."""

    seconds: float


class Emit(Record):
    """Write the event to the journals, then tell the watchers."""

    event: Event


Effect = CallModel | RunTools | AwaitHook | Sleep | Emit


def call_model(prompt: Prompt, call: int) -> Flow[tuple[Reply, float]]:
    return cast("tuple[Reply, float]", (yield CallModel(prompt, call)))


def run_tools(decided: Sequence[Decided]) -> Flow[list[ToolResult]]:
    return cast("list[ToolResult]", (yield RunTools(tuple(decided))))


def await_hook(awaitable: Awaitable[Any]) -> Flow[Any]:
    return (yield AwaitHook(awaitable))


def sleep(seconds: float) -> Flow[None]:
    yield Sleep(seconds)


def emit(event: Event) -> Flow[None]:
    yield Emit(event)
