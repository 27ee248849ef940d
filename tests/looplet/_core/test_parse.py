from __future__ import annotations

import json
import re
from itertools import count
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import JSON, JSON_OBJECTS, TEXT, patient
from tests.support.tools import FakeTool

from looplet._core.find_calls import without_reasoning
from looplet._core.parse import Parsed, parse_reply
from looplet.messages import RawCall, Reply

TEXT_PARAMETER = {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
TOOLS = {name: FakeTool(name, TEXT_PARAMETER) for name in ("greet", "search", "done")}


def parse(reply: Reply | str, *, text_mode: bool = True, tools: dict[str, FakeTool] | None = None) -> Parsed:
    numbers = count(1)
    reply = Reply(text=reply) if isinstance(reply, str) else reply
    used = TOOLS if tools is None else tools
    return parse_reply(reply, used, "done", text_mode=text_mode, next_id=lambda: f"new{next(numbers)}", taken=set())


def native(*calls: RawCall, text: str = "") -> Parsed:
    return parse(Reply(text=text, calls=calls, finish_reason="tool_calls"), text_mode=False)


def calls_of(parsed: Parsed) -> list[tuple[str, dict[str, Any]]]:
    return [(one.call.tool, one.call.args) for one in parsed.calls]


GREET = [("greet", {"name": "Bob"})]


class TestTextMode:
    @pytest.mark.parametrize(
        "text",
        [
            '{"tool": "greet", "args": {"name": "Bob"}}',
            '{"tool": "functions.greet ", "args": {"name": "Bob"}}',
            '```json\n{"tool": "greet", "args": {"name": "Bob"}}\n```',
            'I will say hello.\n{"tool": "greet", "args": {"name": "Bob"}}\nDone!',
            "{'tool': 'greet', 'args': {'name': 'Bob'},}",
            '{"name": "greet", "arguments": {"name": "Bob"}}',
            '{"name": "greet", "parameters": {"name": "Bob"}}',
            '{"name": "greet", "arguments": "{\\"name\\": \\"Bob\\"}"}',
            '{"name": "greet", "arguments": "\\"{\\\\\\"name\\\\\\": \\\\\\"Bob\\\\\\"}\\""}',
            '{"type": "function", "function": {"name": "greet", "arguments": {"name": "Bob"}}}',
            '{"tool_calls": [{"id": "1", "function": {"name": "greet", "arguments": "{\\"name\\": \\"Bob\\"}"}}]}',
            '{"action": "greet", "action_input": {"name": "Bob"}}',
            '<tool_call>\n{"name": "greet", "arguments": {"name": "Bob"}}\n</tool_call>',
            '<think>Maybe {"tool": "search", "args": {}}?</think>{"tool": "greet", "args": {"name": "Bob"}}',
            'Maybe {"tool": "search", "args": {}}?\n</think>\n{"tool": "greet", "args": {"name": "Bob"}}',
            'The set {a, b}, the list [x], an open { here {"tool": "greet", "args": {"name": "Bob"}}',
            'With {"mood": "good"} I call {"tool": "greet", "args": {"name": "Bob"}}',
            'Given print({"a": b}), {"tool": "greet", "args": {"name": "Bob"}}',
            '[{"tool": "greet", "args": {"name": "Bob"}}]',
        ],
    )
    def test_one_call_is_found_in_every_shape(self, text: str) -> None:
        parsed = parse(text)
        assert calls_of(parsed) == GREET
        assert parsed.complaint is None
        assert parsed.message.content == text
        assert parsed.message.tool_calls == ()
        assert not parsed.calls[0].native
        assert parsed.calls[0].call.call_id == "new1"

    @pytest.mark.parametrize(
        "text",
        [
            '{"tool": "greet", "args": {"name": "A"}}\n{"tool": "search", "args": {}}',
            '[{"tool": "greet", "args": {"name": "A"}}, {"tool": "search", "args": {}}]',
            'First {"tool": "greet", "args": {"name": "A"}} then {"tool": "search"}',
        ],
    )
    def test_several_calls_keep_their_order_and_get_their_own_ids(self, text: str) -> None:
        parsed = parse(text)
        assert calls_of(parsed) == [("greet", {"name": "A"}), ("search", {})]
        assert [one.call.call_id for one in parsed.calls] == ["new1", "new2"]

    def test_nested_values_and_braces_in_strings_belong_to_the_arguments(self) -> None:
        args = {"code": 'if (x) { return "}" }', "inner": {"tool": "search", "args": {"deep": [1, {"a": None}]}}}
        assert calls_of(parse(json.dumps({"tool": "greet", "args": args}))) == [("greet", args)]

    def test_reasoning_is_kept_with_the_call(self) -> None:
        parsed = parse('{"tool": "greet", "args": {}, "reasoning": "polite"}')
        assert parsed.calls[0].call.reasoning == "polite"

    def test_an_object_of_another_kind_is_no_call(self) -> None:
        for text in ('{"name": "Bob", "age": 3}', '{"tool": "hammer", "price": 3}', '{"name": "Bob"}', "[1, 2]", "{}"):
            assert parse(text).calls == ()

    def test_an_unknown_name_beside_arguments_is_a_call_so_that_the_model_is_told(self) -> None:
        assert calls_of(parse('{"tool": "gret", "args": {"name": "Bob"}}')) == [("gret", {"name": "Bob"})]

    def test_arguments_that_are_no_object_are_a_problem(self) -> None:
        (parsed,) = parse('{"tool": "greet", "args": ["Bob"]}').calls
        assert parsed.problem == 'The arguments must be one JSON object, but they are ["Bob"].'
        assert parsed.call.args == {"invalid_json": '["Bob"]'}

    def test_the_complaint_shows_the_form_and_the_tools(self) -> None:
        complaint = parse("Hello!").complaint
        assert complaint == (
            'Your reply holds no tool call. Reply with one JSON object and nothing else: {"tool": "NAME", '
            '"args": {"PARAMETER": "VALUE"}}. NAME is one of: greet, search, done.'
        )

    def test_thinking_that_never_ends_holds_no_call(self) -> None:
        assert parse('<think>{"tool": "greet", "args": {}}').calls == ()

    def test_a_native_call_made_anyway_goes_on_as_text(self) -> None:
        parsed = parse(Reply(calls=(RawCall("greet", '{"name": "Bob"}', "1"),)))
        assert calls_of(parsed) == GREET
        assert not parsed.calls[0].native
        assert parsed.message.tool_calls == ()
        assert json.loads(parsed.message.content) == {"tool": "greet", "args": {"name": "Bob"}}


class TestBrokenReplies:
    @pytest.mark.parametrize(
        "text",
        [
            '{"tool": "greet", "args": {"x": {"tool": "search", "args": {}}',
            '{"tool": "greet", "args": {}} {"tool": "search", "args": {"q',
            '[{"tool": "greet", "args": {}},',
            '{"tool": "greet", "args": {"content": "a </think> {\\"tool\\": \\"search\\", \\"args\\": {}}',
        ],
    )
    @pytest.mark.parametrize("text_mode", [True, False])
    def test_a_truncated_call_spoils_the_whole_reply(self, text: str, text_mode: bool) -> None:
        parsed = parse(text, text_mode=text_mode)
        assert parsed.calls == ()
        assert parsed.complaint is not None
        assert "ends before it is complete" in parsed.complaint

    @pytest.mark.parametrize(
        "text",
        [
            '{"tool": "greet", "args": {"say": "he said "{"tool": "search", "args": {}}" ok"}}',
            '{"tool": "greet", "args": {"a": 1}\n```\n{"tool": "search", "args": {}}',
        ],
    )
    def test_nothing_inside_or_after_a_broken_call_is_run(self, text: str) -> None:
        parsed = parse(text)
        assert parsed.calls == ()
        assert parsed.complaint is not None
        assert "is not valid near" in parsed.complaint

    def test_nothing_inside_a_broken_list_is_run(self) -> None:
        assert parse('[{"tool": "greet", "args": {}}, and so on]').calls == ()

    def test_a_reply_cut_at_the_token_limit_never_becomes_a_call(self) -> None:
        whole = '{"tool": "greet", "args": {}}'
        for reply in (
            Reply(text=whole, finish_reason="length"),
            Reply(text="so", calls=(RawCall("greet", "{}", "1"),), finish_reason="length"),
        ):
            for text_mode in (True, False):
                parsed = parse(reply, text_mode=text_mode)
                assert parsed.calls == ()
                assert parsed.message.content == reply.text
                assert parsed.message.tool_calls == ()
                assert parsed.complaint is not None
                assert "cut off at the token limit" in parsed.complaint
        assert parse(Reply(finish_reason="length")).message.content == "(reply cut off)"

    def test_an_empty_reply_leaves_a_message_that_servers_accept(self) -> None:
        for text in ("", " \n"):
            parsed = parse(text, text_mode=False)
            assert parsed.message.content == "(empty reply)"
            assert parsed.complaint == "Your reply was empty. Call one of the tools: greet, search, done."

    @pytest.mark.parametrize(
        "piece", ["[", "{", '{"a":', '{"', "{'", "[1,", '{"a":[', '[{"a":1},', "<think>", "</think>"]
    )
    def test_hopeless_text_is_read_in_one_pass(self, piece: str) -> None:
        assert parse(piece * 50_000 + "@").calls == ()


class TestNative:
    def test_calls_and_text_are_kept_in_the_message(self) -> None:
        parsed = native(RawCall("greet", '{"name": "Bob"}', "1"), RawCall("search", {"q": 1}, "2"), text="Hm.")
        assert calls_of(parsed) == [("greet", {"name": "Bob"}), ("search", {"q": 1})]
        assert parsed.message.content == "Hm."
        assert parsed.message.tool_calls == tuple(one.call for one in parsed.calls)
        assert all(one.native and one.problem is None for one in parsed.calls)

    def test_missing_and_repeated_ids_are_replaced(self) -> None:
        parsed = native(RawCall("greet", "{}", "a"), RawCall("greet", "{}", "a"), RawCall("greet", "{}"))
        assert [one.call.call_id for one in parsed.calls] == ["a", "new1", "new2"]
        assert [call.call_id for call in parsed.message.tool_calls] == ["a", "new1", "new2"]

    def test_a_new_id_passes_over_those_the_server_gave(self) -> None:
        parsed = native(RawCall("greet", "{}", "new1"), RawCall("greet", "{}"), RawCall("greet", "{}", "new2"))
        assert [one.call.call_id for one in parsed.calls] == ["new1", "new2", "new3"]

    def test_ids_are_unique_over_the_turns_of_a_run(self) -> None:
        taken = {"a", "\\ud800"}
        numbers = count(1)
        calls = tuple(RawCall("greet", "{}", call_id) for call_id in ("a", "b", "\ud800"))
        parsed = parse_reply(
            Reply(calls=calls), TOOLS, "done", text_mode=False, next_id=lambda: f"new{next(numbers)}", taken=taken
        )
        assert [one.call.call_id for one in parsed.calls] == ["new1", "b", "new2"]
        assert taken == {"a", "\\ud800", "b", "new1", "new2"}

    def test_an_id_that_is_no_text_is_replaced(self) -> None:
        nonsense: Any = {}
        assert native(RawCall("greet", "{}", nonsense)).calls[0].call.call_id == "new1"

    def test_the_history_shares_no_arguments_with_the_call_that_runs(self) -> None:
        parsed = native(RawCall("greet", {"items": [{"a": 1}]}, "1"))
        parsed.calls[0].call.args["items"][0]["a"] = 2
        parsed.calls[0].call.args["more"] = 3
        assert parsed.message.tool_calls[0].args == {"items": [{"a": 1}]}

    @pytest.mark.parametrize("arguments", ["", "  ", "null", "{}", '"{}"', '""'])
    def test_no_arguments_are_an_empty_object(self, arguments: str) -> None:
        parsed = native(RawCall("greet", arguments, "1"))
        assert calls_of(parsed) == [("greet", {})]
        assert parsed.calls[0].problem is None

    @pytest.mark.parametrize(
        ("arguments", "why"),
        [
            ('{"name": "Bo', "they end before they are complete"),
            ('{"name": Bob}', "they are not valid JSON near"),
            ('{"a": 1}{"a": 1}', "they are not valid JSON near"),
            ("[1]", "they are [1]"),
            ('{"a": NaN}', "they hold nan, which JSON cannot say"),
            ('{"a": 1e999}', "they hold inf, which JSON cannot say"),
            ('{"a":' * 200 + "1" + "}" * 200, "they are nested too deep"),
            ('{"a":' * 20_000 + "1" + "}" * 20_000, "they are not valid JSON near"),
        ],
    )
    def test_unusable_arguments_are_a_problem_and_history_stays_json(self, arguments: str, why: str) -> None:
        parsed = native(RawCall("greet", arguments, "1"))
        assert parsed.calls[0].problem is not None
        assert why in parsed.calls[0].problem
        assert parsed.message.tool_calls[0].args == {"invalid_json": arguments[:500]}

    def test_lone_surrogates_do_not_poison_the_history(self) -> None:
        parsed = native(RawCall("greet", '{"na\\ud800me": "\\udc80"}', "1"), text="\ud800")
        assert calls_of(parsed) == [("greet", {"na\\ud800me": "\\udc80"})]
        assert parsed.message.content == "\\ud800"

    def test_a_name_no_provider_takes_back_is_replaced_in_the_history_only(self) -> None:
        parsed = native(RawCall("multi_tool_use.parallel", "{}", "1"), RawCall("", "{}", "2"))
        assert [one.call.tool for one in parsed.calls] == ["multi_tool_use.parallel", ""]
        assert [call.tool for call in parsed.message.tool_calls] == ["multi_tool_use_parallel", "unnamed"]

    def test_a_call_written_as_text_is_found(self) -> None:
        parsed = parse('{"tool": "greet", "args": {"name": "Bob"}}', text_mode=False)
        assert calls_of(parsed) == GREET
        assert not parsed.calls[0].native

    @pytest.mark.parametrize(
        "text",
        [
            "It is 7.",
            " It is 7.\n",
            "<think>7?</think>It is 7.",
            "hm, 7 </think> It is 7.",
            "<think>7\n</think>\nIt is 7.",
        ],
    )
    def test_plain_text_is_the_final_answer(self, text: str) -> None:
        parsed = parse(text, text_mode=False)
        assert calls_of(parsed) == [("done", {"answer": "It is 7."})]
        assert parsed.message.content == text
        assert not parsed.calls[0].native

    @pytest.mark.parametrize(
        "text",
        [
            'Here is the record: {"name": "Alice", "input": "x"}',
            '{"tool": "hammer", "args": {"price": 3}}',
            '[{"action": "buy", "input": 1}]',
            "A JSON array starts with [",
            'It is {"a": 1, "b": [2',
        ],
    )
    def test_json_in_an_answer_is_no_call_and_no_broken_call(self, text: str) -> None:
        assert calls_of(parse(text, text_mode=False)) == [("done", {"answer": text})]

    @pytest.mark.parametrize(
        ("parameters", "fits"),
        [
            ({"type": "object", "properties": {"a": {"type": "string"}}}, True),
            ({"type": "object", "properties": {"a": {"type": ["string", "null"]}, "b": {}}, "required": ["a"]}, True),
            ({"type": "object", "properties": {"a": {"description": "anything"}}, "required": ["a"]}, True),
            ({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}, False),
            ({"type": "object", "properties": {"a": {"type": "string"}, "b": {}}, "required": ["a", "b"]}, False),
            ({"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "string"}}}, False),
            ({"type": "object", "properties": {}}, False),
            ({"type": "object", "properties": {"a": True}, "required": None}, True),
            ({"type": "object", "properties": {"a": True, "b": {}}, "required": None}, False),
            ({"type": "object", "properties": None, "required": [["a"]]}, False),
        ],
    )
    def test_plain_text_needs_a_done_tool_that_takes_one_text(self, parameters: dict[str, Any], fits: bool) -> None:
        parsed = parse("It is 7.", text_mode=False, tools={"done": FakeTool("done", parameters)})
        assert calls_of(parsed) == ([("done", {"a": "It is 7."})] if fits else [])
        assert (parsed.complaint is None) is fits

    def test_only_thinking_is_no_answer(self) -> None:
        for text in ("<think>hm</think>", "<think>hm", "hm</think>"):
            assert parse(text, text_mode=False).complaint == (
                "Your reply holds no tool call. Call one of the tools: greet, search, done."
            )


RAW_CALLS = st.builds(RawCall, TEXT, TEXT | JSON_OBJECTS | JSON.map(json.dumps), st.sampled_from(["", "a", "b"]))
PIECES = st.sampled_from(
    [
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ":",
        ",",
        "\\",
        "\\u",
        "tool",
        '"tool"',
        '"args"',
        "<think>",
        "</think>",
        "```",
        "1",
        " ",
        "\n",
    ]
)
REPLIES = st.builds(
    Reply,
    TEXT | st.lists(PIECES | TEXT, max_size=20).map("".join),
    st.lists(RAW_CALLS, max_size=3).map(tuple),
    finish_reason=st.sampled_from(["stop", "length", "tool_calls", ""]),
)


@patient
@given(REPLIES, st.booleans())
def test_any_reply_becomes_calls_or_a_complaint_and_history_that_can_be_sent(reply: Reply, text_mode: bool) -> None:
    parsed = parse(reply, text_mode=text_mode)
    assert bool(parsed.calls) is (parsed.complaint is None)
    assert parsed.message.content or parsed.message.tool_calls
    sent = json.dumps(parsed.message.to_dict(), ensure_ascii=False, allow_nan=False).encode("utf-8")
    assert sent
    ids = [one.call.call_id for one in parsed.calls]
    assert all(ids)
    assert len(set(ids)) == len(ids)


SHAPES = st.sampled_from(
    [
        lambda args: {"tool": "greet", "args": args},
        lambda args: {"name": "greet", "arguments": json.dumps(args)},
        lambda args: {"args": args, "tool": "greet"},
        lambda args: [{"tool": "greet", "args": args}, {"tool": "search", "args": {}}],
        lambda args: {"function": {"name": "greet", "arguments": args}},
    ]
)
HOSTILE = st.sampled_from(
    [{"tool": "search", "args": {}}, '{"tool": "search", "args": {}}', "</think>", "```", "<think>"]
)
ARGUMENTS = st.dictionaries(TEXT, JSON | HOSTILE | st.lists(HOSTILE, max_size=2), max_size=3)


@patient
@given(SHAPES, ARGUMENTS, st.booleans(), st.data())
def test_no_beginning_of_a_call_is_a_call(
    shape: Any, args: dict[str, Any], text_mode: bool, data: st.DataObject
) -> None:
    text = json.dumps(shape(args))
    assert parse(text, text_mode=text_mode).calls[0].call.tool == "greet"
    cut = text[: data.draw(st.integers(0, len(text) - 1))]
    names = [name for name, _ in calls_of(parse(cut, text_mode=text_mode))]
    assert names in ([], [] if text_mode else ["done"])  # too short to look like a call, it is an answer


@patient
@given(
    st.lists(st.sampled_from(["<think>", "</think>", "<thought>", "</thought>", "a", "\n"]), max_size=12).map("".join)
)
def test_thinking_is_dropped_as_a_regular_expression_would(text: str) -> None:
    blocks = re.sub(r"<(think|thought)>.*?</\1>", "", text, flags=re.DOTALL)
    rest = re.split("</think>|</thought>", blocks, maxsplit=1)[-1]
    open_at_the_start = re.match(r"\s*<(think|thought)>", rest)
    assert without_reasoning(text) == ("" if open_at_the_start else rest.strip())


def test_thinking_is_dropped_in_one_pass() -> None:
    assert without_reasoning("x" + "<think>" * 200_000) == "x" + "<think>" * 200_000
    assert without_reasoning("<think>a</think>" * 100_000 + "7") == "7"
