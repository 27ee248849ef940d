"""`ContextPressureHook`: tell the model when the context window fills up."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.config import whole
from looplet.decisions import InjectContext
from looplet.hooks._checks import a_share
from looplet.hooks._size import Gauge

if TYPE_CHECKING:
    from looplet.events import Event
    from looplet.messages import Prompt

_NOTE = "The context window is {share} full. Keep to what the task needs, and come to an end soon."


class ContextPressureHook:
    """Add `note` to the prompt when it fills `at` of the window: once, and again only after it was below in between.

    window  tokens; None: the model's own. While nobody knows it, the hook is silent
    note    text for the model; `{share}` in it becomes a percentage

    `share` is how full the window was with the latest prompt, None while its size is unknown. The estimate starts
    careful and calibrates itself on the usage the provider reports.
    """

    def __init__(self, window: int | None = None, *, at: float = 0.8, note: str = _NOTE) -> None:
        whole("ContextPressureHook(window=...)", window, least=1, optional=True)
        a_share("ContextPressureHook(at=...)", at)
        if not isinstance(note, str) or not note.strip():
            raise ValueError(f"ContextPressureHook(note={note!r}): give the text the model should read")
        self.at = at
        self.note = note
        self.share: float | None = None
        self._gauge = Gauge(window)
        self._told: int | None = None  # the step before which the model was told

    def on_event(self, event: Event) -> None:
        self._gauge.watch(event)

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> InjectContext | None:
        room = self._gauge.room(ctx)
        self.share = None if room is None else self._gauge.tokens(ctx) / room
        if self.share is None or self.share < self.at:
            self._told = None
        elif self._told is None or self._told == step:  # the same step: its first request failed
            self._told = step
            return InjectContext(self.note.replace("{share}", f"{self.share:.0%}"))
        return None
