"""Run awaitables from synchronous code on one background event loop a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Awaitable
    from threading import Thread


class Portal:
    """A background event loop that starts with the first awaitable and ends with the run."""

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: Thread | None = None

    def run(self, awaitable: Awaitable[Any]) -> Any:
        """Block until `awaitable` is done; return or raise what it did. Context variables are those of the caller."""
        import asyncio  # 30 ms that only a run with async tools pays

        async def finish() -> Any:
            return await awaitable

        return asyncio.run_coroutine_threadsafe(finish(), self._started()).result()

    def _started(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            import asyncio
            import threading

            self._loop = asyncio.new_event_loop()
            self._thread = threading.Thread(target=self._loop.run_forever, name="looplet-async-tools", daemon=True)
            self._thread.start()
        return self._loop

    def close(self) -> None:
        if self._loop is not None and self._thread is not None:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()
            self._loop = self._thread = None
