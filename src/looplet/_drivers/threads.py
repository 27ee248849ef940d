"""Threads nobody has to wait for: a hung call is left behind when its time is up, and never holds the process."""

from __future__ import annotations

import queue
import threading
import time
from contextvars import copy_context
from typing import TYPE_CHECKING, Any

from looplet._drivers.performer import Abandoned, not_begun
from looplet.errors import Cancelled

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.cancel import CancelToken

    Finished = Callable[[int, Any, BaseException | None], None]


class Crew:
    """Runs functions side by side, each in a daemon thread with the caller's context variables.

    `collect()` hands out (key, value, error) as they finish, and (key, None, the given error) for those whose deadline
    passed or whose token was cancelled; those are abandoned: what they return later is dropped.
    """

    def __init__(self, token: CancelToken | None) -> None:
        self._token = token
        self._inbox: queue.SimpleQueue[tuple[int, Any, BaseException | None] | None] = queue.SimpleQueue()
        self._deadlines: dict[int, float | None] = {}
        self._call_ids: dict[int, str] = {}
        self._not_begun: list[int] = []

    def start(
        self, key: int, function: Callable[[], Any], *, timeout_s: float | None = None, call_id: str = ""
    ) -> None:
        """Begin a call, unless it was cancelled before."""
        if self._token is not None and self._token.covers(call_id):
            self._not_begun.append(key)
            return
        context = copy_context()

        def work() -> None:
            try:
                self._inbox.put((key, context.run(function), None))
            except BaseException as error:  # noqa: BLE001  # raised in the driver's thread
                self._inbox.put((key, None, error))

        self._deadlines[key] = None if timeout_s is None else time.monotonic() + timeout_s
        self._call_ids[key] = call_id
        threading.Thread(target=work, name="looplet-call", daemon=True).start()

    def collect(self, finished: Finished) -> None:
        """Call `finished` once for every function started, in the order in which they end."""
        unsubscribe = self._token.subscribe(lambda: self._inbox.put(None)) if self._token else None
        try:
            for key in self._not_begun:
                finished(key, None, not_begun())
            self._give_up_cancelled(finished)
            while self._deadlines:
                self._take(finished)
        except BaseException:  # the run ends here, but what has finished is not to be lost
            self._hand_over_the_rest(finished)
            raise
        finally:
            if unsubscribe is not None:
                unsubscribe()

    def _take(self, finished: Finished) -> None:
        deadlines = [deadline for deadline in self._deadlines.values() if deadline is not None]
        wait = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        try:
            item = self._inbox.get(timeout=wait)
        except queue.Empty:
            self._give_up_late(finished)
            return
        if item is None:
            self._give_up_cancelled(finished)
        elif item[0] in self._deadlines:
            del self._deadlines[item[0]]
            finished(*item)

    def _hand_over_the_rest(self, finished: Finished) -> None:
        """Hand out the results that are there; nothing is waited for, and failures give way to the one raised."""
        while not self._inbox.empty():
            item = self._inbox.get()
            if item is not None and item[0] in self._deadlines and item[2] is None:
                del self._deadlines[item[0]]
                finished(*item)

    def _give_up_late(self, finished: Finished) -> None:
        now = time.monotonic()
        for key in [key for key, deadline in self._deadlines.items() if deadline is not None and deadline <= now]:
            del self._deadlines[key]
            finished(key, None, Abandoned())

    def _give_up_cancelled(self, finished: Finished) -> None:
        for key in [key for key in self._deadlines if self._token and self._token.covers(self._call_ids[key])]:
            del self._deadlines[key]
            finished(key, None, Cancelled())


def interruptible(function: Callable[[], Any], token: CancelToken) -> Any:
    """Call `function`; when the run is cancelled first, abandon it and raise Cancelled."""
    crew, outcome = Crew(token), []

    def finished(_key: int, value: Any, error: BaseException | None) -> None:
        outcome.append((value, error))

    crew.start(0, function)
    crew.collect(finished)
    value, error = outcome[0]
    if error is not None:
        raise error
    return value
