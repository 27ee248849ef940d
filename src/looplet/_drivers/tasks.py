"""Tasks and threads under asyncio that nobody has to wait for: the async counterpart of `threads.py`."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import suppress
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from looplet._drivers.performer import Abandoned, not_begun
from looplet.errors import BackendError, Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from looplet.cancel import CancelToken

    Finished = Callable[[int, Any, BaseException | None], None]


class AsyncCrew:
    """`threads.Crew` for coroutines: hands out results as they come, abandons what is late or cancelled."""

    def __init__(self, token: CancelToken | None) -> None:
        self._token = token
        self._tasks: dict[asyncio.Task[Any], int] = {}
        self._deadlines: dict[int, float] = {}
        self._call_ids: dict[int, str] = {}
        self._not_begun: list[int] = []
        self._woken = asyncio.Event()

    def start(
        self, key: int, work: Coroutine[Any, Any, Any], *, timeout_s: float | None = None, call_id: str = ""
    ) -> None:
        """Begin a call, unless it was cancelled before."""
        if self._token is not None and self._token.covers(call_id):
            work.close()
            self._not_begun.append(key)
            return
        self._tasks[asyncio.ensure_future(work)] = key
        self._call_ids[key] = call_id
        if timeout_s is not None:
            self._deadlines[key] = time.monotonic() + timeout_s

    async def collect(self, finished: Finished) -> None:
        """Call `finished` once for every coroutine started, in the order in which they end."""
        loop = asyncio.get_running_loop()
        unsubscribe = None
        if self._token is not None:
            unsubscribe = self._token.subscribe(lambda: _wake(loop, self._woken))
        waker = asyncio.ensure_future(self._woken.wait())
        try:
            for key in self._not_begun:
                finished(key, None, not_begun())
            self._give_up(finished)
            while self._tasks:
                done, _ = await asyncio.wait(
                    {*self._tasks, waker}, timeout=self._time_left(), return_when=asyncio.FIRST_COMPLETED
                )
                for task in done - {waker}:
                    self._hand_over(task, finished)
                if waker in done:
                    self._woken.clear()
                    waker = asyncio.ensure_future(self._woken.wait())
                self._give_up(finished)
        except BaseException:  # the run ends here, but what has finished is not to be lost
            self._hand_over_the_rest(finished)
            raise
        finally:
            waker.cancel()
            for task in self._tasks:  # the run itself was cancelled, or `finished` raised
                _abandon(task)
            if unsubscribe is not None:
                unsubscribe()

    def _time_left(self) -> float | None:
        now = time.monotonic()
        return max(0.0, min(self._deadlines.values()) - now) if self._deadlines else None

    def _hand_over(self, task: asyncio.Task[Any], finished: Finished) -> None:
        key = self._tasks.pop(task)
        self._deadlines.pop(key, None)
        error = asyncio.CancelledError() if task.cancelled() else task.exception()
        finished(key, None if error else task.result(), error)

    def _hand_over_the_rest(self, finished: Finished) -> None:
        """Hand out the results that are there; nothing is waited for, and failures give way to the one raised."""
        for task in [task for task in self._tasks if task.done() and not task.cancelled() and not task.exception()]:
            self._hand_over(task, finished)

    def _give_up(self, finished: Finished) -> None:
        """Cancel, and do not wait for, what is late or covered by the token."""
        now = time.monotonic()
        for task, key in list(self._tasks.items()):
            late = self._deadlines.get(key, now + 1) <= now
            if late or (self._token is not None and self._token.covers(self._call_ids[key])):
                del self._tasks[task]
                self._deadlines.pop(key, None)
                _abandon(task)
                finished(key, None, Abandoned() if late else Cancelled())


def _abandon(task: asyncio.Task[Any]) -> None:
    """Cancel a task and look away: asyncio would complain about an exception that nobody retrieves."""
    task.cancel()
    task.add_done_callback(lambda done: done.cancelled() or done.exception())


def _wake(loop: asyncio.AbstractEventLoop, event: asyncio.Event) -> None:
    with suppress(RuntimeError):  # the loop was closed meanwhile
        loop.call_soon_threadsafe(event.set)


async def in_thread(function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a blocking function in a daemon thread, with the caller's context variables.

    Not asyncio's own executor: closing the event loop waits for its threads, and a hung call would never let it go.
    """
    loop = asyncio.get_running_loop()
    future: asyncio.Future[Any] = loop.create_future()
    context = copy_context()

    def settle(value: Any, error: BaseException | None) -> None:
        if not future.done():  # else nobody waits any more
            future.set_exception(error) if error is not None else future.set_result(value)

    def work() -> None:
        value: Any = None
        error: BaseException | None = None
        try:
            value = context.run(function, *arguments)
        except StopIteration as stop:  # a future cannot carry it
            error = BackendError(f"a backend or tool raised StopIteration: {stop}")
        except BaseException as raised:  # noqa: BLE001  # raised in the task that waits
            error = raised
        with suppress(RuntimeError):  # the loop was closed meanwhile
            loop.call_soon_threadsafe(settle, value, error)

    threading.Thread(target=work, name="looplet-call", daemon=True).start()
    return await future
