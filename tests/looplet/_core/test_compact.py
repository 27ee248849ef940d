"""Compaction keeps pairs, the task and the newest turn, and ends."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.drive import run_async, run_sync

from looplet import CancelToken, Compact, LoopConfig, Message, MockLLMBackend, Prompt, Reply, ToolCall, tool
from looplet._core.compact import shorter, size
from looplet.backends.openai_wire import openai_message
from looplet.backends.request_check import RequestCheck
from looplet.errors import ContextOverflow, HookError, ServerError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from tests.support.drive import Drive


def turn(number: int, lengths: list[int]) -> list[Message]:
    calls = tuple(ToolCall("t", {}, call_id=f"{number}-{i}") for i in range(len(lengths)))
    results = [Message("tool", "x" * length, call_id=f"{number}-{i}") for i, length in enumerate(lengths)]
    return [Message("assistant", "", calls), *results]


turns = st.lists(st.lists(st.integers(0, 5_000), min_size=1, max_size=4), max_size=12)


@given(turns)
def test_pairs_are_never_split_the_task_stays_and_it_converges(lengths: list[list[int]]) -> None:
    messages = [Message("user", "the task")]
    for number, results in enumerate(lengths):
        messages += turn(number, results)
    for _ in range(200):
        before = sum(map(size, messages))
        shortened = shorter(messages)
        if shortened is None:
            break
        messages = shortened
        assert sum(map(size, messages)) < before or len(messages) > 0
        check = RequestCheck()
        for message in messages:
            check.add(openai_message(message))
        assert check.problems() == []
        assert messages[0].content == "the task"
    else:
        raise AssertionError("compaction did not come to an end")


def test_the_newest_turn_survives() -> None:
    messages = [Message("user", "task"), *turn(1, [900]), *turn(2, [900]), *turn(3, [900])]
    shortened = shorter(messages)
    assert shortened is not None
    assert shortened[-2:] == messages[-2:]
    assert len(shortened) < len(messages)


# strategies of the user's own


@tool
def echo(text: str) -> str:
    """Say it back."""
    return text


class Using:
    """Answers Compact(strategy) once the conversation has more than `above` messages."""

    def __init__(self, strategy: Any, above: int = 4) -> None:
        self.strategy, self.above = strategy, above

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact | None:
        return Compact(self.strategy) if len(ctx.messages) > self.above else None


CALLS = [ToolCall("echo", {"text": letter * 200}) for letter in "abc"]
DONE = ToolCall("done", {"answer": "x"})


def test_a_strategy_decides_what_stays(drive: Drive) -> None:
    def task_and_last_turn(messages: Sequence[Message]) -> list[Message]:
        return [messages[0], *messages[-2:]]

    llm = MockLLMBackend([*CALLS, DONE])
    drive(llm, tools=[echo], hooks=[Using(task_and_last_turn)])
    assert [len(prompt.messages) for prompt in llm.prompts] == [1, 3, 3, 3]


def test_a_strategy_may_ask_the_model_and_it_is_counted(drive: Drive) -> None:
    def summary(messages: Sequence[Message]) -> Generator[Prompt, Reply, list[Message]]:
        reply = yield Prompt("Summarise.", tuple(messages[:1]))
        return [messages[0].replace(), Message("assistant", reply.text), Message("user", "Go on.")]

    llm = MockLLMBackend([*CALLS[:2], "they said a and b", DONE])
    result = drive(llm, tools=[echo], hooks=[Using(summary)])
    assert [message.content for message in llm.prompts[-1].messages[1:]] == ["they said a and b", "Go on."]
    assert result.usage.input_tokens == sum(step.usage.input_tokens for step in result.steps)


def test_a_strategy_whose_question_fails_changes_nothing(drive: Drive) -> None:
    def summary(messages: Sequence[Message]) -> Generator[Prompt, Reply, list[Message]]:
        yield Prompt("Summarise.", tuple(messages[:1]))
        raise AssertionError("not reached")

    llm = MockLLMBackend([*CALLS[:2], ServerError("down"), DONE])
    assert drive(llm, tools=[echo], hooks=[Using(summary)]).stop_reason == "done"
    assert len(llm.prompts[-1].messages) == 5


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        (lambda messages: messages[1:], "dropped the first message, which is the task"),
        (lambda messages: [messages[0], messages[2]], "kept the result of call 'call_1' without the call"),
        (lambda messages: [messages[0], messages[1]], "kept call 'call_1' without its result"),
    ],
)
def test_a_strategy_that_breaks_the_conversation_is_named(strategy: Any, message: str) -> None:
    llm = MockLLMBackend([*CALLS, DONE])
    with pytest.raises(HookError, match=f"the compaction strategy <lambda> {message}"):
        run_sync(llm, tools=[echo], hooks=[Using(strategy)])


def test_when_the_provider_says_too_long_the_hooks_strategy_is_used(drive: Drive) -> None:
    class OnOverflow:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact | None:
            return Compact(lambda messages: [messages[0], *messages[-2:]]) if ctx.overflowed else None

    llm = MockLLMBackend([*CALLS, ContextOverflow("too long"), DONE])
    assert drive(llm, tools=[echo], hooks=[OnOverflow()]).stop_reason == "done"
    assert len(llm.prompts[-1].messages) == 3


def test_a_strategys_question_is_asked_with_the_runs_settings(drive: Drive) -> None:
    def summary(messages: Sequence[Message]) -> Generator[Prompt, Reply, list[Message]]:
        yield Prompt("Summarise.", tuple(messages[:1]))
        return [messages[0], *messages[-2:]]

    llm = MockLLMBackend([*CALLS[:2], "a summary", DONE])
    drive(llm, tools=[echo], hooks=[Using(summary)], config=LoopConfig(temperature=0.5, extra={"seed": 1}))
    assert [(prompt.settings.temperature, prompt.settings.extra) for prompt in llm.prompts] == [(0.5, {"seed": 1})] * 4


def test_a_redacting_hook_covers_a_strategys_question(drive: Drive) -> None:
    class Scrub:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Prompt:
            return ctx.map_text(lambda text: text.replace("secret", "***"))

    def summary(messages: Sequence[Message]) -> Generator[Prompt, Reply, list[Message]]:
        yield Prompt("Summarise.", tuple(messages[:1]))
        return [messages[0], *messages[-2:]]

    llm = MockLLMBackend([*CALLS[:2], "a summary", DONE])
    drive(llm, tools=[echo], hooks=[Using(summary), Scrub()], task="a secret task")
    assert len(llm.prompts) == 4
    assert not any("secret" in str(prompt) for prompt in llm.prompts)


def test_cancelling_while_a_strategy_asks_ends_the_run_as_cancelled() -> None:
    token = CancelToken()

    def summary(messages: Sequence[Message]) -> Generator[Prompt, Reply, Sequence[Message]]:
        yield Prompt("Summarise.", tuple(messages[:1]))
        return messages

    def policy(prompt: Prompt) -> Any:
        if prompt.system == "Summarise.":
            token.cancel()
            return "a summary"
        return CALLS[0]

    for run in (run_sync, run_async):
        token = CancelToken()
        config = LoopConfig(cancel_token=token)
        result = run(MockLLMBackend(policy), tools=[echo], hooks=[Using(summary, above=2)], config=config)
        assert result.stop_reason == "cancelled"
