"""`AsyncRun`: the run of `async_composable_loop`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._core.loop import loop
from looplet._drivers.aio import AsyncDriver
from looplet.run import BaseRun

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from looplet._drivers.performer import Ports
    from looplet.state import RunState
    from looplet.types import Step


class AsyncRun(BaseRun):
    """One execution of an agent under asyncio; `async with` ends it even when the body breaks or raises."""

    def __init__(self, state: RunState, ports: Ports) -> None:
        self._driver = AsyncDriver(loop(state), ports)
        super().__init__(state, self._driver)

    def __aiter__(self) -> AsyncIterator[Step]:
        return self

    async def __anext__(self) -> Step:
        if self._finished:
            raise StopAsyncIteration
        self._enter()
        try:
            step = await self._driver.advance()
        except BaseException as error:
            self._fail(error)
            raise
        self._advancing = False
        if step is None:
            self._finish("closed")
            raise StopAsyncIteration
        return step

    async def aclose(self) -> None:
        """End the run here; its stop reason is `closed` unless it had one already. Closing twice is harmless."""
        self._close()

    async def __aenter__(self) -> AsyncRun:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self._fail(error)
        self._close()
