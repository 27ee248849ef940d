"""OpenAI-style messages as a RunResult."""

from __future__ import annotations

from typing import Any

from looplet.evals.transcript import is_messages, result_from_messages
from looplet.types import Step, ToolCall, ToolResult

CALLS = [
    {"id": "a", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}},
    {"id": "b", "type": "function", "function": {"name": "look", "arguments": "{"}},
]


def test_calls_become_steps_with_the_results_that_answer_them() -> None:
    messages: list[dict[str, Any]] = [
        {"role": "user", "content": "go"},
        {"role": "assistant", "content": None, "tool_calls": CALLS},
        {"role": "tool", "tool_call_id": "a", "content": "found"},
        {"role": "assistant", "content": "25"},
    ]
    result = result_from_messages(messages, "go")
    assert result.steps == (
        Step(1, ToolCall("look", {"x": 1}, call_id="a"), ToolResult("look", data="found")),
        Step(
            2, ToolCall("look", {"invalid_json": "{"}, call_id="b"), ToolResult("look", error="the call has no result")
        ),
    )
    assert (result.output, result.stop_reason, result.task) == ("25", "done", "go")


def test_a_conversation_that_ends_in_a_call_has_no_output() -> None:
    result = result_from_messages([{"role": "assistant", "content": "wait", "tool_calls": CALLS}], "go")
    assert (result.output, result.status) == (None, "stopped")


def test_only_lists_of_messages_are_messages() -> None:
    assert is_messages([{"role": "user", "content": "x"}])
    for value in ([], "text", [1], [{"role": "robot"}], None, {"role": "user"}):
        assert not is_messages(value)
