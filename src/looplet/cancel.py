"""`CancelToken`: stop a run, or one of its calls, from another thread, a signal handler or a watcher."""

from __future__ import annotations

import queue
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class CancelToken:
    """Give it as `LoopConfig(cancel_token=...)` and keep it. May be used from any thread; cancelling is for good.

    A cancelled run ends with the stop reason `cancelled`: a request to the model is abandoned, calls in flight get a
    result of kind `cancelled`. Tools see the token as `ctx.cancel_token` and may stop early by themselves.
    """

    def __init__(self) -> None:
        self._cancelled = False
        self._lock = threading.RLock()  # a signal handler may come while its own thread holds the lock
        self._calls: set[str] = set()
        self._listeners: list[Callable[[], None]] = []

    @property
    def cancelled(self) -> bool:
        """True once the run was cancelled."""
        return self._cancelled

    def cancel(self) -> None:
        """End the run."""
        self._cancelled = True
        self._notify()

    def cancel_call(self, call_id: str) -> None:
        """Give up one call, now or when it comes; the run goes on. `call_id` is `ToolCall.call_id`."""
        with self._lock:
            self._calls.add(call_id)
        self._notify()

    def covers(self, call_id: str) -> bool:
        """True when this call is not to be waited for."""
        return self.cancelled or call_id in self._calls

    def wait(self, seconds: float) -> bool:
        """Sleep until the run is cancelled, at most `seconds`; return whether it was."""
        bell: queue.SimpleQueue[None] = queue.SimpleQueue()  # not an Event: its lock, too, may be held by this thread
        unsubscribe = self.subscribe(lambda: bell.put(None))
        end = time.monotonic() + seconds
        try:
            while not self.cancelled and (left := end - time.monotonic()) > 0:
                with suppress(queue.Empty):
                    bell.get(timeout=left)
        finally:
            unsubscribe()
        return self.cancelled

    def subscribe(self, listener: Callable[[], None]) -> Callable[[], None]:
        """Have `listener` called after each cancellation; return the function that ends that."""
        with self._lock:
            self._listeners.append(listener)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners.remove(listener)

        return unsubscribe

    def _notify(self) -> None:
        with self._lock:
            listeners = tuple(self._listeners)
        for listener in listeners:
            listener()
