from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.traces import DONE, SEARCH, json_values

from looplet.messages import Message, Prompt, Settings, ToolSchema
from looplet.trace.jsonable import canonical
from looplet.trace.matching import RequestKeys, first_difference
from looplet.trace.redact import redaction
from looplet.types import ToolCall

ASK = Message("user", "find cheese")


def native(call_id: str, answer: str = "gouda") -> tuple[Message, ...]:
    call = ToolCall("search", {"query": "x"}, call_id=call_id)
    return (ASK, Message("assistant", "", (call,)), Message("tool", answer, call_id=call_id))


def key(prompt: Prompt) -> bytes:
    return RequestKeys().key(prompt)[0]


BASE = Prompt("s", native("c1"), (SEARCH, DONE), Settings(temperature=0.5))


def test_call_ids_timeouts_and_overflow_do_not_count() -> None:
    other = BASE.replace(messages=native("another"), settings=Settings(temperature=0.5, timeout_s=3), overflowed=True)
    assert key(other) == key(BASE)


def test_which_call_a_result_belongs_to_does_count() -> None:
    calls = (ToolCall("search", {}, call_id="a"), ToolCall("search", {}, call_id="b"))
    first = Message("assistant", "", calls)
    straight = (ASK, first, Message("tool", "x", call_id="a"), Message("tool", "y", call_id="b"))
    crossed = (ASK, first, Message("tool", "x", call_id="b"), Message("tool", "y", call_id="a"))
    assert key(Prompt("", straight)) != key(Prompt("", crossed))


def test_everything_else_counts() -> None:
    others = [
        BASE.replace(system="t"),
        BASE.replace(messages=native("c1", "brie")),
        BASE.replace(messages=BASE.messages[:2]),
        BASE.replace(tools=(DONE, SEARCH)),
        BASE.replace(tools=(SEARCH,)),
        BASE.replace(settings=Settings()),
        BASE.replace(settings=Settings(temperature=0.5, extra={"seed": 1})),
    ]
    assert len({key(prompt) for prompt in [BASE, *others]}) == len(others) + 1


def test_the_order_of_keys_does_not_count() -> None:
    one = ToolSchema("t", "", {"type": "object", "properties": {}})
    two = ToolSchema("t", "", {"properties": {}, "type": "object"})
    assert key(Prompt("", (ASK,), (one,))) == key(Prompt("", (ASK,), (two,)))


@given(st.lists(st.lists(st.sampled_from([*native("a"), *native("b", "brie")]), max_size=5), max_size=6))
def test_a_key_does_not_depend_on_the_requests_before_it(conversations: list[list[Message]]) -> None:
    keys = RequestKeys()
    for messages in conversations:
        prompt = Prompt("s", tuple(messages))
        assert keys.key(prompt) == RequestKeys().key(prompt)


def test_a_redaction_comes_first() -> None:
    recorded = Prompt("[redacted]", (Message("user", "my [redacted]"),))
    live = Prompt("sk-" + "a" * 20, (Message("user", "my sk-" + "b" * 20),))
    assert RequestKeys(redaction(True)).key(live)[0] == key(recorded)


@given(json_values, json_values)
def test_there_is_a_difference_exactly_when_values_differ(one: object, other: object) -> None:
    assert first_difference(one, one) is None
    assert (first_difference(one, other) is None) == (canonical(one) == canonical(other))  # True is not 1


def test_a_difference_is_one_line_with_its_place() -> None:
    recorded = {"system": "s", "messages": [{"role": "user", "content": "0123456789" * 8}]}
    now = {"system": "s", "messages": [{"role": "user", "content": "0123456789" * 4 + "0x" + "\n" * 30}]}
    assert first_difference(recorded, now) == (
        "messages[0].content differs at char 41: recorded '…9012345678901234567890123456789012345678…' "
        "now '…901234567890x" + "\\n" * 27 + "…'"
    )


@pytest.mark.parametrize(
    ("recorded", "now", "line"),
    [
        ({"a": 1}, {"a": "1"}, 'a differs: recorded 1 now "1"'),
        ({"a": [1]}, {"a": [1, {"b": 2}]}, 'a[1] is new: {"b": 2}'),
        ({"a": [1, 2]}, {"a": [1]}, "a[1] is missing: recorded 2"),
        ({"a": {}}, {"a": {"k": None}}, "a.k is new: null"),
        ({"a": "abc"}, {"a": "ab"}, "a differs at char 2: recorded 'abc' now 'ab'"),
    ],
    ids=["kind", "new", "missing", "null", "shorter"],
)
def test_each_kind_of_difference_says_what_it_is(recorded: object, now: object, line: str) -> None:
    assert first_difference(recorded, now) == line
