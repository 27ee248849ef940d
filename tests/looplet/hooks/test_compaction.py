"""Strategies never split a call from its result, keep the task, never make it longer, and come to an end."""

from __future__ import annotations

from itertools import pairwise
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.drive import run_sync

from looplet import (
    Compact,
    Message,
    MockLLMBackend,
    Prompt,
    Prune,
    Reply,
    Summarize,
    ThresholdCompactHook,
    ToolCall,
    Truncate,
    compact_chain,
    tool,
)
from looplet._core.compact import what_is_wrong
from looplet.errors import ContextOverflow, HookError, ServerError
from looplet.hooks.compaction import SUMMARY
from looplet.hooks.summarize import record_of
from looplet.hooks.threshold import Goal, length

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from tests.support.drive import Drive

TASK = Message("user", "the task")
DONE = ToolCall("done", {"answer": "x"})


def turn(number: int, *results: str, text_mode: bool = False) -> list[Message]:
    if text_mode:
        return [Message("assistant", '{"tool": "t"}'), Message("user", "\n\n".join(results) or "?")]
    calls = tuple(ToolCall("t", {"n": number}, call_id=f"{number}-{i}") for i in range(len(results)))
    answers = [Message("tool", result, call_id=f"{number}-{i}") for i, result in enumerate(results)]
    return [Message("assistant", "" if calls else "hm", calls), *answers]


def conversation(*turns: list[Message]) -> list[Message]:
    return [TASK, *(message for each in turns for message in each)]


def settle(shortened: Any, answer: Any = "in short") -> tuple[list[Message], list[Prompt]]:
    """What a strategy returns, and what it asked the model."""
    if not isinstance(shortened, GeneratorType):
        return list(shortened), []
    asked: list[Prompt] = []
    try:
        prompt = next(shortened)
        while True:
            asked.append(prompt)
            failed = isinstance(answer, Exception)
            prompt = shortened.throw(answer) if failed else shortened.send(Reply(answer))
    except StopIteration as done:
        return list(done.value), asked


texts = st.integers(0, 4_000).map(lambda size: "x" * size)
turns = st.lists(st.lists(texts, max_size=3), max_size=10)
strategies = st.one_of(
    st.builds(Prune, st.integers(0, 4)),
    st.builds(Truncate, st.integers(1, 4)),
    st.builds(Summarize, st.integers(0, 4), chunk_chars=st.integers(1_000, 5_000)),
    st.just(compact_chain(Prune, Summarize, Truncate)),
    st.just(compact_chain(Truncate(2), Prune(1))),
)
answers = st.one_of(st.integers(0, 3_000).map(lambda size: "s" * size), st.just(ServerError("down")))


@given(strategies, turns, st.booleans(), answers, st.integers(0, 20_000), st.none() | st.integers(0, 9_000))
def test_the_laws_of_compaction(
    strategy: Any, results: list[list[str]], text_mode: bool, answer: Any, goal: int, request: int | None
) -> None:
    messages = conversation(*(turn(number, *each, text_mode=text_mode) for number, each in enumerate(results)))
    for _ in range(50):
        before = messages
        messages, asked = settle(strategy.shorten(before, Goal(goal, request)), answer)
        assert what_is_wrong(before, messages) is None
        assert length(messages) <= length(before)
        roles = [message.role for message in messages if message.role != "tool"]
        assert all(one != other for one, other in pairwise(roles) if one == "user")
        for prompt in asked:
            size = len(prompt.system) + sum(len(message.content) for message in prompt.messages)
            assert size <= min(12_000 if request is None else request, getattr(strategy, "chunk_chars", 12_000))
        if length(messages) == length(before):
            break
    else:
        raise AssertionError("compaction did not come to an end")


def test_prune_cuts_old_results_to_a_note_and_leaves_the_newest_turns() -> None:
    old, new = "a" * 5_000, "b" * 5_000
    messages, _ = settle(Prune(keep=1)(conversation(turn(1, old, "short"), turn(2, new))))
    assert messages[2].content.endswith("[the rest of this old result, of 5,000 characters, is left out]")
    assert len(messages[2].content) == 200
    assert [message.content for message in messages[3:]] == ["short", "", new]


def test_prune_knows_the_results_of_the_text_protocol() -> None:
    messages, _ = settle(Prune(keep=0)(conversation(turn(1, "a" * 5_000, text_mode=True))))
    assert len(messages[2].content) == 200


def test_truncate_drops_the_oldest_turns_and_no_more_than_needed() -> None:
    everything = conversation(*(turn(number, "x" * 1_000) for number in range(6)))
    messages, _ = settle(Truncate().shorten(everything, Goal(3_100)))
    assert messages == [TASK, *everything[-6:]]


def test_truncate_cuts_what_is_left_when_one_turn_is_too_long() -> None:
    messages, _ = settle(Truncate().shorten(conversation(turn(1, "x" * 9_000)), Goal(3_000)))
    assert length(messages) <= 3_000
    assert "characters cut" in messages[-1].content


def test_summarize_replaces_old_turns_by_the_models_words() -> None:
    everything = conversation(*(turn(number, f"result {number} " * 100) for number in range(5)))
    messages, asked = settle(Summarize(keep=2)(everything), "<think>hm</think>found 42")
    assert messages[1] == Message("assistant", SUMMARY + "found 42")
    assert messages[2].role == "user"
    assert messages[3:] == everything[-4:]
    text = asked[0].messages[0].content
    assert "agent calls t: {" in text
    assert "result of t: result 0" in text
    assert "result 4" not in text


def test_a_long_record_is_read_in_parts_and_the_parts_are_summarised() -> None:
    everything = conversation(*(turn(number, "x" * 2_900) for number in range(6)))
    _, asked = settle(Summarize(keep=0, chunk_chars=3_000)(everything), "s" * 5_000)
    assert 4 < len(asked) <= 12
    assert set(asked[-1].messages[0].content) <= set("s\n. [charters cut0123456789],")


def test_braces_in_a_record_reach_the_model_as_they_are() -> None:
    braces = 'f"{x}" and {{y}} and {"a": {}} '
    _, asked = settle(Summarize(keep=0)(conversation(*(turn(number, braces * 30) for number in range(3)))))
    assert braces in asked[0].messages[0].content


def test_the_number_of_questions_is_bounded() -> None:
    everything = conversation(*(turn(number, "x" * 2_900) for number in range(60)))
    _, asked = settle(Summarize(keep=0, chunk_chars=1_000)(everything), "s" * 5_000)
    assert 8 < len(asked) <= 12


def test_a_question_that_is_too_long_is_asked_in_smaller_parts() -> None:
    asking: Any = Summarize(keep=0)(conversation(*(turn(number, "x" * 2_900) for number in range(4))))
    first = next(asking)
    second = asking.throw(ContextOverflow("too long"))
    assert len(str(second)) < 0.7 * len(str(first))


@pytest.mark.parametrize("answer", ["", "<think>only", ServerError("down"), ContextOverflow("too long"), "s" * 90_000])
def test_a_summary_that_does_not_help_changes_nothing(answer: Any) -> None:
    everything = conversation(turn(1, "x"), turn(2, "x"))
    messages, _ = settle(Summarize(keep=0).shorten(everything, Goal(0, 9_000)), answer)
    assert messages == everything


def test_a_summary_survives_truncation_and_goes_into_the_next_one() -> None:
    summary = [Message("assistant", SUMMARY + "found 42"), Message("user", "Go on.")]
    everything = conversation(summary, *(turn(number, "x" * 1_000) for number in range(5)))
    messages, _ = settle(Truncate().shorten(everything, Goal(1_500)))
    assert messages[1:3] == summary
    _, asked = settle(Summarize(keep=1)(everything))
    assert "found 42" in asked[0].messages[0].content


def test_a_chain_stops_when_the_goal_is_met() -> None:
    everything = conversation(*(turn(number, "x" * 1_000) for number in range(6)))
    messages, asked = settle(compact_chain(Prune, Summarize, Truncate).shorten(everything, Goal(5_000)))
    assert (len(messages), asked) == (len(everything), [])
    messages, asked = settle(compact_chain(Prune, Summarize, Truncate).shorten(everything, Goal(3_500)))
    assert (len(asked), messages[1].content) == (1, SUMMARY + "in short")
    messages, asked = settle(compact_chain(Prune, Summarize, Truncate).shorten(everything, Goal(1_400)))
    assert [message.content for message in messages[3:]] == ["", "x" * 1_000]


def test_functions_may_stand_in_a_chain_and_a_failed_question_passes_on_to_the_next() -> None:
    def asks(messages: Sequence[Message]) -> Generator[Prompt, Reply, Sequence[Message]]:
        yield Prompt("?", (TASK,))
        return messages[:1]

    def bare(messages: Sequence[Message]) -> Sequence[Message]:
        return messages[:1]

    everything = conversation(turn(1, "x" * 1_000))
    assert settle(compact_chain(asks)(everything))[0] == [TASK]
    assert settle(compact_chain(asks)(everything), ServerError("down"))[0] == everything
    assert settle(compact_chain(asks, bare)(everything), ServerError("down"))[0] == [TASK]


def test_the_record_shows_who_said_what() -> None:
    text = record_of(
        [
            Message("assistant", "I look", (ToolCall("find", {"q": 1}, call_id="c"),)),
            Message("tool", "found", call_id="c"),
            Message("user", "hurry"),
        ]
    )
    assert text == 'agent: I look\nagent calls find: {"q":1}\nresult of find: found\ntold: hurry'


# in a run


@tool
def read() -> str:
    """Read."""
    return "word " * 300


class SmallModel:
    """A model with a window of `chars` characters, which summarises when it is given no tools."""

    name, no_sleep = "small", True

    def __init__(self, chars: int, steps: int) -> None:
        self.script: Iterator[Any] = iter([*[ToolCall("read")] * steps, DONE])
        self.chars = chars
        self.prompts: list[Prompt] = []
        self.mock = MockLLMBackend(self.answer)
        self.capabilities = self.mock.capabilities
        self.refused = 0

    def chat(self, prompt: Prompt) -> Reply:
        self.prompts.append(prompt)
        return self.mock.chat(prompt)

    def answer(self, prompt: Prompt) -> Any:
        if len(str(prompt)) > self.chars:
            self.refused += 1
            return ContextOverflow("too long")
        return next(self.script) if prompt.tools else "read much, found little"


@pytest.mark.parametrize("strategy", [Prune, Summarize, Truncate, lambda: compact_chain(Prune, Summarize, Truncate)])
def test_a_strategy_keeps_a_long_run_within_a_small_window(strategy: Any) -> None:
    llm = SmallModel(8_000, steps=25)
    result = run_sync(llm, tools=[read], hooks=[strategy()], max_steps=40)
    assert (result.stop_reason, len(result.steps)) == ("done", 26)
    assert llm.refused <= 3
    assert all(prompt.messages[0].content == "do it" for prompt in llm.prompts if prompt.tools)


def test_no_question_of_the_summariser_is_refused() -> None:
    llm = SmallModel(8_000, steps=25)
    run_sync(llm, tools=[read], hooks=[Summarize(keep=1)], max_steps=40)
    questions = [prompt for prompt in llm.prompts if not prompt.tools]
    assert questions
    assert all(len(str(prompt)) <= 8_000 for prompt in questions)


def test_a_known_window_bounds_the_questions_even_when_one_turn_is_many_windows_long() -> None:
    llm = SmallModel(8_000, steps=1)
    llm.script = iter([[ToolCall("read")] * 14, DONE])
    hooks = [ThresholdCompactHook(Summarize(keep=0, chunk_chars=90_000), window=2_000)]
    assert run_sync(llm, tools=[read], hooks=hooks, max_steps=40).stop_reason == "done"
    assert llm.refused == 0
    assert any(not prompt.tools for prompt in llm.prompts)


def test_a_strategy_may_stand_in_the_hooks_by_itself(drive: Drive) -> None:
    llm = MockLLMBackend([*[ToolCall("read")] * 3, ContextOverflow("too long"), DONE])
    assert drive(llm, tools=[read], hooks=[Prune(keep=1)]).stop_reason == "done"
    assert "is left out" in llm.prompts[4].messages[2].content


def test_a_strategy_may_stand_in_a_decision(drive: Drive) -> None:
    class Always:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact | None:
            return Compact(Truncate()) if step == 4 else None

    llm = MockLLMBackend([*[ToolCall("read")] * 3, DONE])
    drive(llm, tools=[read], hooks=[Always()])
    assert len(llm.prompts[3].messages) == 3


def test_a_summary_is_asked_of_the_runs_own_model_and_its_cost_is_counted(drive: Drive) -> None:
    llm = MockLLMBackend(lambda prompt: summary_or_call(prompt))
    hooks = [ThresholdCompactHook(compact_chain(Summarize(keep=1), Truncate), window=1_500)]
    result = drive(llm, tools=[read], hooks=hooks, max_steps=6)
    assert any(not prompt.tools for prompt in llm.prompts)
    assert SUMMARY in str(llm.prompts[-1])
    assert result.usage.input_tokens > 0


def summary_or_call(prompt: Prompt) -> Any:
    return ToolCall("read") if prompt.tools else "read much"


def test_a_chain_with_a_broken_function_names_it() -> None:
    def broken(messages: Sequence[Message]) -> Sequence[Message]:
        return messages[1:]

    hooks = [ThresholdCompactHook(compact_chain(Prune, broken), window=500)]
    with pytest.raises(HookError, match=r"the compaction strategy compact_chain\(Prune, broken\) dropped the first"):
        run_sync([*[ToolCall("read")] * 3, DONE], tools=[read], hooks=hooks)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Prune(-1), r"Prune\(keep=...\) is -1"),
        (lambda: Prune(chars=10), r"Prune\(chars=...\) is 10: use a whole number of at least 100"),
        (lambda: Truncate(0), r"Truncate\(keep=...\) is 0"),
        (lambda: Summarize(chunk_chars=10), r"Summarize\(chunk_chars=...\) is 10"),
        (lambda: Summarize(instructions="x" * 9_999), r"give a text of at most half of chunk_chars"),
        (compact_chain, r"compact_chain\(\) has no strategy; try compact_chain\(Prune, Truncate\)"),
        (
            lambda: compact_chain("prune"),  # type: ignore[arg-type]  # the mistake under test
            r"compact_chain\(...\): 'prune' is no strategy",
        ),
    ],
)
def test_nonsense_is_refused_at_construction(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()
