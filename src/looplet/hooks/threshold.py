"""`ThresholdCompactHook`: shorten the conversation before it is too long for the model."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

from looplet._core.compact import size
from looplet._record import Record
from looplet.config import whole
from looplet.decisions import Compact
from looplet.events import Compacted, RunResumed, RunStarted
from looplet.hooks._checks import a_share
from looplet.hooks._size import Gauge

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
    from typing import TypeAlias

    from looplet.events import Event
    from looplet.messages import Message, Prompt, Reply
    from looplet.protocols import CompactStrategy

    Shortened: TypeAlias = "Sequence[Message] | Generator[Prompt, Reply, Sequence[Message]]"

_AT, _TO = 0.8, 0.5
_GROWTH = 1.1  # after a compaction that was not enough, wait for this much more before the next


class Goal(Record):
    """What a compaction is for: at most `chars` of conversation.

    `request_chars` is the most a request of the strategy's own may have, None when nobody knows.
    """

    chars: int
    request_chars: int | None = None


@runtime_checkable
class Fitting(Protocol):
    """A strategy that can be told how short is short enough, as `compact_chain` can."""

    def shorten(self, messages: Sequence[Message], goal: Goal) -> Shortened: ...


class Fitted:
    """A strategy with its goal: what `Compact(...)` is given."""

    def __init__(self, strategy: Fitting, keep: float, request_chars: int | None) -> None:
        self.__name__ = getattr(strategy, "__name__", type(strategy).__name__)
        self._strategy = strategy
        self._keep = keep
        self._request_chars = request_chars

    def __call__(self, messages: Sequence[Message]) -> Shortened:
        return self._strategy.shorten(messages, Goal(int(self._keep * length(messages)), self._request_chars))


def length(messages: Sequence[Message]) -> int:
    """Characters of a conversation."""
    return sum(map(size, messages))


class Trigger:
    """Decides when to compact, and how far. It never asks twice for what did not help the first time."""

    def __init__(self, at: float = _AT, to: float = _TO, window: int | None = None) -> None:
        self.at = at
        self.to = to
        self._gauge = Gauge(window)
        self._forget()

    def _forget(self) -> None:
        self._enough = 0.0  # tokens up to which compacting was tried already
        self._compacted = False

    def watch(self, event: Event) -> None:
        self._gauge.watch(event)
        if isinstance(event, (RunStarted, RunResumed)):
            self._forget()
        self._compacted = self._compacted or isinstance(event, Compacted)

    def answer(self, prompt: Prompt, strategy: CompactStrategy | None) -> Compact | None:
        """Compact above the threshold, and whenever the provider found the prompt too long."""
        tokens, room = self._gauge.tokens(prompt), self._gauge.room(prompt)
        if self._compacted:
            self._compacted, self._enough = False, tokens * _GROWTH
        if not prompt.overflowed:
            if room is None or tokens <= self.at * room:
                self._enough = 0.0
                return None
            if tokens <= self._enough:
                return None
        self._enough = tokens * _GROWTH
        return Compact(self._fitted(prompt, tokens, room, strategy))

    def _fitted(
        self, prompt: Prompt, tokens: int, room: int | None, strategy: CompactStrategy | None
    ) -> CompactStrategy | None:
        if not isinstance(strategy, Fitting):
            return strategy
        fixed = self._gauge.fixed(prompt)
        target = tokens / 2 if room is None else self.to * room
        conversation = max(1, tokens - fixed)
        keep = min(1.0, max(0.0, (target - fixed) / conversation))
        chars_per_token = length(prompt.messages) / conversation
        return Fitted(strategy, keep, None if room is None else int(room / 2 * chars_per_token))


class ThresholdCompactHook:
    """Compact the conversation when the prompt fills `at` of the window, down to `to` of it.

    strategy  a CompactStrategy, such as `compact_chain(Prune, Truncate)`; None is the built-in way, which drops the
              oldest turns. It may be exchanged between two steps
    window    tokens; None: the model's own. While nobody knows it, only the provider's "too long" is acted upon

    The same strategy serves when the provider finds a prompt too long. `to` concerns the strategies of this package;
    others decide for themselves how much they drop.
    """

    def __init__(
        self,
        strategy: CompactStrategy | type[Any] | None = None,
        *,
        at: float = _AT,
        to: float = _TO,
        window: int | None = None,
    ) -> None:
        a_share("ThresholdCompactHook(at=...)", at)
        a_share("ThresholdCompactHook(to=...)", to)
        whole("ThresholdCompactHook(window=...)", window, least=1, optional=True)
        if to >= at:
            raise ValueError(f"ThresholdCompactHook(at={at}, to={to}): compact to less than the threshold")
        self._trigger = Trigger(at, to, window)
        self.strategy = strategy

    @property
    def strategy(self) -> CompactStrategy | None:
        return self._strategy

    @strategy.setter
    def strategy(self, strategy: CompactStrategy | type[Any] | None) -> None:
        self._strategy = None if strategy is None else made(strategy, "ThresholdCompactHook(strategy=...)")

    @property
    def at(self) -> float:
        return self._trigger.at

    @at.setter
    def at(self, at: float) -> None:
        a_share("ThresholdCompactHook.at", at)
        self._trigger.at = at

    def on_event(self, event: Event) -> None:
        self._trigger.watch(event)

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact | None:
        return self._trigger.answer(ctx, self._strategy)


def made(strategy: Any, where: str) -> CompactStrategy:
    """The strategy, made of its class where a class was given."""
    instance: CompactStrategy = strategy() if isinstance(strategy, type) else strategy
    if not callable(instance):
        raise TypeError(f"{where}: {strategy!r} is no strategy; give a function of messages, or Prune, Truncate, ...")
    return instance
