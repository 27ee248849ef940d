from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.traces import json_values

from looplet.trace.normalize import Normalizer

HOME = Normalizer({"/root": "<home>", "/root/work": "<rootdir>"})
ONE, OTHER = "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "2b4e28ba-2fa1-11d2-883f-0016d3cca427"
PIECES = st.sampled_from(
    [*("/root", "/root/work", "/data", ".", "-", "~", ">", " ", "/", "x", ":", '"', "\\n", "file://"), ONE]
)


@pytest.mark.parametrize(
    ("text", "normal"),
    [
        ("/root/x.txt", "<home>/x.txt"),
        ("It is in /root. And", "It is in <home>. And"),
        ("see /root", "see <home>"),
        ("/root/work/a /root/works", "<rootdir>/a <home>/works"),
        ("path=/root", "path=<home>"),
        ("at:/root/a", "at:<home>/a"),
        ("'/root' \"/root\" (/root)", "'<home>' \"<home>\" (<home>)"),
        ("file:///root/a.py", "file://<home>/a.py"),
        (json.dumps("a\n/root/b"), '"a\\n<home>/b"'),
        ("\x1b[01;31m/root/b", "\x1b[01;31m<home>/b"),
        ("a\n/root", "a\n<home>"),
    ],
)
def test_a_path_is_replaced_where_it_stands_by_itself(text: str, normal: str) -> None:
    assert HOME(text) == normal


@pytest.mark.parametrize(
    "text",
    [
        *("https://api.example.com/root/items", "/data/root", "/var/root.txt", "/root.txt", "/root2", "/root-x"),
        *("~/root", "./root", "../root/a", "a-/root", "//root", "<workdir>/root", "{base}/root", "localhost:80/root"),
    ],
)
def test_a_path_in_the_middle_of_another_text_is_left(text: str) -> None:
    assert HOME(text) == text


@given(st.lists(PIECES).map("".join) | st.text())
def test_what_is_normal_stays_as_it_is(text: str) -> None:
    assert HOME(HOME(text)) == HOME(text)


def test_keys_that_become_one_are_told_apart() -> None:
    assert Normalizer().value({ONE: 10, OTHER: 20, "x": 1}) == {"<uuid>": 10, "<uuid> (2)": 20, "x": 1}
    assert Normalizer(volatile=["id"]).value({"id": 1, "x": 2}) == {"id": "<id>", "x": 2}


@given(st.dictionaries(st.text() | st.uuids().map(str), json_values) | json_values)
def test_a_normal_value_has_the_form_it_had_and_is_normal(value: Any) -> None:
    normal = Normalizer().value(value)
    assert _form(normal) == _form(value)
    assert Normalizer().value(normal) == normal


def _form(value: Any) -> Any:
    if isinstance(value, dict):
        return [_form(item) for item in value.values()]
    return [_form(item) for item in value] if isinstance(value, list) else type(value)
