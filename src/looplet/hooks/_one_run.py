"""Refuse that two runs at once share a hook that counts for one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet.errors import HookError
from looplet.events import RunFinished, RunResumed, RunStarted

if TYPE_CHECKING:
    from looplet.events import Event


class OneRun:
    """Feed it the events, then `check()`: a shared limit would start anew with every run, and limit none of them."""

    def __init__(self, hook: object) -> None:
        self._name = type(hook).__name__
        self._open = 0

    def watch(self, event: Event) -> None:
        if isinstance(event, (RunStarted, RunResumed)):
            self._open += 1
        elif isinstance(event, RunFinished):
            self._open = max(0, self._open - 1)

    def check(self) -> None:
        if self._open > 1:
            raise HookError(
                f"this {self._name} is used by {self._open} runs at once; give every run its own: "
                f"hooks=[{self._name}(...)]"
            )
