"""What both drivers share: the flow they drive, telling journals and watchers, and the way out of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.effects import Emit
from looplet.events import StepFinished

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from looplet._core.hook_table import BoundHook, HookTable
    from looplet.effects import Effect, Flow
    from looplet.events import Event
    from looplet.messages import Prompt
    from looplet.types import Step, ToolCall, ToolResult


class Announcer:
    """Tells a run's journals and watchers what happened. Knows nothing of the run, so it makes no reference cycle."""

    def __init__(self, hooks: HookTable) -> None:
        self._journals = hooks.journals
        self._watchers = hooks.on_event
        self._complained: set[BoundHook] = set()

    def tell(self, event: Event) -> None:
        """Write the event to the journals, then show it to the watchers."""
        for journal in self._journals:
            journal.write(event)
        self.show(event)

    def show(self, event: Event) -> None:
        """Call the watchers, whose exceptions never stop a run."""
        for watcher in self._watchers:
            try:
                watcher.method(event)
            except Exception as error:  # noqa: BLE001  # boundary: an observer's own code
                self._complain(watcher, error)

    def close(self) -> None:
        """Close every journal; the first failure is raised when all have been asked."""
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
    run_tool: Callable[[ToolCall], ToolResult | Awaitable[ToolResult]]
    announcer: Announcer
    chat_is_async: bool = False
    sleeps: bool = True


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


def finished_step(effect: Effect, outcome: Outcome) -> Step | None:
    """The step to show now, if performing `effect` has just finished one."""
    if outcome.failure is None and type(effect) is Emit and type(effect.event) is StepFinished:
        return effect.event.step
    return None


def warn(message: str) -> None:
    """Log a warning; without any logging set-up Python prints it to stderr."""
    import logging  # 3 ms that only a run with something to say pays

    logging.getLogger("looplet").warning("%s", message)
