"""`Run`: one execution of an agent, iterated by the user."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from looplet._core.finish import teardown
from looplet._core.loop import loop
from looplet._core.to_text import to_text
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

_ERROR_CHARS = 2_000


class BaseRun:
    """What a run is under either driver: a state, a result, and exactly one end.

    A run sits in no reference cycle, so that dropping the last reference ends it at once.
    """

    def __init__(self, state: RunState, driver: Performer, view: AgentState) -> None:
        self._run_state = state
        self._performer = driver
        self._view = view
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
        return self._view

    @property
    def result(self) -> RunResult:
        """What the run left behind; while it is open, what it left so far, with the stop reason `running`."""
        state = self._run_state
        trace_dir = next((str(journal.dir) for journal in state.hooks.journals if hasattr(journal, "dir")), None)
        return RunResult(
            stop_reason=(state.stop or "closed") if self._finished else "running",
            task=state.task,
            output=state.output,
            steps=tuple(state.steps[: state.committed]),
            errors=tuple(state.errors),
            usage=state.usage,
            duration=self._duration,
            trace_dir=trace_dir,
        )

    def _enter(self) -> None:
        """Begin one advance."""
        self._check_not_advancing("next()")
        if self._began is None:
            self._began = time.perf_counter()
        self._advancing = True

    def _leave(self, step: Step | None) -> Step | None:
        """End one advance; without a step the run is over."""
        self._advancing = False
        if step is None:
            self._finish("closed")
        return step

    def _fail(self, error: BaseException) -> None:
        """An exception leaves the run: `error`, or `cancelled` for an interrupt or a cancelled task."""
        self._advancing = False
        reason = "error" if isinstance(error, Exception) else "cancelled"
        try:
            self._finish(reason, to_text(error, _ERROR_CHARS))
        except Exception as second:  # noqa: BLE001  # the first error is the one to see
            error.add_note(f"and ending the run failed, too: {type(second).__name__}: {second}")

    def _exit(self, error: BaseException | None) -> None:
        """Leave a `with` block."""
        if error is not None and not isinstance(error, GeneratorExit):
            self._fail(error)
        self._close()

    def _close(self) -> None:
        self._check_not_advancing("close()")
        self._finish("closed")

    def _check_not_advancing(self, what: str) -> None:
        if self._advancing:
            raise RuntimeError(
                f"{what} on a run that is being advanced right now: from inside one of its own hooks, tools or "
                "backends (a hook ends a run by answering Stop), or from another task or thread"
            )

    def _finish(self, reason: str, error: str | None = None) -> None:
        if self._finished:
            return
        self._finished = True
        state = self._run_state
        try:
            if self._began is None:  # never started: there is nothing to tell anybody
                state.end(reason, error)
                return
            self._duration = time.perf_counter() - self._began
            self._performer.finish(teardown(state, reason, error, self._duration))
        finally:
            state.release()
        if state.stop == "llm_error" and not state.steps:  # a beginner's `for` would print nothing
            warn(f"the run ended before its first step: {state.errors[-1]}")


class Run(BaseRun):
    """One execution of an agent: iterate it for its steps, then read `result`.

    A `break` out of `for step in composable_loop(...)` ends it. A run you gave a name stays open after `break`, and
    going on iterating continues it; `close()` or leaving a `with` block ends it. Its stop reason is then `closed`, or
    `error` when an exception left the `with` block.
    """

    def __init__(self, state: RunState, ports: Ports, view: AgentState) -> None:
        self._driver = SyncDriver(loop(state), ports)
        super().__init__(state, self._driver, view)

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        if self._finished:
            raise StopIteration
        self._enter()
        try:
            step = self._leave(self._driver.advance())
        except BaseException as error:
            self._fail(error)
            raise
        if step is None:
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
        self._exit(error)
