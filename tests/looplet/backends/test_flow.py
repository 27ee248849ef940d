from __future__ import annotations

import asyncio
import gc
import weakref
from typing import TYPE_CHECKING, Any

import pytest

from looplet.backends.flow import run, run_async

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.backends.flow import Exchange


async def later(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def now(value: Any) -> Any:
    if isinstance(value, Exception):
        raise value
    return value


def exchange(ask: Callable[[Any], Any]) -> Exchange[list[Any]]:
    """One request, one that fails, one more."""
    answers = [(yield ask("one"))]
    try:
        yield ask(OSError("two"))
    except OSError as error:
        answers.append(str(error))
    answers.append((yield ask("three")))
    return answers


def test_both_give_the_exchange_what_was_answered_or_raised() -> None:
    assert run(exchange(now)) == ["one", "two", "three"]
    assert asyncio.run(run_async(exchange(later))) == ["one", "two", "three"]


def test_what_the_exchange_raises_comes_out() -> None:
    def failing(ask: Callable[[Any], Any]) -> Exchange[None]:
        yield ask(KeyError("no"))

    with pytest.raises(KeyError):
        run(failing(now))
    with pytest.raises(KeyError):
        asyncio.run(run_async(failing(later)))


def test_a_failure_that_was_dealt_with_is_freed_at_once() -> None:
    class Oops(Exception):
        pass

    async def fail() -> None:
        raise Oops

    def dealing() -> Exchange[bool]:
        try:
            yield fail()
        except Oops as error:
            known = weakref.ref(error)
        yield later("on")
        return known() is None

    gc.disable()
    try:
        assert asyncio.run(run_async(dealing()))
    finally:
        gc.enable()
