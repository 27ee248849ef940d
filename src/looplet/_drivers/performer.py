"""What both drivers share: the flow they drive, telling journals and watchers, and the way out of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.effects import Emit
from looplet.errors import Cancelled
from looplet.events import CallFinished, StepFinished
from looplet.types import ErrorKind, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from looplet._core.hook_table import BoundHook, HookTable
    from looplet.cancel import CancelToken
    from looplet.effects import Decided, Effect, Flow
    from looplet.events import Event
    from looplet.messages import Prompt
    from looplet.types import Step


class Announcer:
    """Tells a run's journals and watchers what happened. Knows nothing of the run, so it makes no reference cycle."""

    def __init__(self, hooks: HookTable) -> None:
        self._journals = hooks.journals
        self._watchers = hooks.on_event
        self._complained: set[BoundHook] = set()
        self._closed = False

    def tell(self, event: Event) -> None:
        """Write the event to the journals, then show it to the watchers."""
        for journal in self._journals:
            journal.write(event)
        self.show(event)

    def show(self, event: Event) -> None:
        """Call the watchers, whose exceptions never stop a run. After the end, what was abandoned is not heard."""
        if self._closed:
            return
        for watcher in self._watchers:
            try:
                watcher.method(event)
            except Exception as error:  # noqa: BLE001  # boundary: an observer's own code
                self._complain(watcher, error)

    def close(self) -> None:
        """Fall silent and close every journal; the first failure is raised when all have been asked."""
        self._closed = True
        failures: list[Exception] = []
        for journal in self._journals:
            try:
                journal.close()
            except Exception as error:  # noqa: BLE001  # the others must be closed all the same
                failures.append(error)
        if failures:
            raise failures[0]

    def _complain(self, watcher: BoundHook, error: Exception) -> None:
        """Once a watcher: a broken one would otherwise log on every event."""
        if watcher not in self._complained:
            self._complained.add(watcher)
            name = watcher.name
            warn(f"{name}.on_event() raised {type(error).__name__}: {error}; the run goes on, this is logged once")


class Ports(Record):
    """The outside world of one run: its model, its tools, who is told, and whether waiting is real.

    `chat(prompt, call)` makes one request. `look` brings `RunState.capabilities` up to date; both may wait for the
    server. `chat_is_async` says that `chat` returns an awaitable.
    """

    chat: Callable[[Prompt, int], Any]
    look: Callable[[], None]
    run_tool: Callable[[Decided], ToolResult | Awaitable[ToolResult]]
    announcer: Announcer
    chat_is_async: bool = False
    sleeps: bool = True
    cancel_token: CancelToken | None = None


class Outcome:
    """What performing an effect came to: a value, or the exception the core has to decide about.

    The exception is handed over once and not kept: with its traceback it would hold the run alive.
    """

    __slots__ = ("failure", "value")

    def __init__(self, value: Any = None, failure: Exception | None = None) -> None:
        self.value = value
        self.failure = failure


class Performer:
    """Holds the flow of one run. A driver adds `advance()`, which performs effects until there is a step to show."""

    def __init__(self, flow: Flow[None], ports: Ports) -> None:
        self.flow: Generator[Effect, Any, None] = flow
        self.ports = ports
        self.looked = False  # whether the model was asked what it can do

    def resume(self, outcome: Outcome) -> Effect | None:
        """Hand the last outcome to the flow and return its next effect; None when it has ended."""
        failure, outcome.failure = outcome.failure, None
        try:
            if failure is None:
                return self.flow.send(outcome.value)
            effect = self.flow.throw(failure)
            failure.__traceback__ = None  # dealt with; a backend may keep the exception, and through it this run
        except StopIteration:
            return None
        finally:
            del failure
        return effect

    def finish(self, last: Flow[None]) -> None:
        """Abandon the flow, run the teardown flow (it only emits), and close the journals."""
        self.flow.close()
        try:
            for effect in last:
                if isinstance(effect, Emit):
                    self.ports.announcer.tell(effect.event)
        finally:
            self.ports.announcer.close()


class Wave:
    """The calls of one `RunTools` effect: which are to run, and their results as they come in."""

    def __init__(self, decided: Sequence[Decided], announcer: Announcer) -> None:
        self._decided = decided
        self._announcer = announcer
        self._results = {number: each.result for number, each in enumerate(decided) if each.result is not None}
        self.to_run = [(number, each) for number, each in enumerate(decided) if each.result is None]

    def finished(self, number: int, value: ToolResult | None, error: BaseException | None) -> None:
        """Keep the result of a call and announce it; what says that the run must stop is raised."""
        decision = self._decided[number]
        if error is not None and not isinstance(error, (Abandoned, Cancelled)):
            raise error
        result = value if value is not None else abandoned(decision, error)
        self._results[number] = result
        self._announcer.tell(CallFinished(decision.step, decision.call, result))

    def results(self) -> list[ToolResult]:
        return [self._results[number] for number in range(len(self._decided))]


def not_begun() -> Cancelled:
    """Why a call has no result whose cancellation came before the call."""
    return Cancelled("cancelled before it began")


class Abandoned(Exception):  # what happened to the call
    """A call took longer than it may."""


def abandoned(decision: Decided, why: BaseException | None) -> ToolResult:
    """The result of a call nobody waits for any more. What it still does, it does unseen."""
    if isinstance(why, Cancelled):
        error, kind = str(why) or "cancelled before it finished", ErrorKind.CANCELLED
    else:
        error, kind = f"no result after {decision.timeout_s:g} s, the call was abandoned", ErrorKind.TIMEOUT
    milliseconds = (decision.timeout_s or 0.0) * 1000 if kind is ErrorKind.TIMEOUT else 0.0
    return ToolResult(
        decision.call.tool,
        error=error,
        error_kind=kind,
        error_retriable=kind is ErrorKind.TIMEOUT,
        duration_ms=milliseconds,
    )


def finished_step(effect: Effect, outcome: Outcome) -> Step | None:
    """The step to show now, if performing `effect` has just finished one."""
    if outcome.failure is None and type(effect) is Emit and type(effect.event) is StepFinished:
        return effect.event.step
    return None


def close_unstarted(awaitable: object) -> None:
    """Give up what nobody will await; a coroutine would warn about that when it is collected."""
    if hasattr(awaitable, "close"):
        awaitable.close()


def warn(message: str) -> None:
    """Log a warning; without any logging set-up Python prints it to stderr."""
    import logging  # 3 ms that only a run with something to say pays

    logging.getLogger("looplet").warning("%s", message)
