"""A crew hands out every result that is there, also when the run is about to end, and looks away from the rest."""

from __future__ import annotations

import asyncio
import gc
import threading
from typing import Any

import pytest

from looplet._drivers.tasks import AsyncCrew
from looplet._drivers.threads import Crew
from looplet.cancel import CancelToken
from looplet.errors import Cancelled


class Results:
    """Keeps what is handed out; anything but a cancellation ends the run."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, Any]] = []

    def __call__(self, key: int, value: Any, error: BaseException | None) -> None:
        if error is not None and not isinstance(error, Cancelled):
            raise error
        self.seen.append((key, value if error is None else str(error)))


def interrupt() -> None:
    raise KeyboardInterrupt


def wait_for_calls() -> None:
    for thread in threading.enumerate():
        if thread.name == "looplet-call":
            thread.join()


def test_an_interrupt_in_one_call_does_not_lose_what_another_has_finished() -> None:
    crew, results = Crew(None), Results()
    crew.start(0, interrupt)
    wait_for_calls()
    crew.start(1, lambda: "finished")
    wait_for_calls()
    with pytest.raises(KeyboardInterrupt):
        crew.collect(results)
    assert results.seen == [(1, "finished")]


@pytest.mark.parametrize("failing", range(6))  # asyncio says in no order which tasks are done
def test_a_failure_in_one_task_does_not_lose_what_others_have_finished(failing: int) -> None:
    results = Results()

    async def work(n: int) -> int:
        if n == failing:
            raise ArithmeticError
        return n

    async def main() -> None:
        crew = AsyncCrew(None)
        for n in range(6):
            crew.start(n, work(n))
        with pytest.raises(ArithmeticError):
            await crew.collect(results)

    asyncio.run(main())
    assert sorted(results.seen) == [(n, n) for n in range(6) if n != failing]


def test_a_call_that_was_cancelled_before_it_came_is_not_begun() -> None:
    token, results, begun = CancelToken(), Results(), []
    token.cancel_call("b")

    async def work() -> None:
        begun.append("async")

    async def main() -> None:
        crew = AsyncCrew(token)
        crew.start(1, work(), call_id="b")
        await crew.collect(results)

    crew = Crew(token)
    crew.start(0, lambda: begun.append("sync"), call_id="b")
    crew.collect(results)
    asyncio.run(main())
    assert results.seen == [(0, "cancelled before it began"), (1, "cancelled before it began")]
    assert begun == []


def test_an_abandoned_task_that_makes_an_error_of_it_is_not_complained_about() -> None:
    token, complaints = CancelToken(), []

    async def stubborn() -> None:
        try:
            token.cancel()
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            raise ArithmeticError from None

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: complaints.append(context["message"]))
        crew = AsyncCrew(token)
        crew.start(0, stubborn())
        await crew.collect(Results())
        del crew
        while len(asyncio.all_tasks()) > 1:
            await asyncio.sleep(0)
        gc.collect()

    asyncio.run(main())
    assert complaints == []
