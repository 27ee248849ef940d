"""Work on a growing conversation once a message, not once a request."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.messages import Message


def common_prefix(old: tuple[Message, ...], new: tuple[Message, ...]) -> int:
    """How many leading messages are the same. Nearly always all of `old`, which is one comparison of identities."""
    if new[: len(old)] == old:
        return len(old)
    for index, (before, after) in enumerate(zip(old, new, strict=False)):
        if before != after:
            return index
    return len(new)


class PrefixMap:
    """A change applied to every message of a request, reusing what it made of the leading ones the last time."""

    def __init__(self) -> None:
        self._seen: tuple[Message, ...] = ()
        self._made: tuple[Message, ...] = ()

    def __call__(self, messages: tuple[Message, ...], change: Callable[[Message], Message]) -> tuple[Message, ...]:
        keep = common_prefix(self._seen, messages)
        self._made = self._made[:keep] + tuple(change(message) for message in messages[keep:])
        self._seen = messages
        return self._made
