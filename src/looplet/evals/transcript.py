"""A `RunResult` from OpenAI-style messages: how agents that are not built on looplet are evaluated."""

from __future__ import annotations

import json
from typing import Any

from looplet.result import RunResult
from looplet.types import Step, ToolCall, ToolResult

_ROLES = {"system", "developer", "user", "assistant", "tool"}


def is_messages(value: Any) -> bool:
    """Say whether `value` looks like a list of chat messages."""
    return (
        isinstance(value, (list, tuple))
        and bool(value)
        and all(isinstance(entry, dict) and entry.get("role") in _ROLES for entry in value)
    )


def result_from_messages(messages: list[dict[str, Any]], task: Any) -> RunResult:
    """Each tool call becomes a step with the result that answers it; the last assistant text is the output."""
    answers = {entry.get("tool_call_id"): entry.get("content") for entry in messages if entry["role"] == "tool"}
    steps: list[Step] = []
    output: Any = None
    for entry in messages:
        if entry["role"] != "assistant":
            continue
        calls = entry.get("tool_calls") or ()
        steps += [_step(len(steps) + number, call, answers) for number, call in enumerate(calls, 1)]
        output = None if calls else entry.get("content")
    return RunResult(
        stop_reason="done" if output is not None else "closed", task=task, output=output, steps=tuple(steps)
    )


def _step(number: int, call: dict[str, Any], answers: dict[Any, Any]) -> Step:
    function = call.get("function", call)
    name, call_id = str(function.get("name", "")), str(call.get("id") or "")
    answered = call.get("id") in answers
    result = ToolResult(name, data=answers.get(call.get("id")), error=None if answered else "the call has no result")
    return Step(number, ToolCall(name, _arguments(function.get("arguments")), call_id=call_id), result)


def _arguments(given: Any) -> dict[str, Any]:
    """Arguments as an object; what is not one is kept under `invalid_json`, as the loop does."""
    if isinstance(given, str):
        try:
            given = json.loads(given or "{}")
        except ValueError:
            return {"invalid_json": given}
    return given if isinstance(given, dict) else {} if given is None else {"invalid_json": str(given)}
