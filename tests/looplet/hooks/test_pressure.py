"""The model is told once that its window fills up, and nothing else happens."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_sync

from looplet import Capabilities, ContextPressureHook, MockLLMBackend, Prompt, ToolCall, Usage, tool
from looplet.messages import RawCall, Reply

if TYPE_CHECKING:
    from tests.support.drive import Drive


@tool
def read(chars: int = 400) -> str:
    """Read."""
    return "x" * chars


DONE = ToolCall("done", {"answer": "x"})
READS = [ToolCall("read")] * 6


def told(llm: MockLLMBackend) -> list[int]:
    return [number for number, prompt in enumerate(llm.prompts, 1) if "% full" in prompt.messages[-1].content]


def test_the_model_is_told_once_when_the_window_fills_up(drive: Drive) -> None:
    llm = MockLLMBackend([*READS, DONE], capabilities=Capabilities(context_window=800))
    drive(llm, tools=[read], hooks=[ContextPressureHook(at=0.5)])
    assert len(told(llm)) == 1
    assert 2 < told(llm)[0] < 7


def test_without_the_hook_or_a_window_it_is_not_told() -> None:
    for hooks in ([], [ContextPressureHook()]):
        llm = MockLLMBackend([*READS, DONE])
        run_sync(llm, tools=[read], hooks=hooks)
        assert told(llm) == []


def test_the_share_can_be_read() -> None:
    hook = ContextPressureHook(window=1_000)
    assert hook.share is None
    run_sync([*READS, DONE], tools=[read], hooks=[hook])
    assert hook.share is not None
    assert 0.4 < hook.share < 1.5


def test_the_share_follows_what_the_provider_reports() -> None:
    def counting(prompt: Prompt) -> Reply:
        tokens = sum(len(message.content) for message in prompt.messages) // 4
        return Reply(calls=(RawCall("read", {"chars": 4_000}),), usage=Usage(tokens, 1))

    hook = ContextPressureHook(window=10_000)
    run_sync(MockLLMBackend(counting), tools=[read], hooks=[hook], max_steps=6)
    assert hook.share is not None
    assert abs(hook.share - 5 * 4_000 / 4 / 10_000) < 0.05


def test_it_is_told_again_after_it_was_below_in_between() -> None:
    class Shorten:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Prompt | None:
            return ctx.replace(messages=ctx.messages[:1]) if step == 5 else None

    llm = MockLLMBackend([*READS, DONE])
    run_sync(llm, tools=[read], hooks=[Shorten(), ContextPressureHook(window=600, at=0.5)])
    assert len(told(llm)) == 2


def test_it_is_told_again_when_the_request_failed() -> None:
    llm = MockLLMBackend([ConnectionError("down"), DONE])
    run_sync(llm, task="x", hooks=[ContextPressureHook(window=10)])
    assert told(llm) == [1, 2]


def test_the_note_may_be_ones_own() -> None:
    llm = MockLLMBackend([DONE])
    run_sync(llm, hooks=[ContextPressureHook(window=10, note="{share}! {braces}")])
    assert "%! {braces}" in llm.prompts[0].messages[-1].content


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"window": 0}, r"ContextPressureHook\(window=...\) is 0: use a whole number of at least 1"),
        ({"at": 80}, r"ContextPressureHook\(at=...\) is 80: give a share above 0 and up to 1"),
        ({"note": ""}, r"ContextPressureHook\(note=''\): give the text the model should read"),
    ],
)
def test_nonsense_is_refused_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ContextPressureHook(**arguments)
