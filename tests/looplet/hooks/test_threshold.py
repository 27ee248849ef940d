"""The conversation is compacted in time, by the strategy of the moment, and not over and over."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_sync

from looplet import (
    Capabilities,
    Message,
    MockLLMBackend,
    Prompt,
    Prune,
    ThresholdCompactHook,
    ToolCall,
    Truncate,
    composable_loop,
    tool,
)
from looplet.errors import ContextOverflow, HookError
from looplet.events import Compacted, Event

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.drive import Drive


@tool
def read(chars: int = 1_000) -> str:
    """Read."""
    return "word " * (chars // 5)


DONE = ToolCall("done", {"answer": "x"})
READS = [ToolCall("read")] * 8


class Compactions:
    def __init__(self) -> None:
        self.seen: list[Compacted] = []

    def on_event(self, event: Event) -> None:
        self.seen += [event] if isinstance(event, Compacted) else []


def chars(prompt: Prompt) -> int:
    return sum(len(message.content) for message in prompt.messages)


def test_no_prompt_goes_beyond_the_threshold(drive: Drive) -> None:
    llm = MockLLMBackend([*READS, DONE], capabilities=Capabilities(context_window=1_500))
    assert drive(llm, tools=[read], hooks=[ThresholdCompactHook()]).stop_reason == "done"
    assert max(map(chars, llm.prompts)) < 1_500 * 4


def test_without_the_hook_it_does() -> None:
    llm = MockLLMBackend([*READS, DONE], capabilities=Capabilities(context_window=1_500))
    run_sync(llm, tools=[read])
    assert max(map(chars, llm.prompts)) > 1_500 * 4


def test_it_compacts_down_to_the_share_asked_for() -> None:
    for to in (0.2, 0.6):
        llm = MockLLMBackend([*READS, DONE])
        seen = Compactions()
        run_sync(llm, tools=[read], hooks=[seen, ThresholdCompactHook(Truncate(), to=to, window=2_000)])
        after = llm.prompts[next(i for i, p in enumerate(llm.prompts) if len(p.messages) < 2 * i)]
        assert to - 0.2 < chars(after) / 4 / 2_000 <= to
        assert len(seen.seen) < 8


def test_the_strategy_may_be_exchanged_between_two_steps() -> None:
    used: list[str] = []

    def named(name: str) -> Any:
        def strategy(messages: Sequence[Message]) -> Sequence[Message]:
            used.append(name)
            return [messages[0], *messages[-2:]]

        return strategy

    hook = ThresholdCompactHook(named("first"), window=1_000)
    for step in composable_loop(MockLLMBackend([*READS, DONE]), "x", [read], hooks=[hook]):
        if used == ["first"]:
            hook.strategy = named("second")
        if step.number == 7:
            hook.at = 0.9
    assert used[:2] == ["first", "second"]


def test_a_class_is_made_an_instance() -> None:
    hook = ThresholdCompactHook(Prune)
    assert isinstance(hook.strategy, Prune)
    hook.strategy = Truncate
    assert isinstance(hook.strategy, Truncate)


def test_a_strategy_that_cannot_help_is_not_asked_before_every_prompt() -> None:
    asked: list[int] = []

    def useless(messages: Sequence[Message]) -> Sequence[Message]:
        asked.append(len(messages))
        return messages

    llm = MockLLMBackend([*[ToolCall("read", {"chars": 10})] * 10, DONE])
    run_sync(llm, task="task " * 200, tools=[read], hooks=[ThresholdCompactHook(useless, window=200)])
    assert 1 <= len(asked) <= 4


def test_too_long_for_the_provider_is_compacted_even_if_it_did_not_help_before() -> None:
    hook, prompt = ThresholdCompactHook(window=10), Prompt("", (Message("user", "task " * 20),))
    answers = [hook.pre_prompt(None, [], each, 1) for each in (prompt, prompt, prompt.replace(overflowed=True))]
    assert [answer is not None for answer in answers] == [True, False, True]


def test_when_the_provider_says_too_long_the_strategy_serves_too(drive: Drive) -> None:
    def task_and_last_turn(messages: Sequence[Message]) -> Sequence[Message]:
        return [messages[0], *messages[-2:]]

    llm = MockLLMBackend([*READS[:4], ContextOverflow("too long"), DONE])
    assert drive(llm, tools=[read], hooks=[ThresholdCompactHook(task_and_last_turn)]).stop_reason == "done"
    assert len(llm.prompts[5].messages) == 3


def test_what_the_provider_refused_once_is_not_sent_again() -> None:
    def model(prompt: Prompt) -> Any:
        return ContextOverflow("too long") if chars(prompt) > 4_500 else ToolCall("read")

    llm = MockLLMBackend(model)
    result = run_sync(llm, tools=[read], hooks=[ThresholdCompactHook(Truncate())], max_steps=15)
    assert result.stop_reason == "max_steps"
    assert sum(chars(prompt) > 4_500 for prompt in llm.prompts) == 1


def test_a_broken_strategy_is_named() -> None:
    def broken(messages: Sequence[Message]) -> Sequence[Message]:
        return messages[1:]

    with pytest.raises(HookError, match="the compaction strategy broken dropped the first message"):
        run_sync([*READS, DONE], tools=[read], hooks=[ThresholdCompactHook(broken, window=500)])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"at": 80}, r"ThresholdCompactHook\(at=...\) is 80: give a share"),
        ({"to": 0}, r"ThresholdCompactHook\(to=...\) is 0: give a share"),
        ({"at": 0.5, "to": 0.5}, r"ThresholdCompactHook\(at=0.5, to=0.5\): compact to less than the threshold"),
        ({"window": -1}, r"ThresholdCompactHook\(window=...\) is -1: use a whole number"),
        ({"strategy": "prune"}, r"'prune' is no strategy; give a function of messages, or Prune, Truncate"),
    ],
)
def test_nonsense_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        ThresholdCompactHook(**arguments)


def test_a_threshold_set_later_is_checked_too() -> None:
    with pytest.raises(ValueError, match=r"ThresholdCompactHook.at is 2: give a share"):
        ThresholdCompactHook().at = 2
