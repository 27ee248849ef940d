from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from tests.support.traces import Script, cheese_run, long_run, runs, written

from looplet.events import Event, ModelFailed, ModelReplied, Noticed, StepFinished
from looplet.messages import Message, RawCall, Reply
from looplet.trace.jsonable import dump_line
from looplet.trace.pack import Packer, event_name
from looplet.trace.unpack import Unpacker
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Iterable


def pack(events: Iterable[Event]) -> list[dict[str, Any]]:
    packer = Packer()
    packed = (packer.pack(event) for event in events)
    return [json.loads(dump_line(record)) for record in packed if record]


def unpack(records: Iterable[dict[str, Any]]) -> list[Event]:
    unpacker = Unpacker()
    return [event for record in records if (event := unpacker.unpack(record))]


@given(runs())
def test_every_event_comes_back_as_it_was(events: list[Event]) -> None:
    assert unpack(pack(events)) == written(events)


def test_names_on_disk_are_the_event_names_in_snake_case() -> None:
    assert event_name(ModelReplied) == "model_replied"


def test_a_result_the_model_was_told_stands_once() -> None:
    text = dump_line(pack(cheese_run())).decode()
    assert text.count("Gouda, old and dry") == 1
    assert text.count("out of brie today") == 2  # the result, and the run's own list of errors


def test_a_call_the_model_made_natively_stands_once() -> None:
    assert dump_line(pack(cheese_run())).decode().count("käse") == 1


def test_a_line_leaves_out_what_is_to_be_expected() -> None:
    script = Script()
    for number in range(2):
        script.turn(ToolCall("search", {"query": "x"}, call_id=f"c{number}"), ToolResult("search", "ok"))
    records = pack(script.events)
    assert [sorted(record) for record in records[5:]] == [
        ["call", "duration_ms", "event", "reply"],
        ["event", "step"],
        ["event", "result"],
        ["event"],
    ]
    assert records[7]["result"] == {"data": "ok"}
    assert unpack(records) == written(script.events)


def test_a_request_that_is_only_repeated_says_nothing() -> None:
    script = Script()
    script.fail()
    script.fail()
    records = pack(script.events)
    assert ("prompt" in records[1], "prompt" in records[2]) == (True, False)
    assert unpack(records) == written(script.events)


def test_calls_that_start_out_of_order_are_named() -> None:
    script = Script()
    calls = [ToolCall("search", {"query": str(number)}, call_id=f"c{number}") for number in range(3)]
    script.reply(Reply("", tuple(RawCall(call.tool, call.args, call.call_id) for call in calls)))
    for number in (1, 2, 0):
        script.step(calls[number], ToolResult("search", number))
    records = pack(script.events)
    assert [record.get("tool_call") for record in records if record["event"] == "call_started"] == [1, None, 0]
    assert unpack(records) == written(script.events)


def test_what_earlier_versions_spelt_out_is_still_read() -> None:
    records = pack(cheese_run())
    replied, started, finished, step = records[5:9]
    spelt_out = [
        {**replied, "prompt": {"keep": 1, "add": [{"reply": 1}, {"result": 1}]}},
        {**started, "tool_call": 0},
        {**finished, "result": {**finished["result"], "tool": "search"}},
        {**step, "call": 2},
    ]
    assert unpack([*records[:5], *spelt_out, *records[9:]]) == written(cheese_run())


def test_an_error_kind_of_a_later_version_is_an_error_all_the_same() -> None:
    records = pack(cheese_run())
    (failed,) = [record for record in records if "error_kind" in record.get("result", {})]
    failed["result"]["error_kind"] = "bad_weather"
    steps = [event.step for event in unpack(records) if isinstance(event, StepFinished)]
    assert steps[1].tool_result.error_kind == ErrorKind.EXECUTION


def test_a_message_that_a_hook_changed_is_written_out() -> None:
    script = Script()
    script.reply(Reply("the original words of the model"))
    script.conversation[-1] = Message("assistant", "the changed words of the model")
    script.reply(Reply("on we go"))
    records = pack(script.events)
    assert records[-1]["prompt"]["add"] == [{"role": "assistant", "content": "the changed words of the model"}]
    assert unpack(records) == written(script.events)


def test_broken_arguments_come_back_letter_for_letter() -> None:
    script = Script()
    script.calls = 1
    reply = Reply("", (RawCall("search", '{"query": "unclosed', "c1"), RawCall("search", "[1]", "c2")))
    script.events.append(ModelReplied(1, script.prompt(), reply))
    call = ToolCall("search", {"invalid_json": '{"query": "unclosed'}, call_id="c1")
    script.conversation.append(Message("assistant", "", (call,)))
    script.step(call, ToolResult("search", error="no JSON"), started=False)
    assert unpack(pack(script.events)) == written(script.events)


def test_lone_surrogates_come_back_as_they_were() -> None:
    script = Script("\udc80 \ud800")
    script.turn(ToolCall("search", {"query": "\udcff"}, call_id="c1"), ToolResult("search", "a\udc80b" * 20))
    assert unpack(pack(script.finish())) == written(script.events)


def test_overflowed_and_changed_tools_are_part_of_the_request() -> None:
    script = Script()
    prompt = script.prompt().replace(overflowed=True, tools=())
    script.events += [
        ModelFailed(1, script.prompt(), "ContextOverflow", "too long", 0.0),
        ModelReplied(2, prompt, Reply("hm")),
        ModelReplied(3, script.prompt(), Reply("hm")),
    ]
    assert unpack(pack(script.events)) == script.events


def test_a_request_costs_what_it_added() -> None:
    sizes = [len(dump_line(record)) for record in pack(long_run(500)) if record["event"] == "model_replied"]
    assert max(sizes[10:]) - min(sizes[10:]) <= 4  # the digits of the numbers


def test_the_journal_of_a_native_run_is_hardly_larger_than_its_messages() -> None:
    events = long_run(100, chars=2_000)
    last = [event.prompt for event in events if isinstance(event, ModelReplied)][-1]
    messages = len(json.dumps([message.to_dict() for message in last.messages]))
    assert sum(len(dump_line(record)) for record in pack(events)) <= 1.3 * messages


def test_unknown_events_and_fields_are_passed_over() -> None:
    records = pack(cheese_run())
    newer: list[dict[str, Any]] = [{**record, "later": {"x": 1}} for record in records]
    newer.insert(3, {"event": "moon_phase", "phase": "full"})
    for record in newer:
        if "reply" in record:
            record["reply"] = {
                **record["reply"],
                "later": 1,
                "calls": [{**c, "later": 1} for c in record["reply"]["calls"]],
            }
    assert unpack(newer) == unpack(records) == written(cheese_run())


def test_an_event_of_a_later_version_is_written_with_its_fields() -> None:
    class Measured(Event):
        tokens: int
        said: Message

    packed = Packer().pack(Measured(3, Message("user", "hi")))
    assert packed == {"event": "measured", "tokens": 3, "said": {"role": "user", "content": "hi"}}
    assert Packer().pack(Noticed("careful")) == {"event": "noticed", "message": "careful"}


def test_a_step_holds_the_whole_prompt_it_came_from() -> None:
    steps = [event.step for event in unpack(pack(cheese_run())) if isinstance(event, StepFinished)]
    assert steps[2].prompt is not None
    assert len(steps[2].prompt.messages) == 5
