"""Who is watching the runs started in this context: how the pytest plugin sees loops an agent starts by itself."""

from __future__ import annotations

from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

T = TypeVar("T")


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

    def start(self, make: Callable[[Sequence[object], dict[str, Any]], T]) -> T:
        """Make the next run with the hooks for its number, and remember it."""
        place = object()  # a placeholder keeps the number when several threads start runs at once
        self.runs.append(place)
        try:
            run = make(self._hooks(self.runs.index(place) + 1), self.labels)
        except BaseException:
            self.runs.remove(place)
            raise
        self.runs[self.runs.index(place)] = run
        return run


current: ContextVar[Capture | None] = ContextVar("looplet_capture", default=None)


@contextmanager
def capturing(capture: Capture) -> Iterator[Capture]:
    """Make `capture` see every run started in this context (and in threads that copy it)."""
    token = current.set(capture)
    try:
        yield capture
    finally:
        current.reset(token)
