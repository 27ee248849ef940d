"""`compact_chain` and the strategies that need no model: `Prune` and `Truncate`."""

from __future__ import annotations

from types import GeneratorType
from typing import TYPE_CHECKING, Any

from looplet._core.compact import shorter, split_turns
from looplet.config import whole
from looplet.errors import BackendError
from looplet.hooks.threshold import Fitting, Goal, Trigger, length, made

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from looplet.decisions import Compact
    from looplet.events import Event
    from looplet.hooks.threshold import Shortened
    from looplet.messages import Message, Prompt, Reply
    from looplet.protocols import CompactStrategy

SUMMARY = "Summary of the work so far:\n"  # how the message that `Summarize` writes begins
_LEAST_KEPT_CHARS = 100


class Strategy:
    """What the strategies share: each may stand in `Compact(...)`, in a chain, and in `hooks=[...]` by itself.

    As a hook it compacts at 0.8 of the model's window, down to 0.5 of it. Called without a goal it halves.
    """

    def __init__(self) -> None:
        self._trigger = Trigger()

    def shorten(self, messages: Sequence[Message], goal: Goal) -> Shortened:
        raise NotImplementedError

    def __call__(self, messages: Sequence[Message]) -> Shortened:
        return self.shorten(messages, Goal(length(messages) // 2))

    def on_event(self, event: Event) -> None:
        self._trigger.watch(event)

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact | None:
        return self._trigger.answer(ctx, self)


class Prune(Strategy):
    """Cut the results in all but the newest `keep` turns to `chars` characters, the last of them a note of the cut."""

    def __init__(self, keep: int = 3, *, chars: int = 200) -> None:
        super().__init__()
        whole("Prune(keep=...)", keep, least=0)
        whole("Prune(chars=...)", chars, least=_LEAST_KEPT_CHARS)
        self.keep = keep
        self.chars = chars

    def shorten(self, messages: Sequence[Message], goal: Goal) -> list[Message]:
        head, turns = split(messages)
        old = max(0, len(turns) - self.keep)
        pruned = [self._pruned(message) for turn in turns[:old] for message in turn]
        return [*head, *pruned, *flat(turns[old:])]

    def _pruned(self, message: Message) -> Message:
        """Results are tool messages, or the user's in the text protocol. What the model wrote stays."""
        if message.role == "assistant" or len(message.content) <= self.chars:
            return message
        note = f"\n[the rest of this old result, of {len(message.content):,} characters, is left out]"
        return message.replace(content=message.content[: self.chars - len(note)] + note)


class Truncate(Strategy):
    """Drop the oldest turns until the goal is met, but not the newest `keep`, nor a summary of `Summarize`.

    Where that is not enough, the rest is shortened in the built-in way: to the newest turn, its longest message cut.
    """

    def __init__(self, keep: int = 1) -> None:
        super().__init__()
        whole("Truncate(keep=...)", keep, least=1)
        self.keep = keep

    def shorten(self, messages: Sequence[Message], goal: Goal) -> list[Message]:
        head, turns = split(messages)
        first = int(bool(turns) and turns[0][0].content.startswith(SUMMARY))
        head += flat(turns[:first])
        rest = turns[first:]
        excess = length(messages) - goal.chars
        while len(rest) > self.keep and excess > 0:
            excess -= length(rest.pop(0))
        result = [*head, *flat(rest)]
        while length(result) > goal.chars and (less := shorter(result)):
            result = less
        return result


class CompactChain(Strategy):
    """Strategies tried in order until the goal is met; `compact_chain(...)` makes one."""

    def __init__(self, strategies: Sequence[CompactStrategy]) -> None:
        super().__init__()
        self.strategies = tuple(strategies)
        names = (getattr(strategy, "__name__", type(strategy).__name__) for strategy in self.strategies)
        self.__name__ = f"compact_chain({', '.join(names)})"

    def shorten(self, messages: Sequence[Message], goal: Goal) -> Generator[Prompt, Reply, Sequence[Message]]:
        for strategy in self.strategies:
            if length(messages) <= goal.chars:
                break
            shortened = strategy.shorten(messages, goal) if isinstance(strategy, Fitting) else strategy(messages)
            if isinstance(shortened, GeneratorType):
                try:
                    messages = yield from shortened
                except BackendError:  # its question to the model failed: the next strategy may need no model
                    continue
            else:
                messages = shortened  # type: ignore[assignment]  # not a generator
        return messages


def compact_chain(*strategies: CompactStrategy | type[Strategy]) -> CompactChain:
    """Return one strategy that tries `strategies` (classes or instances) in order until the prompt is short enough.

    It may stand in `hooks=[...]`, in `ThresholdCompactHook(...)` and in `Compact(...)`.
    """
    if not strategies:
        raise ValueError("compact_chain() has no strategy; try compact_chain(Prune, Truncate)")
    return CompactChain([made(strategy, "compact_chain(...)") for strategy in strategies])


def split(messages: Sequence[Message]) -> tuple[list[Message], list[list[Message]]]:
    """What stands before the model's first message (the task), and the turns: each begins with a message of its."""
    first = next((index for index, message in enumerate(messages) if message.role == "assistant"), len(messages))
    return list(messages[:first]), split_turns(list(messages[first:]))


def flat(turns: Sequence[Sequence[Message]]) -> list[Message]:
    return [message for turn in turns for message in turn]
