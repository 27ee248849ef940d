"""One exchange with a provider, written once as a generator, run with blocking or with async requests.

The generator yields what its transport returned: the answer itself, or an awaitable of it. What it gets back is the
answer; what the request raised is raised at the `yield`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Generator

    T = TypeVar("T")
    Exchange = Generator[Any, Any, T]  # Any: an answer or an awaitable, which only the two functions below tell apart


def run(exchange: Exchange[T]) -> T:
    """Run an exchange whose requests block."""
    answer = None
    while True:
        try:
            answer = exchange.send(answer)
        except StopIteration as end:
            result: T = end.value
            return result


async def run_async(exchange: Exchange[T]) -> T:
    """Run an exchange whose requests are awaited."""
    answer, failure = None, None
    while True:
        try:
            request = exchange.send(answer) if failure is None else exchange.throw(failure)
        except StopIteration as end:
            result: T = end.value
            return result
        finally:
            failure = None  # it holds this frame by its traceback
        try:
            answer = await request
        except Exception as error:  # noqa: BLE001  # the exchange decides what it means
            failure = error
