"""Shorten a conversation so that it fits, without ever splitting a call from its result."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._core.to_text import to_text
from looplet.effects import emit
from looplet.events import Compacted
from looplet.messages import Message

if TYPE_CHECKING:
    from looplet.effects import Flow
    from looplet.state import RunState

_CUT_ABOVE_CHARS = 1_000


def compact(state: RunState) -> Flow[bool]:
    """Drop the oldest turns until about half is left; False when nothing more can go."""
    before = state.conversation
    after = shorter(before)
    if after is None:
        return False
    kept = {id(message) for message in after}
    dropped = tuple(str(message.content) for message in before if id(message) not in kept)
    state.conversation = after
    state.unsent = len(after)
    yield from emit(Compacted(len(before), len(after), dropped))
    return True


def shorter(messages: list[Message]) -> list[Message] | None:
    """The task and the newest turns, at most about half as long; None when it is as short as it gets.

    A turn is an assistant message and everything up to the next one, so pairs stay together. When one turn alone is
    too long, its longest message is cut in the middle.
    """
    first_turn = next((i for i, message in enumerate(messages) if message.role == "assistant"), len(messages))
    head, turns = messages[:first_turn], split_turns(messages[first_turn:])
    target = sum(map(size, messages)) // 2
    kept: list[list[Message]] = []
    length = sum(map(size, head))
    for turn in reversed(turns):
        length += sum(map(size, turn))
        if kept and length > target:
            break
        kept.insert(0, turn)
    if len(kept) < len(turns):
        return head + [message for turn in kept for message in turn]
    return _cut_longest(messages, first_turn)


def split_turns(messages: list[Message]) -> list[list[Message]]:
    turns: list[list[Message]] = []
    for message in messages:
        if message.role == "assistant" or not turns:
            turns.append([])
        turns[-1].append(message)
    return turns


def size(message: Message) -> int:
    """Characters the model reads."""
    return len(message.content) + sum(len(to_text(call.args, 1 << 30)) for call in message.tool_calls)


def _cut_longest(messages: list[Message], first: int) -> list[Message] | None:
    """Halve the longest message of the turns; the task is never cut."""
    if first == len(messages):
        return None
    index = max(range(first, len(messages)), key=lambda i: len(messages[i].content))
    longest = messages[index]
    if len(longest.content) < _CUT_ABOVE_CHARS:
        return None
    cut = longest.replace(content=to_text(longest.content, len(longest.content) // 2))
    return [*messages[:index], cut, *messages[index + 1 :]]
