from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looplet.backends.openai_wire import openai_messages, read_reply, read_usage
from looplet.backends.request_check import problems
from looplet.messages import Message, Prompt, RawCall
from looplet.types import ToolCall, Usage

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def reply_to(message: dict[str, Any], **choice: Any) -> Any:
    return read_reply({"choices": [{"message": message, **choice}]})


@pytest.mark.parametrize(
    ("message", "text", "reasoning"),
    [
        ({"content": "plain"}, "plain", ""),
        ({"content": None}, "", ""),
        ({}, "", ""),
        ({"content": "answer", "reasoning": "thought"}, "answer", "thought"),
        ({"content": "answer", "reasoning_content": "thought"}, "answer", "thought"),
        ({"content": "<think>thought</think>\n\nanswer"}, "answer", "thought"),
        ({"content": "thought</think>answer"}, "answer", "thought"),
        ({"content": "<think>never closed"}, "", "never closed"),
        ({"content": '{"args": {"html": "</think>"}}'}, '{"args": {"html": "</think>"}}', ""),
        ({"content": "about the <think> tag"}, "about the <think> tag", ""),
        ({"content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}, "ab", ""),
        (
            {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "t"}]}, {"text": "a"}]},
            "a",
            "t",
        ),
        ({"content": None, "refusal": "I will not"}, "I will not", ""),
    ],
)
def test_thinking_is_kept_out_of_the_text(message: dict[str, Any], text: str, reasoning: str) -> None:
    reply = reply_to(message)
    assert (reply.text, reply.reasoning) == (text, reasoning)


@pytest.mark.parametrize(
    ("message", "calls"),
    [
        ({"tool_calls": None}, ()),
        ({"tool_calls": []}, ()),
        ({"tool_calls": [{"id": "c", "function": {"name": "a", "arguments": "{}"}}]}, (RawCall("a", "{}", "c"),)),
        ({"tool_calls": [{"function": {"name": "a"}}]}, (RawCall("a", {}),)),
        ({"tool_calls": [{"id": 3, "function": {"name": "a", "arguments": ""}}]}, (RawCall("a", {}, "3"),)),
        ({"tool_calls": [{"function": {"name": "a", "arguments": {"x": 1}}}]}, (RawCall("a", {"x": 1}),)),
        ({"tool_calls": [{"function": {"name": "a", "arguments": [1]}}]}, (RawCall("a", "[1]"),)),
        ({"tool_calls": [{"function": {"arguments": "{}"}}]}, (RawCall("", "{}"),)),
        ({"tool_calls": [{"type": "custom", "custom": {}}, "junk"]}, ()),
        ({"function_call": {"name": "a", "arguments": "{}"}}, (RawCall("a", "{}"),)),
    ],
)
def test_calls_may_lack_what_a_server_leaves_out(message: dict[str, Any], calls: tuple[RawCall, ...]) -> None:
    assert reply_to(message).calls == calls


@pytest.mark.parametrize(
    ("message", "sent", "read"),
    [
        ({"content": "x"}, "stop", "stop"),
        ({"content": "x"}, None, "stop"),
        ({"content": "x"}, "", "stop"),
        ({"tool_calls": [{"function": {"name": "a"}}]}, None, "tool_calls"),
        ({"tool_calls": []}, "tool_calls", "tool_calls"),
        ({"content": "x"}, "MAX_TOKENS", "length"),
        ({"content": "x"}, "length", "length"),
    ],
)
def test_a_cut_reply_always_ends_with_length(message: dict[str, Any], sent: str | None, read: str) -> None:
    assert reply_to(message, finish_reason=sent).finish_reason == read


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({"prompt_tokens": 5, "completion_tokens": 2}, Usage(5, 2)),
        ({"prompt_tokens": 5, "completion_tokens": None, "prompt_tokens_details": None}, Usage(5, 0)),
        ({"prompt_tokens": 5, "prompt_tokens_details": {"cached_tokens": 3}}, Usage(5, 0, 3)),
        ({"prompt_tokens": 5, "prompt_cache_hit_tokens": 4}, Usage(5, 0, 4)),
        ({}, Usage()),
    ],
)
def test_usage_is_none_only_when_the_server_reports_none(usage: object, read: Usage | None) -> None:
    assert read_usage(usage) == read


@given(text=st.text(), args=st.dictionaries(st.text(), JSON))
def test_any_text_and_arguments_make_a_request_a_server_can_parse(text: str, args: dict[str, Any]) -> None:
    prompt = Prompt(
        "s" + text, (Message("user", "u" + text), Message("assistant", text, (ToolCall("t", args, "", "c"),)))
    )
    messages = openai_messages(prompt.replace(messages=(*prompt.messages, Message("tool", text, call_id="c"))))
    assert json.loads(json.dumps(messages, ensure_ascii=False).encode()) == messages
    assert problems(messages) == []
