from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import subprocess
import sys
from collections import deque
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import JSON, TEXT, patient

from looplet._core.to_text import encodable, result_text, to_text
from looplet.types import ErrorKind, ToolCall, ToolResult

LIMIT = 20_000


class Colour(enum.Enum):
    RED = "red"


class Mood(enum.StrEnum):
    FINE = "fine"


@dataclasses.dataclass
class Point:
    x: int
    tags: set[str]


class Sulks:
    def __repr__(self) -> str:
        raise KeyError("no")


class SulkingError(Exception):
    def __str__(self) -> str:
        raise ValueError("no")


def cycle() -> list[Any]:
    items: list[Any] = [1]
    items.append({"again": items})
    return items


def nested(depth: int) -> list[Any]:
    items: list[Any] = []
    for _ in range(depth):
        items = [items]
    return items


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("as it is\n", "as it is\n"),
        (Mood.FINE, "fine"),
        (None, "null"),
        (True, "true"),
        ({"a": [1, 2.5, "é"]}, '{"a":[1,2.5,"é"]}'),
        ({1: "one", None: 0}, '{"1":"one","null":0}'),
        ({(1, 2): "pair"}, '{"[1,2]":"pair"}'),
        ({Colour.RED: 1}, '{"red":1}'),
        ((1, Colour.RED), '[1,"red"]'),
        (float("nan"), "NaN"),
        (b"bytes", "bytes"),
        (b"\xff\x00", "<2 bytes: ff00>"),
        (b"\xff" * 50, f"<50 bytes: {'ff' * 32}...>"),
        ({3, 10, 2, "a", "B"}, '[2,3,10,"B","a"]'),
        (frozenset({("b", 1), ("a", 2)}), '[["a",2],["b",1]]'),
        (deque([1, 2]), "[1,2]"),
        ({"k": 1}.values(), "[1]"),
        (MappingProxyType({"k": 1}), '{"k":1}'),
        (datetime.date(2020, 1, 2), "2020-01-02"),
        ([datetime.date(2020, 1, 2)], '["2020-01-02"]'),
        (decimal.Decimal("1.50"), "1.50"),
        (PurePosixPath("/a/b"), "/a/b"),
        (Point(1, {"b", "a"}), '{"x":1,"tags":["a","b"]}'),
        (ToolCall("t", {"a": 1}, call_id="1"), '{"tool":"t","args":{"a":1},"reasoning":"","call_id":"1"}'),
        (ValueError("bad"), "ValueError: bad"),
        (ValueError(), "ValueError"),
        (object(), "<object object>"),
        ([object()], '["<object object>"]'),
        (Sulks(), "<Sulks, unreadable>"),
        ([1, Sulks(), 2], '[1,"<Sulks, unreadable>",2]'),
        (SulkingError(), "<SulkingError, unreadable>"),
        (cycle(), '[1,{"again":"<cycle>"}]'),
    ],
)
def test_every_value_has_one_readable_text(value: object, text: str) -> None:
    assert to_text(value, LIMIT) == text


def test_a_function_is_shown_without_its_address() -> None:
    assert "0x" not in to_text(nested, LIMIT)


def test_a_value_nested_too_deep_is_cut_there() -> None:
    assert to_text(nested(100_000), LIMIT) == "[" * 50 + '"<too deep>"' + "]" * 50


def test_a_lone_surrogate_is_written_as_an_escape() -> None:
    assert to_text({"a": "x\udc80"}, LIMIT) == '{"a":"x\\udc80"}'
    assert encodable("é\ud800") == "é\\ud800"


def test_a_long_text_keeps_head_and_tail_and_says_what_was_cut() -> None:
    text = to_text("a" * 1_000_000 + "z" * 1_000_000, 1_000)
    head, note, tail = text.split("\n")
    assert set(head) == {"a"}
    assert set(tail) == {"z"}
    assert note == f"... [{2_000_000 - len(head) - len(tail):,} characters cut] ..."
    assert len(text) <= 1_000


def test_the_order_of_a_set_does_not_depend_on_the_hash_seed() -> None:
    program = "from looplet._core.to_text import to_text; print(to_text({'a', 'b', 'c', 1, None, (1, 2)}, 999))"
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, capture_output=True, text=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(texts) == 1


STRANGE = JSON | st.sets(JSON.filter(lambda value: isinstance(value, (str, int, float))), max_size=4) | st.binary()


@patient
@given(
    st.recursive(STRANGE | st.floats() | st.datetimes(), lambda inner: st.lists(inner) | st.tuples(inner)),
    st.integers(-5, 300),
)
def test_text_is_bounded_encodable_and_the_same_every_time(value: object, limit: int) -> None:
    text = to_text(value, limit)
    assert len(text) <= max(limit, 0)
    assert text == to_text(value, limit)
    text.encode("utf-8")


@patient
@given(TEXT)
def test_text_that_can_be_encoded_is_unchanged(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        assert encodable(text) != text
    else:
        assert encodable(text) == to_text(text, LIMIT) == text


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (ToolResult("t", {"a": 1}), '{"a":1}'),
        (ToolResult("t", "plain"), "plain"),
        (ToolResult("t", ""), "(empty)"),
        (ToolResult("t", 1, warnings=("rounded", "slow")), "1\nNote: rounded\nNote: slow"),
        (ToolResult("t", error="no disk"), "ERROR (execution): no disk"),
        (
            ToolResult("t", error="late", error_kind=ErrorKind.TIMEOUT, error_retriable=True),
            "ERROR (timeout): late\nYou may try again.",
        ),
    ],
)
def test_the_model_is_told_data_error_and_warnings(result: ToolResult, text: str) -> None:
    assert result_text(result, LIMIT) == text


def test_warnings_survive_a_result_that_must_be_cut() -> None:
    text = result_text(ToolResult("t", "x" * 5_000, warnings=("mind this",)), 200)
    assert text.endswith("\nNote: mind this")
    assert len(text) <= 200


@patient
@given(JSON, st.lists(TEXT, max_size=3), st.integers(100, 300))
def test_what_the_model_is_told_is_bounded(data: object, warnings: list[str], limit: int) -> None:
    assert len(result_text(ToolResult("t", data, warnings=tuple(warnings)), limit)) <= limit
