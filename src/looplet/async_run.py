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
    from looplet.protocols import AgentState
    from looplet.state import RunState
    from looplet.types import Step


class AsyncRun(BaseRun):
    """One execution of an agent under asyncio; `async with` ends it even when the body breaks or raises."""

    def __init__(self, state: RunState, ports: Ports, view: AgentState) -> None:
        self._driver = AsyncDriver(loop(state), ports)
        super().__init__(state, self._driver, view)

    def __aiter__(self) -> AsyncIterator[Step]:
        return self

    async def __anext__(self) -> Step:
        if self._finished:
            raise StopAsyncIteration
        self._enter()
        try:
            step = self._leave(await self._driver.advance())
        except BaseException as error:
            self._fail(error)
            raise
        if step is None:
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
        self._exit(error)
