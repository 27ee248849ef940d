"""Decide by an answer that may have to be awaited first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._drivers.performer import close_unstarted

if TYPE_CHECKING:
    from collections.abc import Callable, Generator


def once_there(answer: Any, decide: Callable[[Any], Any]) -> Any:
    """What `decide` says of the answer: now, or as an awaitable when the answer is one."""
    return _Later(answer, decide) if hasattr(answer, "__await__") else decide(answer)


class _Later:
    """What becomes of an async handler's answer. A sync run refuses to await it, and then closes it."""

    def __init__(self, answer: Any, decide: Callable[[Any], Any]) -> None:
        self._answer = answer
        self._decide = decide

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._decide((yield from self._answer.__await__()))

    def close(self) -> None:
        close_unstarted(self._answer)
