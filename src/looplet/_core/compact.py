"""Shorten a conversation so that it fits, without ever splitting a call from its result."""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING

from looplet._core.exchange import exchange, failed
from looplet._core.hook_table import ask
from looplet._core.prompt import settings
from looplet._core.save import save
from looplet._core.to_text import to_text
from looplet.effects import emit
from looplet.errors import BackendError, HookError
from looplet.events import Compacted
from looplet.messages import Message, Prompt, Settings

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from looplet.effects import Flow
    from looplet.messages import Reply
    from looplet.protocols import CompactStrategy
    from looplet.state import RunState

_CUT_ABOVE_CHARS = 1_000


def compact(state: RunState, strategy: CompactStrategy | None = None) -> Flow[bool]:
    """Shorten the conversation with `strategy`, else by dropping its oldest turns; False when nothing more can go."""
    before = state.conversation
    after = (yield from apply(state, strategy)) if strategy is not None else shorter(before)
    if after is None:
        return False
    kept = {id(message) for message in after}
    dropped = tuple(message.content for message in before if id(message) not in kept)
    state.conversation = after
    state.unsent = len(after)
    yield from emit(Compacted(len(before), len(after), dropped))
    yield from save(state)
    return True


def apply(state: RunState, strategy: CompactStrategy) -> Flow[list[Message] | None]:
    """What a strategy of the user's makes of the conversation; None when it is no shorter."""
    before = state.conversation
    answer = strategy(tuple(before))
    if isinstance(answer, GeneratorType):
        answer = yield from converse(state, answer)
    after: list[Message] = list(answer)  # type: ignore[arg-type]  # not a generator any more
    if problem := what_is_wrong(before, after):
        name = getattr(strategy, "__name__", type(strategy).__name__)
        raise HookError(f"the compaction strategy {name} {problem}")
    return after if sum(map(size, after)) < sum(map(size, before)) else None


def converse(state: RunState, asking: Generator[Prompt, Reply, Sequence[Message]]) -> Flow[Sequence[Message]]:
    """Ask the model what the strategy wants to know. A failure is thrown into it; one it does not handle ends it."""
    try:
        prompt = next(asking)
        while True:
            try:
                question = yield from as_hooks_change_it(state, with_settings(state, prompt))
                if state.stop or state.cancelled:
                    return state.conversation
                reply = yield from exchange(state, question, "compact")
            except BackendError as error:
                yield from emit(failed(state, error, None))
                prompt = asking.throw(error)
            else:
                prompt = asking.send(reply)
    except StopIteration as done:
        messages: Sequence[Message] = done.value
        return messages
    except BackendError:
        return state.conversation


def as_hooks_change_it(state: RunState, prompt: Prompt) -> Flow[Prompt]:
    """A hook that redacts prompts redacts this one, too. Other answers are for the run's own prompts."""
    for hook in state.hooks.pre_prompt:
        answer = yield from ask(state, "pre_prompt", hook, prompt)
        if isinstance(answer, Prompt):
            prompt = answer
    return prompt


def with_settings(state: RunState, prompt: Prompt) -> Prompt:
    """A question without settings of its own is asked with the run's."""
    return prompt if prompt.settings != Settings() else prompt.replace(settings=settings(state.config))


def what_is_wrong(before: list[Message], after: list[Message]) -> str | None:
    """Why a provider, or the user, could not go on with `after`."""
    if not after or after[0] != before[0]:
        return "dropped the first message, which is the task"
    open_calls: list[str] = []
    for message in after:
        if message.role != "tool":
            if open_calls:
                break
            open_calls = [call.call_id for call in message.tool_calls]
        elif message.call_id in open_calls:
            open_calls.remove(message.call_id)
        else:
            return f"kept the result of call {message.call_id!r} without the call"
    return f"kept call {open_calls[0]!r} without its result" if open_calls else None


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
