"""What both drivers share: the flow they drive, telling journals and watchers, and the way out of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.effects import Emit
from looplet.events import StepFinished

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator

    from looplet._core.hook_table import HookTable
    from looplet.effects import Effect, Flow
    from looplet.events import Event
    from looplet.messages import Prompt
    from looplet.types import Step, ToolCall, ToolResult


class Announcer:
    """Tells a run's journals and watchers what happened. Knows nothing of the run, so it makes no reference cycle."""

    def __init__(self, hooks: HookTable) -> None:
        self._journals = hooks.journals
        self._watchers = hooks.on_event
        self._complained: set[str] = set()

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
                self._complain(watcher.name, error)

    def close(self) -> None:
        for journal in self._journals:
            journal.close()

    def _complain(self, name: str, error: Exception) -> None:
        """Once a watcher: a broken one would otherwise log on every event."""
        if name not in self._complained:
            self._complained.add(name)
            warn(f"{name}.on_event() raised {type(error).__name__}: {error}; the run goes on, this is logged once")


class Ports(Record):
    """The outside world of one run: its model, its tools, who is told, and whether waiting is real.

    `chat_is_async` says that `chat` returns an awaitable.
    """

    chat: Callable[[Prompt], Any]
    run_tool: Callable[[ToolCall], ToolResult | Awaitable[ToolResult]]
    announcer: Announcer
    chat_is_async: bool = False
    sleeps: bool = True


class Performer:
    """Holds the flow of one run. A driver adds `advance()`, which performs effects until there is a step to show."""

    def __init__(self, flow: Flow[None], ports: Ports) -> None:
        self.flow: Generator[Effect, Any, None] = flow
        self.ports = ports

    def resume(self, value: Any, failure: Exception | None) -> Effect | None:
        """Hand the last outcome to the flow and return its next effect; None when it has ended."""
        try:
            return self.flow.send(value) if failure is None else self.flow.throw(failure)
        except StopIteration:
            return None

    def finish(self, last: Flow[None]) -> None:
        """Abandon the flow, run the teardown flow (it only emits), and close the journals."""
        self.flow.close()
        try:
            for effect in last:
                if isinstance(effect, Emit):
                    self.ports.announcer.tell(effect.event)
        finally:
            self.ports.announcer.close()


def finished_step(effect: Effect, failure: Exception | None) -> Step | None:
    """The step to show now, if performing `effect` has just finished one."""
    if failure is None and type(effect) is Emit and type(effect.event) is StepFinished:
        return effect.event.step
    return None


def warn(message: str) -> None:
    """Log a warning; without any logging set-up Python prints it to stderr."""
    import logging  # 3 ms that only a run with something to say pays

    logging.getLogger("looplet").warning("%s", message)
