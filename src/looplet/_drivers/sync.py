"""Drive the core from a plain `for`."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any

from looplet._clock import milliseconds_since
from looplet._drivers.performer import Outcome, Performer, Wave, close_unstarted, finished_step
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
                return self._run_wave(Wave(effect.decided, self.ports.announcer))
            case Sleep():
                self._sleep(effect.seconds)
            case AwaitHook():
                close_unstarted(effect.awaitable)
                raise HookError("a hook answered with an awaitable in a sync run; use async_composable_loop")
        return None

    def _sleep(self, seconds: float) -> None:
        token = self.ports.cancel_token
        if token is not None:
            token.wait(seconds if self.ports.sleeps else 0.0)
        elif self.ports.sleeps:
            time.sleep(seconds)

    def _call_model(self, prompt: Prompt, call: int) -> tuple[Reply, float]:
        began = time.perf_counter()
        try:
            reply = self._chat(prompt, call)
        finally:
            self.ports.look()
        if hasattr(reply, "__await__"):
            close_unstarted(reply)
            raise TypeError("chat() returned an awaitable; use async_composable_loop")
        return reply, milliseconds_since(began)

    def _chat(self, prompt: Prompt, call: int) -> Any:
        token = self.ports.cancel_token
        if token is None:
            return self.ports.chat(prompt, call)
        from looplet._drivers.threads import interruptible  # threads only for runs that can be cancelled

        return interruptible(lambda: self.ports.chat(prompt, call), token)

    def _run_wave(self, wave: Wave) -> list[ToolResult]:
        token = self.ports.cancel_token
        if token is None and len(wave.to_run) <= 1 and all(call.timeout_s is None for _, call in wave.to_run):
            for number, decision in wave.to_run:
                wave.finished(number, self._run_tool(decision), None)
            return wave.results()
        from looplet._drivers.threads import Crew  # for calls that may be abandoned, or run side by side

        crew = Crew(token)
        for number, decision in wave.to_run:
            crew.start(
                number,
                partial(self._run_tool, decision),
                timeout_s=decision.timeout_s,
                call_id=decision.call.call_id,
            )
        crew.collect(wave.finished)
        return wave.results()

    def _run_tool(self, decision: Decided) -> ToolResult:
        result = self.ports.run_tool(decision)
        if hasattr(result, "__await__"):
            finished: ToolResult = self._portal.run(result)
            return finished
        return result
