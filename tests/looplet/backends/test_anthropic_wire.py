from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_anthropic import as_stream, faults_of, message, message_events, named_events, text, use
from tests.support.strategies import JSON_OBJECTS, TEXT, patient

from looplet.backends.anthropic_stream import MessageAssembly
from looplet.backends.anthropic_wire import anthropic_request, read_message, read_usage
from looplet.backends.http import HttpAnswer
from looplet.backends.streaming import StreamedAnswer
from looplet.messages import Message, Prompt, RawCall, Reply, ToolSchema
from looplet.types import ToolCall, Usage

GREET = ToolSchema("greet", "Greet.", {"type": "object"})
CALLS = (ToolCall("greet", {"name": "A"}, call_id="a"), ToolCall("greet", {"name": "B"}, call_id="b"))
TURN = (
    Message("user", "Go."),
    Message("assistant", "", CALLS),
    Message("tool", "one", call_id="a"),
    Message("tool", "two", call_id="b"),
)


def turns_of(*messages: Message) -> Any:
    return anthropic_request(Prompt("", messages), cache=False)["messages"]


def test_all_results_of_a_turn_are_one_message_and_come_first() -> None:
    *_, last = turns_of(*TURN, Message("user", "Hurry."))
    assert last == {
        "role": "user",
        "content": [
            {"type": "tool_result", "tool_use_id": "a", "content": "one"},
            {"type": "tool_result", "tool_use_id": "b", "content": "two"},
            {"type": "text", "text": "Hurry."},
        ],
    }


def test_text_stands_before_the_calls_it_came_with() -> None:
    turn = turns_of(TURN[0], Message("assistant", "Let me see.", CALLS), *TURN[2:])[1]
    assert [block["type"] for block in turn["content"]] == ["text", "tool_use", "tool_use"]
    assert turn["content"][1] == {"type": "tool_use", "id": "a", "name": "greet", "input": {"name": "A"}}


def test_blank_text_is_never_sent() -> None:
    turns = turns_of(Message("user", " "), Message("assistant", ""), Message("user", "\n"))
    assert [block["text"] for turn in turns for block in turn["content"]] == ["(empty)"] * 3
    assert "system" not in anthropic_request(Prompt("  ", TURN))


def test_ids_of_other_providers_are_rewritten_alike_and_stay_different() -> None:
    calls = tuple(ToolCall("greet", call_id=call_id) for call_id in ("f.greet:0", "f.greet.0"))
    results = tuple(Message("tool", "ok", call_id=call.call_id) for call in calls)
    _, asked, answered = turns_of(TURN[0], Message("assistant", "", calls), *results)
    ids = [block["id"] for block in asked["content"]]
    assert ids == [block["tool_use_id"] for block in answered["content"]]
    assert len(set(ids)) == 2


class TestMarkers:
    def marked(self, prompt: Prompt) -> list[str]:
        """What carries a marker, in the order of the prefix."""
        request = anthropic_request(prompt)
        blocks = [*request.get("tools", ()), *request.get("system", ())]
        blocks += [block for turn in request["messages"] for block in turn["content"]]
        return [
            str(block.get("name") or block.get("text") or block.get("content"))
            for block in blocks
            if "cache_control" in block
        ]

    def test_follow_tools_system_and_the_last_message(self) -> None:
        tools = (GREET, GREET.replace(name="last_tool"))
        assert self.marked(Prompt("system", TURN[:1], tools)) == ["last_tool", "system", "Go."]

    def test_follow_the_results_too_when_text_comes_after_them(self) -> None:
        prompt = Prompt("system", (*TURN, Message("user", "volatile")), (GREET,))
        assert self.marked(prompt) == ["greet", "system", "two", "volatile"]

    def test_do_not_change_the_caller_s_schemas(self) -> None:
        anthropic_request(Prompt("", TURN, (GREET,)))
        assert GREET.parameters == {"type": "object"}


class TestToolsOfTheHistory:
    def test_are_defined_when_no_tools_are_offered(self) -> None:
        request = anthropic_request(Prompt("", TURN), cache=False)
        assert [tool["name"] for tool in request["tools"]] == ["greet"]
        assert request["tool_choice"] == {"type": "none"}

    @pytest.mark.parametrize("prompt", [Prompt("", TURN[:1]), Prompt("", TURN, (GREET,))])
    def test_are_not_where_they_need_not_be(self, prompt: Prompt) -> None:
        assert "tool_choice" not in anthropic_request(prompt)


@st.composite
def conversations(draw: st.DrawFn) -> Prompt:
    """What a run may hold: texts, calls that are all answered, two users in a row."""
    messages = [Message("user", draw(TEXT))]
    for turn in range(draw(st.integers(0, 4))):
        ids = [
            f"{draw(st.sampled_from(['call', 'x.y:', '']))}{turn}_{number}" for number in range(draw(st.integers(0, 3)))
        ]
        calls = tuple(ToolCall("greet", draw(JSON_OBJECTS), call_id=call_id) for call_id in ids)
        messages.append(Message("assistant", draw(TEXT), calls))
        messages += [Message("tool", draw(TEXT), call_id=call_id) for call_id in ids]
        messages += [Message("user", draw(TEXT))] * draw(st.integers(0 if ids else 1, 2))
    return Prompt(draw(TEXT), tuple(messages), draw(st.sampled_from([(), (GREET,)])))


@patient
@given(conversations())
def test_every_conversation_is_a_sound_request(prompt: Prompt) -> None:
    request = {"model": "m", "max_tokens": 1} | anthropic_request(prompt)
    assert faults_of(json.loads(json.dumps(request, ensure_ascii=False).encode())) == []


BLOCKS = st.one_of(
    st.text(max_size=9).map(text),
    st.text(max_size=9).map(lambda words: {"type": "thinking", "thinking": words, "signature": "s"}),
    st.builds(use, st.uuids().map(str), st.just("greet"), value=st.text(max_size=9)),
    st.just(use("none", "stop")),
    st.just({"type": "redacted_thinking", "data": "x"}),
)


@patient
@given(st.lists(BLOCKS.filter(lambda block: block["type"] != "redacted_thinking"), max_size=4), st.data())
def test_any_chunking_gives_the_same_reply(blocks: list[dict[str, Any]], data: st.DataObject) -> None:
    whole = message(*blocks, stop=data.draw(st.sampled_from(["end_turn", "tool_use", "max_tokens"])))
    body = b"".join(as_stream(whole).pieces)
    size = data.draw(st.integers(1, 200))
    heard: list[tuple[str, bool]] = []
    streamed = StreamedAnswer(MessageAssembly(lambda text, reasoning=False: heard.append((text, reasoning))))
    for start in range(0, len(body), size):
        streamed.feed(body[start : start + size])
    answer = streamed.answer(HttpAnswer(200, {}, body), "http://host")
    reply = read_message(json.loads(answer.body))
    assert reply == read_message(json.loads(whole.body))
    assert "".join(piece for piece, reasoning in heard if not reasoning) == reply.text
    assert "".join(piece for piece, reasoning in heard if reasoning) == reply.reasoning


def test_arguments_cut_in_the_middle_stay_text() -> None:
    events = message_events(message(use("c", "greet", name="Bo"), stop="max_tokens"))
    halves = [event for event in events if event["type"] == "content_block_delta"]
    events.remove(halves[1])
    cut = b"".join(named_events(*events))
    streamed = StreamedAnswer(MessageAssembly(lambda _text, _reasoning=False: None))
    streamed.feed(cut)
    reply = read_message(json.loads(streamed.answer(HttpAnswer(200, {}, cut), "http://host").body))
    assert reply.finish_reason == "length"
    assert isinstance(reply.calls[0].arguments, str)


def test_what_a_response_leaves_out_is_tolerated() -> None:
    call = {"type": "tool_use", "name": "greet"}
    assert read_message({"content": [call, {"type": "redacted_thinking", "data": "x"}, "odd"]}) == Reply(
        calls=(RawCall("greet", {}),), finish_reason="end_turn"
    )


@pytest.mark.parametrize(
    ("usage", "read"),
    [
        (None, None),
        ({}, Usage()),
        ({"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": None}, Usage(1, 2)),
        (
            {"input_tokens": 1, "output_tokens": 2, "cache_read_input_tokens": 4, "cache_creation_input_tokens": 8},
            Usage(13, 2, 4),
        ),
    ],
)
def test_input_tokens_are_all_that_were_read(usage: object, read: Usage | None) -> None:
    assert read_usage(usage) == read
