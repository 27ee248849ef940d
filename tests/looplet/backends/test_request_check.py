from __future__ import annotations

from typing import Any

import pytest

from looplet.backends.request_check import RequestCheck, problems

SYSTEM = {"role": "system", "content": "Be brief."}
USER = {"role": "user", "content": "Hello"}
RESULT = {"role": "tool", "content": "ok", "tool_call_id": "c1"}


def call(call_id: Any = "c1", name: Any = "greet", arguments: Any = "{}") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def turn(*calls: dict[str, Any], content: Any = "") -> dict[str, Any]:
    return {"role": "assistant", "content": content, "tool_calls": list(calls)}


@pytest.mark.parametrize(
    "messages",
    [
        [USER],
        [SYSTEM, USER, {"role": "assistant", "content": "Hi"}, USER],
        [USER, turn(call()), RESULT],
        [USER, turn(call(), call("c2")), RESULT | {"tool_call_id": "c2"}, RESULT | {"content": ""}],
        [USER, turn(call(name="a-b_9", arguments='{"x": 1}'), content="because"), RESULT, USER],
    ],
)
def test_a_sound_request_has_no_problems(messages: list[dict[str, Any]]) -> None:
    assert problems(messages) == []


@pytest.mark.parametrize(
    ("messages", "says"),
    [
        ([], "no messages"),
        ([USER, RESULT], "message 2: tool result for 'c1', which no unanswered call"),
        ([USER, turn(call()), RESULT, RESULT], "message 4: tool result for 'c1'"),
        ([USER, turn(call())], "the request ends, but these calls have no result yet: c1"),
        ([USER, turn(call()), USER], "message 3: user message although these calls have no result yet: c1"),
        ([USER, turn(call(), call())], "message 2: tool call id 'c1' is used twice"),
        ([USER, turn(call()), RESULT, turn(call()), RESULT], "message 4: tool call id 'c1' is used twice"),
        ([USER, turn(call(""))], "tool call id is ''"),
        ([USER, turn(call(None))], "tool call id is None"),
        ([USER, turn(call(), content=None), RESULT], "assistant content is None"),
        ([{"role": "assistant"}], "assistant content is None"),
        ([{"role": "assistant", "content": ""}], "assistant content is empty"),
        ([{"role": "user", "content": "  "}], "user content is empty"),
        ([{"role": "user", "content": [{"type": "text"}]}], "user content is [{"),
        ([{"role": "system", "content": ""}, USER], "system content is empty"),
        ([USER, SYSTEM], "message 2: system message after the first place"),
        ([{"role": "developer", "content": "x"}], "unknown role 'developer'"),
        (["hello"], "unknown role None"),
        ([USER, turn(call(name="no spaces")), RESULT], "tool name 'no spaces'"),
        ([USER, turn(call(name="é")), RESULT], "tool name 'é'"),
        ([USER, turn(call(name="x" * 65)), RESULT], "tool name 'xxx"),
        ([USER, turn(call(name="")), RESULT], "tool name ''"),
        ([USER, turn(call(arguments="[1]")), RESULT], "arguments of 'c1' are not the text of a JSON object"),
        ([USER, turn(call(arguments='{"a": ')), RESULT], "arguments of 'c1'"),
        ([USER, turn(call(arguments={})), RESULT], "arguments of 'c1'"),
        ([USER, turn({"id": "c1", "function": {"name": "x", "arguments": "{}"}})], "is not of type 'function'"),
    ],
)
def test_every_defect_is_named_with_its_place(messages: list[Any], says: str) -> None:
    assert any(says in problem for problem in problems(messages)), problems(messages)


def test_a_defect_is_reported_once() -> None:
    assert len(problems([USER, turn(call()), USER, USER])) == 1


def test_a_copy_goes_on_alone() -> None:
    check = RequestCheck()
    for message in (USER, turn(call())):
        check.add(message)
    twin = check.copy()
    twin.add(RESULT)
    assert twin.problems() == []
    assert check.problems() != []
