"""What a run is doing right now, what it has spent, and whether anybody still waits for it."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from looplet.decisions import Stop
from looplet.events import CallFinished, CallStarted, ModelCalled, ModelFailed, ModelReplied, RunStarted
from looplet.types import Usage

if TYPE_CHECKING:
    from looplet.ambient import Capture
    from looplet.events import Event


class Loop:
    """One loop of a run: which model it asks, and what each reply took."""

    def __init__(self) -> None:
        self.model = ""
        self.replies: list[Usage] = []


class InFlight:
    """Watched from the main thread while the run's own thread is at work. Hooks refer to it, and it to none of them: a
    run that is back is freed at once, and a session of many does not stop while garbage is looked for.
    """

    def __init__(self) -> None:
        self.text = "nothing was called yet"
        self.thread: int | None = None
        self.capture: Capture | None = None
        self.loops: list[Loop] = []
        self._lock = threading.Lock()
        self._is_over = False
        self.given_up = False

    def watch(self) -> Watch:
        """A hook for one loop of the run."""
        self.loops.append(Loop())
        return Watch(self, self.loops[-1])

    def finish(self) -> bool:
        """The run is back. False when it was given up before: then nothing of it may be changed any more."""
        with self._lock:
            self._is_over = self._is_over or not self.given_up
            if self._is_over:
                self.capture = None  # whose hooks refer to us
            return self._is_over

    def give_up(self) -> bool:
        """Nobody waits for the run any longer. False when it is back and its outcome is about to come."""
        with self._lock:
            self.given_up = not self._is_over
            return self.given_up


class Watch:
    """The hook in one loop. A run that was given up asks the model nothing more."""

    def __init__(self, run: InFlight, loop: Loop) -> None:
        self._run = run
        self._loop = loop

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._loop.model = event.model
            case ModelCalled():
                self._run.text = f"model call {event.call} was in flight"
            case CallStarted():
                self._run.text = f"tool call {event.tool_call.tool!r} of step {event.step} was in flight"
            case ModelReplied():
                self._run.text = "no call was in flight"
                self._loop.replies.append(event.reply.usage or Usage())
            case ModelFailed() | CallFinished():
                self._run.text = "no call was in flight"

    def pre_prompt(self, *_: Any) -> Stop | None:
        return Stop("given_up") if self._run.given_up else None
