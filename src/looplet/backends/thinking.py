"""Thinking that a model writes into its text, `<think>...</think>`, is told apart from the answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from looplet.backends.streaming import OnChunk

_OPEN, _CLOSE = "<think>", "</think>"


def split_thinking(text: str) -> tuple[str, str]:
    """Cut thinking off the front: `<think>...</think>`, or without the first tag where the template wrote that."""
    start = text.lstrip()
    opened = start.startswith(_OPEN)
    if not opened and (_CLOSE not in text or start[:1] in ("{", "[")):  # not inside a JSON reply's strings
        return text, ""
    thought, closed, rest = start.removeprefix(_OPEN).partition(_CLOSE)
    return (rest.lstrip() if closed else ""), thought.strip()


class ThinkingChunks:
    """Passes streamed text on, thinking marked as such. It waits only while a piece may be part of a tag.

    Thinking without its first tag cannot be known before its last one has come: it is shown as text.
    """

    def __init__(self, on_chunk: OnChunk) -> None:
        self._on_chunk = on_chunk
        self._held = ""
        self._place: Literal["start", "thinking", "after", "text"] = "start"

    def add(self, text: str) -> None:
        self._held += text
        if self._place == "start":
            self._begin()
        if self._place == "thinking":
            self._think()
        if self._place == "after":  # between thinking and answer is white space, which is neither
            self._held = self._held.lstrip()
            self._place = "text" if self._held else "after"
        if self._place == "text":
            self._show(len(self._held))

    def end(self) -> None:
        """Pass on what was held back."""
        if self._place != "after":
            self._show(len(self._held), reasoning=self._place == "thinking")

    def _begin(self) -> None:
        start = self._held.lstrip()
        if start.startswith(_OPEN):
            self._held, self._place = start.removeprefix(_OPEN), "thinking"
        elif not _OPEN.startswith(start):
            self._place = "text"

    def _think(self) -> None:
        end = self._held.find(_CLOSE)
        if end < 0:
            self._show(len(self._held) - _overlap(self._held), reasoning=True)
            return
        self._show(end, reasoning=True)
        self._held, self._place = self._held.removeprefix(_CLOSE), "after"

    def _show(self, length: int, reasoning: bool = False) -> None:
        shown, self._held = self._held[:length], self._held[length:]
        if shown:
            self._on_chunk(shown, reasoning)


def _overlap(text: str) -> int:
    """Length of the longest end of `text` that the closing tag begins with."""
    return next((size for size in range(len(_CLOSE) - 1, 0, -1) if text.endswith(_CLOSE[:size])), 0)
