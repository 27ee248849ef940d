from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from tests.support.traces import json_values

from looplet import Step, ToolCall, ToolResult
from looplet._compare import ABSENT, changes, differences
from looplet.types import ErrorKind, Usage


def step(tool: str = "refund", args: Any = None, **result: Any) -> Step:
    return Step(2, ToolCall(tool, args or {"amount": 10}), ToolResult(tool, **result), usage=Usage(1, 2))


class Stubborn:
    """An array: comparing it gives no bool."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __eq__(self, other: object) -> bool:
        raise ValueError("ambiguous")

    def __hash__(self) -> int:
        return 0

    def __str__(self) -> str:
        return self.text


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        (step(data=1), []),
        (step(data=1, duration_ms=5.0).replace(number=9, usage=Usage(7, 7)), []),
        (step("escalate", data=1), ["tool refund → escalate"]),
        (step(args={"amount": 11}, data=1), ["arguments: amount 10 → 11"]),
        (step(data=True), ["result: 1 → true"]),
        (step(data=datetime(2026, 1, 1, tzinfo=UTC)), ["result: 1 → 2026-01-01 00:00:00+00:00"]),
        (step(data={"a": Stubborn("x")}), ["result: 1 → {'a':"]),
        (step(error="gone", error_kind=ErrorKind.TIMEOUT), ["error appeared: (timeout) gone"]),
        (step(data=1, warnings=("slow",)), ["notes for the model: [0] added 'slow'"]),
    ],
    ids=["same", "times", "tool", "arguments", "kind", "datetime", "stranger", "error", "note"],
)
def test_a_step_says_what_another_did_differently(after: Step, lines: list[str]) -> None:
    found = step(data=1).diff(after)
    assert len(found) == len(lines)
    assert all(told.startswith(line) for told, line in zip(found, lines, strict=True))


def test_errors_are_compared_by_text_and_kind() -> None:
    one = step(error="took 3 s", error_kind=ErrorKind.TIMEOUT)
    assert one.diff(step(error="took 4 s", error_kind=ErrorKind.TIMEOUT)) == ["error: 'took 3 s' → 'took 4 s'"]
    assert one.diff(step(error="took 3 s", error_kind=ErrorKind.NETWORK)) == ["error: (timeout → network) "]
    assert one.diff(step(data=3)) == ["error gone: (timeout) took 3 s"]


def test_objects_that_refuse_to_be_compared_count_by_their_text() -> None:
    assert step(data=Stubborn("x")).diff(step(data=Stubborn("x"))) == []
    assert step(data=Stubborn("x")).diff(step(data=Stubborn("y"))) == ["result: x → y"]


def test_many_differences_are_counted_after_the_first_three() -> None:
    assert changes(dict.fromkeys("abcde", 1), dict.fromkeys("abcde", 2)) == "a 1 → 2, b 1 → 2, c 1 → 2 and 2 more"


def test_a_long_text_is_shown_where_it_differs() -> None:
    assert (
        changes("x" * 100 + "a" + "y" * 100, "x" * 100 + "b") == "'…xxxxxxxxxxxxa" + "y" * 27 + "…' → '…xxxxxxxxxxxxb'"
    )


def test_what_a_model_wrote_cannot_move_the_cursor() -> None:
    assert changes({"\x1b[2J": 1}, {"\x1b[2J": "\x1b"}) == "\\x1b[2J 1 → '\\x1b'"


@given(json_values, json_values)
def test_differences_turned_round_are_the_same_places(one: Any, other: Any) -> None:
    there = {path: (before, after) for path, before, after in differences(one, other)}
    back = {path: (after, before) for path, before, after in differences(other, one)}
    assert there.keys() == back.keys()
    assert not any(before is ABSENT and after is ABSENT for before, after in there.values())


def test_one_and_true_are_told_apart_inside_of_values_too() -> None:
    one = Step(1, ToolCall("t", {"a": {"b": [1]}}), ToolResult("t", [1, 0.0]))
    other = Step(1, ToolCall("t", {"a": {"b": [True]}}), ToolResult("t", [1.0, -0.0]))
    assert one.diff(other) == ["arguments: a.b[0] 1 → true", "result: [0] 1 → 1.0, [1] 0.0 → -0.0"]
    assert one.diff(one.replace()) == []
