"""Who is watching the runs started in this context: how the pytest plugin sees loops an agent starts by itself."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence


class Capture:
    """Collects every run started while it is active; `hooks(number)` are added to run `number` (from 1), last in order.

    `labels` are written into the traces of these runs (eval file, agent, case, trial, backend).
    """

    def __init__(
        self, hooks: Callable[[int], Sequence[object]] = lambda _number: (), labels: dict[str, Any] | None = None
    ) -> None:
        self.runs: list[Any] = []  # of looplet.loop.Run, which stands above this layer
        self.labels = labels or {}
        self._hooks = hooks

    def add(self) -> Sequence[object]:
        """Reserve the next number and return the hooks for it."""
        self.runs.append(None)
        return self._hooks(len(self.runs))


current: ContextVar[Capture | None] = ContextVar("looplet_capture", default=None)


@contextmanager
def capturing(capture: Capture) -> Iterator[Capture]:
    """Make `capture` see every run started in this context (and in threads that copy it)."""
    token = current.set(capture)
    try:
        yield capture
    finally:
        current.reset(token)
