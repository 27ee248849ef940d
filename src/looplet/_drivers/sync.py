"""Drive the core from a plain `for`."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from looplet._drivers.performer import Outcome, Performer, finished_step
from looplet._drivers.portal import Portal
from looplet.effects import AwaitHook, CallModel, Emit, RunTools, Sleep
from looplet.errors import BackendError, HookError

if TYPE_CHECKING:
    from looplet._drivers.performer import Ports
    from looplet.effects import Decided, Effect, Flow
    from looplet.messages import Prompt, Reply
    from looplet.types import Step, ToolResult


class SyncDriver(Performer):
    """Performs each effect where it stands; async tools run on one background event loop a run."""

    def __init__(self, flow: Flow[None], ports: Ports) -> None:
        super().__init__(flow, ports)
        self._portal = Portal()

    def advance(self) -> Step | None:
        """Return the next finished step, or None when the flow has ended."""
        if not self.looked:
            self.ports.look()
            self.looked = True
        outcome = Outcome()
        while (effect := self.resume(outcome)) is not None:
            outcome = self._outcome(effect)
            if step := finished_step(effect, outcome):
                return step
        return None

    def _outcome(self, effect: Effect) -> Outcome:
        try:
            return Outcome(self._perform(effect))
        except StopIteration as error:  # thrown into a generator it would end it silently
            return Outcome(failure=BackendError(f"a backend or tool raised StopIteration: {error}"))
        except Exception as error:  # noqa: BLE001  # the core decides what each failure means
            return Outcome(failure=error)

    def finish(self, last: Flow[None]) -> None:
        try:
            super().finish(last)
        finally:
            self._portal.close()

    def _perform(self, effect: Effect) -> Any:
        match effect:
            case Emit():
                self.ports.announcer.tell(effect.event)
            case CallModel():
                return self._call_model(effect.prompt, effect.call)
            case RunTools():
                return [self._run_tool(decision) for decision in effect.decided]
            case Sleep():
                if self.ports.sleeps:
                    time.sleep(effect.seconds)
            case AwaitHook():
                if hasattr(effect.awaitable, "close"):
                    effect.awaitable.close()
                raise HookError("a hook answered with an awaitable in a sync run; use async_composable_loop")
        return None

    def _call_model(self, prompt: Prompt, call: int) -> tuple[Reply, float]:
        began = time.perf_counter()
        try:
            reply = self.ports.chat(prompt, call)
        finally:
            self.ports.look()
        if hasattr(reply, "__await__"):
            reply.close()
            raise TypeError("chat() returned an awaitable; use async_composable_loop")
        return reply, (time.perf_counter() - began) * 1000

    def _run_tool(self, decision: Decided) -> ToolResult:
        if decision.result is not None:
            return decision.result
        result = self.ports.run_tool(decision.call)
        if hasattr(result, "__await__"):
            finished: ToolResult = self._portal.run(result)
            return finished
        return result
