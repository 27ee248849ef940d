"""Run awaitables from synchronous code on one background event loop a run."""

from __future__ import annotations

from _thread import allocate_lock  # all that is needed here of `threading`, which a sync run may never load
from typing import TYPE_CHECKING, Any

from looplet._drivers.performer import close_unstarted
from looplet.errors import Cancelled

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable
    from threading import Thread

_FAREWELL_S = 0.5  # for tasks that were cancelled; a tool that blocks the loop is left behind, its thread is a daemon


class Portal:
    """A background event loop that starts with the first awaitable and ends with the run.

    Calls of a wave come here at once, from threads of their own; one that was abandoned may even come after the end.
    """

    def __init__(self) -> None:
        self._lock = allocate_lock()  # held while work is handed to the loop: all of it comes before `_last_words`
        self._closed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Block until `awaitable` is done; return or raise what it did. Context variables are those of the caller."""
        import asyncio  # 30 ms that only a run with async tools pays

        async def finish() -> tuple[Any, BaseException | None]:
            try:
                return await awaitable, None
            except BaseException as error:  # noqa: BLE001  # raised in the caller's thread; here it would end the loop
                return None, error

        with self._lock:
            if self._closed:
                close_unstarted(awaitable)
                raise Cancelled("the run has ended")
            future = asyncio.run_coroutine_threadsafe(finish(), self._started())
        try:
            value, error = future.result()
        except BaseException:  # an interrupt while waiting
            future.cancel()
            raise
        if error is not None:
            raise error
        return value

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            import asyncio
            import threading

            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="looplet-async-tools", daemon=True)
            self._thread.start()
        return self._loop

    def close(self) -> None:
        """Cancel what is left on the loop and end it, for good."""
        with self._lock:
            loop, thread = self._loop, self._thread
            self._loop = self._thread = None
            self._closed = True
        if loop is None or thread is None:
            return
        import asyncio

        asyncio.run_coroutine_threadsafe(_last_words(), loop).add_done_callback(
            lambda _done: loop.call_soon_threadsafe(loop.stop)
        )
        thread.join(_FAREWELL_S)
        if not thread.is_alive():
            loop.close()


async def _last_words() -> None:
    import asyncio

    own = asyncio.current_task()
    tasks = [task for task in asyncio.all_tasks() if task is not own]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
