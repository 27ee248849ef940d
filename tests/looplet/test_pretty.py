"""`Step.pretty()`: one line that says what happened and cannot harm a terminal."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looplet import Step, ToolCall, ToolResult
from looplet._pretty import visible


def pretty(data: Any = None, error: str | None = None, **args: Any) -> str:
    return Step(1, ToolCall("search", args), ToolResult("search", data, error, duration_ms=182.3)).pretty()


@pytest.mark.parametrize(
    ("data", "shown"),
    [
        (["x"] * 12, "12 items"),
        (["x"], "1 item"),
        ({"greeting": "Hello, Alice!"}, "Hello, Alice!"),
        ({"rows": [1, 2]}, "2 items"),
        ({"a": 1, "b": 2}, "2 keys"),
        ({}, "0 keys"),
        ("text", "text"),
        (None, "None"),
        (3.5, "3.5"),
        ({"needs_approval": True}, "awaiting approval"),
    ],
)
def test_results_in_a_few_words(data: Any, shown: str) -> None:
    mark = "⏸" if shown == "awaiting approval" else "✓"
    assert pretty(data, query="q") == f"#1 {mark} search(query='q') → {shown} [182ms]"


def test_a_failure_shows_its_error() -> None:
    assert pretty(error="no such index", query="q") == "#1 ✗ search(query='q') → ERROR: no such index [182ms]"


def test_long_arguments_are_shortened() -> None:
    assert "…" in pretty("x", query="q" * 500)
    assert len(pretty("x" * 5000, query="q" * 500)) < 200


@given(st.text(), st.text())
def test_nothing_unprintable_reaches_the_terminal(name: str, value: str) -> None:
    line = pretty({"key": value}, error=None, a=value)
    assert visible(line) == line
    assert visible(pretty(error=name)) == pretty(error=name)


def test_escapes_bidi_and_lone_surrogates_are_made_visible() -> None:
    assert visible("\x1b[31mred\u202e\ud800") == "\\x1b[31mred\\u202e\\ud800"


def test_a_dict_that_holds_itself_or_nests_for_ever_is_counted() -> None:
    cyclic: dict[str, Any] = {}
    cyclic["self"] = cyclic
    deep: dict[str, Any] = {"leaf": 1}
    for _ in range(3_000):
        deep = {"inner": deep}
    for data in (cyclic, deep):
        assert pretty(data, x=data).endswith(" → 1 key [182ms]")


def test_a_container_that_cannot_be_read_is_named() -> None:
    class Evil(dict[str, Any]):
        def __len__(self) -> int:
            raise ValueError("no")

        def get(self, *_: Any) -> Any:
            raise ValueError("no")

    assert "→ <Evil, unreadable: ValueError> [182ms]" in pretty(Evil(a=1))


def test_an_error_that_is_no_text_is_written_out() -> None:
    number: Any = 42
    assert pretty(error=number) == "#1 ✗ search() → ERROR: 42 [182ms]"


def test_an_object_whose_repr_raises_is_named() -> None:
    class Nasty:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert "<Nasty, repr failed: RuntimeError>" in pretty(Nasty())
