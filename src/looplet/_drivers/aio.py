"""Drive the core from `async for`. Blocking backends and tools run in threads, so the event loop stays free."""

from __future__ import annotations

import asyncio
import inspect
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from looplet._clock import milliseconds_since
from looplet._drivers.performer import Outcome, Performer, Wave, finished_step
from looplet._drivers.tasks import AsyncCrew, in_thread
from looplet.effects import AwaitHook, CallModel, Emit, RunTools, Sleep
from looplet.errors import BackendError, Cancelled

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from looplet.effects import Decided, Effect
    from looplet.messages import Prompt, Reply
    from looplet.types import Step, ToolResult


class AsyncDriver(Performer):
    """Performs each effect on the running event loop."""

    async def advance(self) -> Step | None:
        """Return the next finished step, or None when the flow has ended."""
        if not self.looked:
            await in_thread(self.ports.look)
            self.looked = True
        outcome = Outcome()
        while (effect := self.resume(outcome)) is not None:
            outcome = await self._outcome(effect)
            if step := finished_step(effect, outcome):
                return step
        return None

    async def _outcome(self, effect: Effect) -> Outcome:
        try:
            return Outcome(await self._perform(effect))
        except StopAsyncIteration as error:  # would end the user's `async for` silently
            return Outcome(failure=BackendError(f"a backend or tool raised StopAsyncIteration: {error}"))
        except Exception as error:  # noqa: BLE001  # the core decides what each failure means
            return Outcome(failure=error)

    async def _perform(self, effect: Effect) -> Any:
        match effect:
            case Emit():
                self.ports.announcer.tell(effect.event)
            case CallModel():
                return await self._call_model(effect.prompt, effect.call)
            case RunTools():
                return await self._run_wave(Wave(effect.decided, self.ports.announcer))
            case Sleep():
                if self.ports.sleeps:
                    with suppress(Cancelled):  # the core looks at the token before the next request
                        await self._or_cancelled(asyncio.sleep(effect.seconds))
            case AwaitHook():
                return await effect.awaitable
        return None

    async def _call_model(self, prompt: Prompt, call: int) -> tuple[Reply, float]:
        began = time.perf_counter()
        try:
            reply = await self._or_cancelled(self._chat(prompt, call))
        finally:
            await in_thread(self.ports.look)
        return reply, milliseconds_since(began)

    async def _chat(self, prompt: Prompt, call: int) -> Any:
        chat = self.ports.chat
        reply = chat(prompt, call) if self.ports.chat_is_async else await in_thread(chat, prompt, call)
        return await reply if inspect.isawaitable(reply) else reply

    async def _or_cancelled(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Await `work`; when the run's token is cancelled first, abandon it and raise Cancelled."""
        token = self.ports.cancel_token
        if token is None:
            return await work
        outcome: list[tuple[Any, BaseException | None]] = []
        crew = AsyncCrew(token)
        crew.start(0, work)
        await crew.collect(lambda _key, value, error: outcome.append((value, error)))
        value, error = outcome[0]
        if error is not None:
            raise error
        return value

    async def _run_wave(self, wave: Wave) -> list[ToolResult]:
        crew = AsyncCrew(self.ports.cancel_token)
        for number, decision in wave.to_run:
            crew.start(number, self._run_tool(decision), timeout_s=decision.timeout_s, call_id=decision.call.call_id)
        await crew.collect(wave.finished)
        return wave.results()

    async def _run_tool(self, decision: Decided) -> ToolResult:
        result = await in_thread(self.ports.run_tool, decision)
        if inspect.isawaitable(result):
            result = await result
        finished: ToolResult = result
        return finished
