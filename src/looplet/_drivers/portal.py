"""Run awaitables from synchronous code on one background event loop a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable
    from threading import Thread

_FAREWELL_S = 0.5  # for tasks that were cancelled; a tool that blocks the loop is left behind, its thread is a daemon


class Portal:
    """A background event loop that starts with the first awaitable and ends with the run."""

    def __init__(self) -> None:
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
        """Cancel what is left on the loop and end it."""
        if self._loop is None or self._thread is None:
            return
        import asyncio

        loop, thread = self._loop, self._thread
        self._loop = self._thread = None
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
