"""However a server cuts a reply into chunks, and the network cuts those, the reply is the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.fake_openai import chunk, events
from tests.support.strategies import patient

from looplet.backends.http import HttpAnswer
from looplet.backends.openai_stream import CompletionAssembly
from looplet.backends.openai_wire import read_reply
from looplet.backends.streaming import StreamedAnswer
from looplet.messages import RawCall, Reply

WORDS = st.text(st.sampled_from("ab <>/think\n{é\U0001f600"), max_size=30)
NAMES = st.sampled_from(["greet", "look_up", "a"])
ARGUMENTS = st.dictionaries(WORDS, WORDS | st.integers(), max_size=3).map(
    lambda args: json.dumps(args, ensure_ascii=False)
)


def assembled(pieces: Any) -> tuple[Reply, list[tuple[str, bool]]]:
    heard: list[tuple[str, bool]] = []
    streamed = StreamedAnswer(CompletionAssembly(lambda text, reasoning=False: heard.append((text, reasoning))))
    for piece in pieces:
        streamed.feed(piece)
    answer = streamed.answer(HttpAnswer(200, {}, b"".join(pieces)), "http://host/v1")
    return read_reply(json.loads(answer.body)), heard


def calls_of(*deltas: dict[str, Any]) -> tuple[RawCall, ...]:
    chunks = [chunk({"tool_calls": [delta]}) for delta in deltas]
    return assembled(events(*chunks, chunk({}, "tool_calls"), "[DONE]"))[0].calls


@st.composite
def cut(draw: st.DrawFn, text: str) -> list[str]:
    """`text` in pieces, empty ones among them."""
    places = sorted(draw(st.lists(st.integers(0, len(text)), max_size=5)))
    return [text[start:end] for start, end in zip([0, *places], [*places, len(text)], strict=True)]


@st.composite
def call_deltas(draw: st.DrawFn, call: dict[str, Any], index: int) -> list[dict[str, Any]]:
    """The pieces of one call, as one kind of server or another sends them."""
    function = call["function"]
    first, *rest = draw(cut(function["arguments"]))
    head = {"id": call["id"], "function": {"name": function["name"], "arguments": first}}
    head |= draw(st.sampled_from([{}, {"type": "function"}]))
    repeat = draw(st.sampled_from([{}, {"id": call["id"]}, {"id": None}]))
    place = draw(st.sampled_from([{"index": index}, {"index": index}, {}]))
    tail = [{"function": {"arguments": piece}} | repeat for piece in rest]
    return [{"tool_calls": [place | delta]} for delta in [head, *tail]]


@st.composite
def completions(draw: st.DrawFn) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A completion, and the chunks of the same one streamed."""
    thought, text, reasoning = draw(WORDS), draw(WORDS), draw(WORDS)
    text = draw(st.sampled_from([text, f"<think>{thought}</think>{text}", f"<think>{thought}"]))
    functions = draw(st.lists(st.tuples(NAMES, ARGUMENTS), max_size=3))
    calls = [
        {"id": f"call_{index}", "type": "function", "function": {"name": name, "arguments": arguments}}
        for index, (name, arguments) in enumerate(functions)
    ]
    finish = draw(st.sampled_from(["stop", "length", "tool_calls"]))
    usage = draw(st.sampled_from([None, {"prompt_tokens": 5, "completion_tokens": 2}]))
    message = {"role": "assistant", "content": text, "reasoning_content": reasoning, "tool_calls": calls}
    whole = {"id": "x", "model": "m", "choices": [{"message": message, "finish_reason": finish}], "usage": usage}
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": None, "tool_calls": None}]
    deltas += [{"reasoning_content": piece} for piece in draw(cut(reasoning))]
    deltas += [{"content": piece} for piece in draw(cut(text))]
    for index, call in enumerate(calls):
        deltas += draw(call_deltas(call, index))
    early = draw(st.sampled_from([None, ""]))
    chunks = [chunk(delta, early, id="x", model="m") for delta in deltas]
    last: dict[str, Any] = {"choices": [], "usage": usage}
    return whole, [*chunks, chunk({}, finish, id="x", model="m"), *([last] if usage else [])]


@patient
@given(completions(), st.data())
def test_any_chunking_gives_the_same_reply(
    completion: tuple[dict[str, Any], list[dict[str, Any]]], data: st.DataObject
) -> None:
    whole, chunks = completion
    body = b"".join(events(*chunks, "[DONE]"))
    size = data.draw(st.integers(1, 200))
    reply, heard = assembled([body[start : start + size] for start in range(0, len(body), size)])
    assert reply == read_reply(whole)
    shown = "".join(text for text, reasoning in heard if not reasoning)
    opened = whole["choices"][0]["message"]["content"].lstrip().startswith("<think>")
    if opened or "</think>" not in shown:  # a first tag that is missing cannot be foreseen
        assert shown == reply.text
    assert all(text for text, _ in heard)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_may_end_in_any_way(size: int) -> None:
    body = "\ufeff: hello\r\nid: 3\r\n".encode() + b"".join(events(chunk({"content": "é"}), chunk({}, "stop")))
    body = body.replace(b"data: ", b"data:").replace(b"\n\n", b"\r\n\r\n")[:-4]
    assert assembled([body[start : start + size] for start in range(0, len(body), size)])[0].text == "é"


def test_data_lines_of_one_event_belong_together() -> None:
    body = json.dumps(chunk({"content": "fine"}, "stop"), indent=1).replace("\n", "\ndata: ")
    assert assembled([f"data: {body}\n\n".encode()])[0].text == "fine"


class TestCalls:
    def test_without_index_and_id_begin_with_a_name(self) -> None:
        whole = [{"function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
        assert calls_of(*whole) == (RawCall("a", "{}"), RawCall("b", "{}"))

    def test_that_all_claim_index_0_are_told_apart_by_id(self) -> None:
        whole = [{"index": 0, "id": name, "function": {"name": name, "arguments": "{}"}} for name in ("a", "b")]
        assert calls_of(*whole) == (RawCall("a", "{}", "a"), RawCall("b", "{}", "b"))

    def test_without_arguments_have_none(self) -> None:
        assert calls_of({"index": 0, "id": "c", "function": {"name": "a"}}) == (RawCall("a", {}, "c"),)

    def test_may_repeat_their_name_or_send_it_in_pieces(self) -> None:
        repeated = [{"index": 0, "id": "c", "function": {"name": "a", "arguments": part}} for part in ('{"x"', ": 1}")]
        assert calls_of(*repeated) == (RawCall("a", '{"x": 1}', "c"),)
        pieces = [{"index": 0, "id": "c", "function": {"name": part}} for part in ("look", "_up")]
        assert calls_of(*pieces)[0].name == "look_up"

    def test_may_interleave(self) -> None:
        pieces = [{"index": index, "function": {"name": f"t{index}", "arguments": "{"}} for index in range(2)]
        pieces += [{"index": index, "function": {"arguments": "}"}} for index in range(2)]
        assert calls_of(*pieces) == (RawCall("t0", "{}"), RawCall("t1", "{}"))

    def test_may_have_arguments_that_are_an_object(self) -> None:
        assert calls_of({"function": {"name": "a", "arguments": {"x": 1}}}) == (RawCall("a", {"x": 1}),)

    def test_of_the_older_form_are_read(self) -> None:
        deltas = [{"function_call": {"name": "a", "arguments": part}} for part in ("{", "}")]
        reply, _ = assembled(events(*map(chunk, deltas), chunk({}, "function_call")))
        assert reply.calls == (RawCall("a", "{}"),)


def test_usage_is_the_last_count_and_never_a_sum() -> None:
    counted = [chunk({"content": "x"}, usage={"prompt_tokens": 5, "completion_tokens": n}) for n in (1, 2)]
    usage = assembled(events(*counted, chunk({}, "stop", usage=None)))[0].usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens) == (5, 2)


def test_text_and_thinking_in_parts_are_told_apart() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "hm"}]}
    deltas: list[dict[str, Any]] = [{"content": [thinking]}, {"content": [{"type": "text", "text": "yes"}]}]
    reply, heard = assembled(events(*map(chunk, deltas), chunk({}, "stop")))
    assert (reply.text, reply.reasoning) == ("yes", "hm")
    assert heard == [("hm", True), ("yes", False)]


def test_a_refusal_is_text() -> None:
    reply, heard = assembled(events(chunk({"refusal": "I will not"}), chunk({}, "stop")))
    assert reply.text == "I will not"
    assert heard == [("I will not", False)]
