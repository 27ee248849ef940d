"""`Run`: one execution of an agent, iterated by the user."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from looplet._core.finish import teardown
from looplet._core.loop import loop
from looplet._drivers.performer import warn
from looplet._drivers.sync import SyncDriver
from looplet.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from looplet._drivers.performer import Performer, Ports
    from looplet.protocols import AgentState
    from looplet.state import RunState
    from looplet.types import Step


class BaseRun:
    """What a run is under either driver: a state, a result, and exactly one end.

    A run sits in no reference cycle, so that dropping the last reference ends it at once.
    """

    def __init__(self, state: RunState, driver: Performer) -> None:
        self._run_state = state
        self._performer = driver
        self._advancing = False
        self._finished = False
        self._began: float | None = None
        self._duration = 0.0

    def __del__(self) -> None:
        if hasattr(self, "_performer") and not self._advancing:
            self._finish("closed")

    @property
    def state(self) -> AgentState:
        """The state hooks see."""
        return self._run_state.view

    @property
    def result(self) -> RunResult:
        """What the run left behind; while it is open, what it left so far, with the stop reason `running`."""
        state = self._run_state
        trace_dir = next((str(journal.dir) for journal in state.hooks.journals if hasattr(journal, "dir")), None)
        return RunResult(
            stop_reason=(state.stop or "closed") if self._finished else "running",
            task=state.task,
            output=state.output,
            steps=tuple(state.steps),
            errors=tuple(state.errors),
            usage=state.usage,
            duration=self._duration,
            trace_dir=trace_dir,
        )

    def _enter(self) -> None:
        """Begin one advance; a run that is advancing already is being used from inside itself."""
        if self._advancing:
            raise RuntimeError("next() on a run from inside one of its own hooks, tools or backends")
        if self._began is None:
            self._began = time.perf_counter()
        self._advancing = True

    def _fail(self, error: BaseException) -> None:
        """An exception leaves the run: `error`, or `cancelled` for an interrupt or a cancelled task."""
        self._advancing = False
        self._finish("error" if isinstance(error, Exception) else "cancelled", f"{type(error).__name__}: {error}")

    def _close(self) -> None:
        if self._advancing:
            raise RuntimeError("close() on a run from inside one of its own hooks; answer Stop(reason) instead")
        self._finish("closed")

    def _finish(self, reason: str, error: str | None = None) -> None:
        if self._finished:
            return
        self._finished = True
        if self._began is None:  # never started: there is nothing to tell anybody
            self._run_state.end(reason, error)
            return
        self._duration = time.perf_counter() - self._began
        self._performer.finish(teardown(self._run_state, reason, error, self._duration))
        if self._run_state.stop == "llm_error" and not self._run_state.steps:  # a beginner's `for` would print nothing
            warn(f"the run ended before its first step: {self._run_state.errors[-1]}")


class Run(BaseRun):
    """One execution of an agent: iterate it for its steps, then read `result`.

    A `break` out of `for step in composable_loop(...)` ends it. A run you gave a name stays open after `break`, and
    going on iterating continues it; `close()` or leaving a `with` block ends it.
    """

    def __init__(self, state: RunState, ports: Ports) -> None:
        self._driver = SyncDriver(loop(state), ports)
        super().__init__(state, self._driver)

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        if self._finished:
            raise StopIteration
        self._enter()
        try:
            step = self._driver.advance()
        except BaseException as error:
            self._fail(error)
            raise
        self._advancing = False
        if step is None:
            self._finish("closed")
            raise StopIteration
        return step

    def close(self) -> None:
        """End the run here; its stop reason is `closed` unless it had one already. Closing twice is harmless."""
        self._close()

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if error is not None and not isinstance(error, GeneratorExit):
            self._fail(error)
        self._close()
