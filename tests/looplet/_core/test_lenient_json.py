from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import JSON, JSON_OBJECTS, patient

from looplet._core.lenient_json import Broken, Truncated, read_value


def read(text: str) -> Any:
    value, end = read_value(text, 0)
    assert not text[end:].strip()
    return value


@patient
@given(JSON, st.sampled_from([None, 2]), st.booleans())
def test_valid_json_reads_as_json_reads_it(value: object, indent: int | None, ascii_only: bool) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_only)
    assert read(text) == json.loads(text)


@patient
@given(JSON_OBJECTS)
def test_a_python_dict_reads_as_itself(value: dict[str, Any]) -> None:
    text = repr(json.loads(json.dumps(value)))
    if "\\x" in text or "\\U" in text or "\\u" in text:
        return  # escapes JSON does not have
    assert read(text) == json.loads(json.dumps(value))


@patient
@given(JSON_OBJECTS, st.data())
def test_no_beginning_of_an_object_reads_as_a_value(value: dict[str, Any], data: st.DataObject) -> None:
    text = json.dumps(value)
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    with pytest.raises(Truncated):
        read_value(cut, 0)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("{'a': 'it\\'s'}", {"a": "it's"}),
        ('{"a": 1,}', {"a": 1}),
        ("[1, 2, ]", [1, 2]),
        ("{a: True, b: None, c: False}", {"a": True, "b": None, "c": False}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        (r'{"a": "\d+\u0041\ud83d\ude00\n"}', {"a": "\\d+A😀\n"}),
        (r'{"a": "\u12"}', {"a": "\\u12"}),
        ('{"a": -1.5e3}', {"a": -1500.0}),
    ],
)
def test_spelling_is_forgiven(text: str, value: object) -> None:
    assert read(text) == value


@pytest.mark.parametrize(
    "text",
    [
        '{"a" 1}',
        '{"a": b}',
        '{"a": 1 "b": 2}',
        '{"a": NaN}',
        '{"a": 1e999}',
        '{"a": 1.2.3}',
        '{"a": ' + "9" * 5_000 + "}",
        "{,}",
        "[" * 5_000 + "]" * 5_000,
        '{"a":' * 5_000 + "1" + "}" * 5_000,
    ],
)
def test_what_cannot_be_read_is_broken_and_not_truncated(text: str) -> None:
    with pytest.raises(Broken) as caught:
        read_value(text, 0)
    assert not isinstance(caught.value, Truncated)


@pytest.mark.parametrize(
    "text", ['{"a": tr', '{"a": -', '{"a": 1.', '{"a": 1e', '{"a": "x\\', '{"a', "{", "", "  ", '{"a": 12']
)
def test_what_ends_too_soon_is_truncated(text: str) -> None:
    with pytest.raises(Truncated):
        read_value(text, 0)


def test_the_keys_of_open_objects_and_of_those_in_open_lists_are_known_where_it_breaks() -> None:
    with pytest.raises(Broken) as caught:
        read_value('[{"listed": {"inner": 1}}, {"tool": {"args": @}}]', 0)
    assert caught.value.keys == {"listed", "tool", "args"}
