"""What both drivers share: telling journals and watchers, and the ways out of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from looplet._core.hook_table import HookTable
    from looplet.events import Event
    from looplet.messages import Prompt, Reply
    from looplet.types import ToolCall, ToolResult


class Ports(Record):
    """The outside world of one run: its model, its tools, who is told, and whether waiting is real."""

    chat: Callable[[Prompt], Reply]
    run_tool: Callable[[ToolCall], ToolResult | Awaitable[ToolResult]]
    hooks: HookTable
    sleeps: bool = True


class Announcer:
    """Write each event to the journals first, then call the watchers, whose exceptions never stop a run."""

    def __init__(self, hooks: HookTable) -> None:
        self._journals = hooks.journals
        self._watchers = hooks.on_event
        self._complained: set[str] = set()

    def tell(self, event: Event) -> None:
        for journal in self._journals:
            journal.write(event)
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
            warn(f"{name}.on_event() raised {type(error).__name__}: {error}; the run goes on, it is not told again")


def warn(message: str) -> None:
    """Log a warning; without any logging set-up Python prints it to stderr."""
    import logging  # 3 ms that only a run with something to say pays

    logging.getLogger("looplet").warning("%s", message)
