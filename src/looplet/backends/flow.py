"""One exchange with a provider, written once as a generator, run with blocking or with async requests.

The generator yields what its transport returned: the answer itself, or an awaitable of it. What it gets back is the
answer; what the request raised is raised at the `yield`.
"""

from __future__ import annotations

from functools import partial
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
    go_on = partial(exchange.send, None)
    while True:
        try:
            request = go_on()
        except StopIteration as end:
            result: T = end.value
            return result
        try:
            answer = await request
        except Exception as error:  # noqa: BLE001  # the exchange decides what it means
            go_on = partial(exchange.throw, error)
        else:
            go_on = partial(exchange.send, answer)
