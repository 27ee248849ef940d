"""The controller's side of an xdist worker: what it is told, and that a dead one cannot be told anything."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable


def watch_commands(node: Any, before: Callable[[], None], may_be_dead: Callable[[], bool]) -> None:
    """Call `before` ahead of every command to this worker, and let commands to a dead worker pass.

    A worker that dies is known to xdist by an event in its queue. A command sent before that event is handled raises
    OSError and ends the session with an internal error; xdist ignores this for the command `shutdown` only. Nothing is
    lost by ignoring it for the others: the event follows, and with it everything assigned to the worker is given to
    others. xdist has no hook for this, so its method is wrapped.
    """
    send = node.sendcommand

    def send_if_alive(name: str, **arguments: object) -> None:
        before()
        try:
            send(name, **arguments)
        except OSError:
            if not may_be_dead():
                raise

    node.sendcommand = send_if_alive
