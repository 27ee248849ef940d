"""How a run ends: the final answer, and what is left of a turn that was cut short."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from looplet import Capabilities, LoopConfig, MockLLMBackend, ToolCall, tool

if TYPE_CHECKING:
    from tests.support.drive import Drive

LAST = LoopConfig(max_steps=1, final_answer=True)


@tool
def echo(text: str) -> str:
    """Say it back."""
    return text


CALL = '{"tool": "echo", "args": {"text": "a"}}'


@pytest.mark.parametrize("native", [True, False])
@pytest.mark.parametrize(
    ("reply", "output"),
    [
        ("It is 42.", "It is 42."),
        ("<think>hm</think>It is 42.", "It is 42."),
        ('<think>hm</think>{"tool": "done", "args": {"answer": "42"}}', "42"),
        (ToolCall("done", {"answer": "42"}), "42"),
        ("<think>only thinking</think>", None),
    ],
)
def test_the_final_answer_is_the_text_without_its_wrapping(drive: Drive, native: bool, reply: Any, output: Any) -> None:
    first = ToolCall("echo", {"text": "a"}) if native else CALL
    llm = MockLLMBackend([first, reply], capabilities=Capabilities(native_tools=native))
    result = drive(llm, tools=[echo], config=LAST)
    assert (result.stop_reason, result.output) == ("max_steps", output)


def test_calls_a_budget_cut_off_are_answered_before_the_last_request(drive: Drive) -> None:
    calls = [ToolCall("echo", {"text": text}) for text in "abc"]
    llm = MockLLMBackend([calls, "best guess"])
    drive(llm, tools=[echo], config=LAST)
    results = [message.content for message in llm.prompts[-1].messages if message.role == "tool"]
    assert results == ["a", "not executed: the run ended first", "not executed: the run ended first"]


OBJECT = {"type": "object", "properties": {"total": {"type": "integer"}}, "required": ["total"]}


@pytest.mark.parametrize("reply", [ToolCall("done", {"total": 3}), '{"total": 3}'])
def test_a_final_answer_has_the_form_the_done_tool_gives(drive: Drive, reply: Any) -> None:
    config = LoopConfig(max_steps=1, final_answer=True, output_schema=OBJECT)
    llm = MockLLMBackend([ToolCall("echo", {"text": "a"}), reply])
    assert drive(llm, tools=[echo], config=config).output == {"total": 3}


def test_a_final_answer_in_another_form_is_none(drive: Drive) -> None:
    config = LoopConfig(max_steps=1, final_answer=True, output_schema=OBJECT)
    llm = MockLLMBackend([ToolCall("echo", {"text": "a"}), "about three"])
    assert drive(llm, tools=[echo], config=config).output is None
