from __future__ import annotations

import json
from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.traces import json_values

from looplet.errors import TraceError
from looplet.trace.jsonable import canonical, dump_line, jsonable
from looplet.types import Usage


class Colour(Enum):
    RED = "red"


class Level(IntEnum):
    HIGH = 3


@dataclass
class Point:
    x: int
    y: tuple[int, ...] = (1, 2)


class Hostile:
    def __str__(self) -> str:
        raise RuntimeError("no")

    __repr__ = __str__

    @property  # type: ignore[misc]  # as hostile as it gets
    def __class__(self) -> Any:
        raise RuntimeError("no class either")


def cycle() -> list[Any]:
    found: list[Any] = [1]
    found.append(found)
    return found


def deep(levels: int) -> Any:
    value: Any = "bottom"
    for _ in range(levels):
        value = [value]
    return value


@given(json_values)
def test_json_values_come_out_equal_and_survive_a_line(value: Any) -> None:
    assert jsonable(value) == value
    assert json.loads(dump_line(jsonable(value))) == value


STRANGERS: list[tuple[object, object]] = [
    (datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), "2026-01-02T03:04:05+00:00"),
    (date(2026, 1, 2), "2026-01-02"),
    (b"caf\xc3\xa9 \xff", "café \\xff"),
    (bytearray(b"abc"), "abc"),
    ({3, 1, 2}, [1, 2, 3]),
    (frozenset({"b", "a"}), ["a", "b"]),
    (float("nan"), "NaN"),
    (float("-inf"), "-Infinity"),
    ((1, (2,)), [1, [2]]),
    ({1: "a", None: "b"}, {"1": "a", "null": "b"}),
    ({"1": "a", 1: "b"}, {"1": "a", "1 (2)": "b"}),
    ({False: "a", (1, 2): "b"}, {"false": "a", "[1, 2]": "b"}),
    (OrderedDict(a=1), {"a": 1}),
    (Colour.RED, "red"),
    (Level.HIGH, 3),
    (Decimal("1.10"), "1.10"),
    (Path("a/b"), "a/b"),
    (Point(1), {"x": 1, "y": [1, 2]}),
    (Usage(1, 2), {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "cost": None}),
    (ValueError("no"), "ValueError: no"),
    (object(), "<object object>"),
    (10**6000, hex(10**6000)),
    (cycle(), [1, "<cycle>"]),
    (Hostile(), "<unreadable>"),
    ([1, Hostile()], [1, "<unreadable>"]),
]


@pytest.mark.parametrize(("value", "expected"), STRANGERS, ids=[str(expected)[:20] for _, expected in STRANGERS])
def test_strangers_become_something_readable(value: object, expected: object) -> None:
    made = jsonable(value)
    assert made == expected
    assert json.loads(dump_line(made)) == expected


def test_a_hundred_levels_are_kept_and_more_are_cut() -> None:
    assert jsonable(deep(99)) == deep(99)
    assert "<too deep>" in dump_line(jsonable(deep(5_000))).decode()


def test_near_the_limit_of_recursion_a_note_is_written() -> None:
    def descend() -> Any:
        try:
            return descend()
        except RecursionError:
            return jsonable(deep(90))

    assert json.loads(dump_line(descend())) == "<too deep>"


def test_lone_surrogates_survive_a_line() -> None:
    text = "a\ud800b\udc80 ü"
    assert json.loads(dump_line({"text": text})) == {"text": text}


def test_two_megabytes_are_kept() -> None:
    text = "x" * 2_000_000
    assert json.loads(dump_line(jsonable({"text": text})))["text"] == text


def test_a_change_reaches_every_string_and_every_key() -> None:
    changed = jsonable({"a": ["b", {"c": "d"}]}, str.upper)
    assert changed == {"A": ["B", {"C": "D"}]}


def test_two_keys_that_become_one_are_both_kept() -> None:
    assert jsonable({"a": 1, "b": 2}, lambda _: "x") == {"x": 1, "x (2)": 2}


def test_an_error_of_the_change_leaves() -> None:
    def fail(_: str) -> str:
        raise TraceError("no")

    with pytest.raises(TraceError):
        jsonable(["a"], fail)


@given(st.dictionaries(st.text(), json_values))
def test_canonical_bytes_do_not_depend_on_the_order_of_keys(value: dict[str, Any]) -> None:
    assert canonical(value) == canonical(dict(reversed(list(value.items()))))
