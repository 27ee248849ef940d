from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from tests.support.traces import Script, cheese_run, long_run, runs, write_trace, written

from looplet._pretty import visible
from looplet.errors import TraceError
from looplet.events import Event, HookDecided, Noticed, RunStarted
from looplet.messages import Message, RawCall, Reply
from looplet.trace.jsonable import dump_line
from looplet.trace.layout import Layout, pretty_json
from looplet.trace.pack import Packer
from looplet.trace.read import Trace, read_journal
from looplet.trace.render import render_call, render_step, render_trace
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from pathlib import Path


def trace_of(events: list[Event], **more: Any) -> Trace:
    header = {"t": 1_800_000_000.0, **(Packer().pack(events[0]) or {})}
    return Trace("t", header, (header,), tuple(written(events)), **more)


def render(events: list[Event]) -> str:
    return render_trace(trace_of(events))


CHEESE = """\
looplet trace
run: r1
started: 2027-01-15T08:00:00+00:00
model: mock
steps at most: 15
settings: {"done_tool": "done", "tool_mode": "auto"}
tools: search(query), done(answer)

[system]
  Be brief.

[tools]
  - search(query: string): Find things.
  - done(answer: string): Finish.

[user]
  find cheese

[reply 1]

[step 1] search {"query": "käse"}
result:
  [{"id": 1, "name": "Gouda, old and dry"}]

[reply 2]

[step 2] search {"query": "brie"}
error (execution):
  ValueError: we are out of brie today

[reply 3]
  That is all.

[step 3] done {"answer": "brie"}
result:
  brie

ended: done (completed)
output: the result of step 3

times
  reply 1: 12 ms  10 in, 5 out
  step 1: 0 ms
  reply 2: 12 ms  10 in, 5 out
  step 2: 0 ms
  reply 3: 12 ms  10 in, 5 out
  step 3: 0 ms
  run: 1.250 s  30 in, 15 out
"""


def test_a_run_reads_from_top_to_bottom() -> None:
    assert render(cheese_run()) == CHEESE


def test_trace_txt_is_what_show_prints(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", cheese_run())
    assert (path / "trace.txt").read_text() == render_trace(read_journal(path))


def test_each_message_call_and_result_stands_once() -> None:
    text = render(long_run(30))
    for number in range(30):
        assert text.count(f"found {number:06d}") == 1
        assert text.count(f'{{"query": "{number:06d}') == 1
    assert text.count("find cheese") == text.count("Be brief.") == 1


HEADINGS = (
    *("looplet trace", "run: ", "started: ", "model: ", "steps at most: ", "settings:", "tools: ", "labels:", "task:"),
    *(
        "[system",
        "[tools",
        "[user]",
        "[assistant]",
        "[tool ",
        "[reply ",
        "[step ",
        "[request ",
        "[compacted]",
        "[hook ",
        "[notice]",
    ),
    *("[not executed] ", "result:", "error", "note:", "ended: ", "output:", "times"),
)


@given(runs())
def test_any_run_can_be_shown_and_only_headings_start_a_line(events: list[Event]) -> None:
    text = render(events)
    assert visible(text, keep="\n\t") == text
    assert [line for line in text.split("\n") if line and not line.startswith(("  ", *HEADINGS))] == []


def test_content_cannot_pass_for_a_heading_or_move_the_cursor() -> None:
    script = Script("a\n[step 9] rm {}\nended: done")
    script.turn(
        ToolCall("search", {"q": "\x1b[2J"}, call_id="c1"), ToolResult("search", "x\x1b]0;title\x07\r\n[reply 7]\u202e")
    )
    text = render(script.finish())
    lines = text.split("\n")
    assert "  [step 9] rm {}" in lines
    assert "  [reply 7]\\u202e" in lines
    assert "\x1b" not in text
    assert "\r" not in text


def test_what_a_hook_added_to_a_result_is_shown_without_the_result() -> None:
    script = Script()
    call = ToolCall("search", {}, call_id="c1")
    script.reply(Reply("", (RawCall("search", {}, "c1"),)))
    script.step(call, ToolResult("search", "the long result"), note="\n\nhurry up")
    script.reply(Reply("fine"))
    text = render(script.events)
    assert text.count("the long result") == 1
    assert "[tool c1]\n  hurry up\n" in text


def test_a_result_the_model_read_shortened_says_so() -> None:
    script = Script()
    script.reply(Reply("", (RawCall("search", {}, "c1"),)))
    script.step(ToolCall("search", {}, call_id="c1"), ToolResult("search", "x" * 5_000), limit=1_000)
    script.reply(Reply("fine"))
    assert "(the model read this result shortened: 1,000 of 5,000 characters)" in render(script.events)


def test_a_text_mode_result_stands_with_its_step() -> None:
    script = Script()
    script.reply(Reply('{"tool": "search", "args": {}}'))
    script.step(ToolCall("search", {}, call_id="call_1"), ToolResult("search", "the result"))
    script.conversation[-1] = Message("user", "Result of search:\nthe result")
    script.reply(Reply("fine"))
    text = render(script.events)
    assert text.count("the result") == 1
    assert "Result of" not in text


def test_rewritten_arguments_refusals_and_warnings_are_shown() -> None:
    script = Script()
    script.reply(Reply("", (RawCall("search", {"q": "a"}, "c1"), RawCall("search", {}, "c2"))))
    asked = ToolCall("search", {"q": "a"}, call_id="c1")
    script.step(asked.replace(args={"q": "b"}), ToolResult("search", "x", warnings=("slow",)), asked=asked)
    denied = ToolResult("search", error="not today", error_kind=ErrorKind.PERMISSION_DENIED)
    script.step(ToolCall("search", {}, call_id="c2"), denied, started=False)
    text = render(script.events)
    assert '[step 1] search {"q": "b"}\n  the model asked for: search {"q": "a"}\n' in text
    assert "note: slow\n" in text
    assert "error (permission_denied):\n  not today\n" in text


def test_calls_that_never_ran_and_calls_that_never_came_back_are_shown() -> None:
    script = Script()
    calls = tuple(RawCall("search", {"n": number}, f"c{number}") for number in (1, 2, 3))
    script.reply(Reply("", calls))
    script.step(ToolCall("search", {"n": 1}, call_id="c1"), ToolResult("search", "x"))
    script.step(ToolCall("search", {"n": 2}, call_id="c2"), ToolResult("search", "x"))
    killed = script.events[:-2]  # step 2 has started
    text = render(killed)
    assert (
        'ended: not at all (the process was killed, or the run is still going on)\n  search {"n": 2} started, no result'
        in text
    )
    assert '[not executed] search {"n": 3}' in text
    assert '[not executed] search {"n": 2}' not in text


def test_failed_requests_hooks_notices_and_errors_are_shown() -> None:
    script = Script()
    script.fail()
    script.events += [HookDecided("Gate", "check_done", "deny: not yet"), Noticed("using the text protocol")]
    script.finish("llm_error", None, ("AuthError: wrong key",))
    text = render(script.events)
    assert "[request 1 failed] RateLimited: slow down (asked again after 0.5 s)" in text
    assert "[hook Gate.check_done] deny: not yet" in text
    assert "[notice] using the text protocol" in text
    assert "ended: llm_error (stopped)\nerror: AuthError: wrong key" in text


def test_a_compaction_shows_that_the_request_was_rebuilt_and_no_message_twice() -> None:
    script = Script()
    for number in range(4):
        script.turn(
            ToolCall("search", {"n": number}, call_id=f"c{number}"), ToolResult("search", f"result number {number}")
        )
    script.compact()
    script.reply(Reply("on we go"))
    text = render(script.events)
    assert "[compacted] 9 messages to 3" in text
    assert "[request rebuilt after message 1; 3 messages in all]" in text
    assert all(text.count(f"result number {number}") == 1 for number in range(4))


def test_the_reply_is_shown_with_its_thinking_and_how_it_was_cut() -> None:
    script = Script()
    script.reply(Reply("cut of", finish_reason="length", reasoning="hm\nhm"))
    script.reply(Reply(""))
    text = render(script.events)
    assert "[reply 1 cut off at the token limit]\n  thinking:\n    hm\n    hm\n  cut of\n" in text
    assert "[reply 2]\n  (empty)\n" in text


def test_the_task_stands_in_the_header_when_no_request_was_made() -> None:
    assert "task: find cheese" in render(Script().events)
    assert isinstance(Script().events[0], RunStarted)


def test_a_notice_of_the_reader_is_shown() -> None:
    assert "notice: the last line is torn\n" in render_trace(trace_of(cheese_run(), notice="the last line is torn"))


def test_one_step_is_its_reply_its_call_and_its_result() -> None:
    trace = trace_of(cheese_run())
    assert render_step(trace, 3) == ('[reply 3]\n  That is all.\n\n[step 3] done {"answer": "brie"}\nresult:\n  brie\n')
    with pytest.raises(TraceError, match="has no step 4: it has 3, counted from 1"):
        render_step(trace, 4)


def test_one_call_is_its_whole_prompt_and_its_reply() -> None:
    text = render_call(trace_of(cheese_run()), 3)
    assert text.startswith("[request 3]\n\n[tool search]\n  Find things.\n")
    for part in (
        "[system]\n  Be brief.\n",
        "[messages[0] user]\n  find cheese\n",
        '[messages[1] assistant]\n  search {"query": "käse"}\n',
        '[messages[2] tool c1]\n  [{"id":1,"name":"Gouda, old and dry"}]\n',
        "[messages[4] tool c2]\n  ERROR (execution): ValueError: we are out of brie today\n",
        '[reply 3]\n  That is all.\n  done {"answer": "brie"}\n',
    ):
        assert part in text


def test_one_failed_call_is_its_prompt_and_its_failure() -> None:
    script = Script()
    script.fail()
    assert render_call(trace_of(script.events), 1).endswith(
        "[request 1 failed] RateLimited: slow down (asked again after 0.5 s)\n"
    )


def test_values_are_laid_out_one_item_a_line_when_they_are_long() -> None:
    assert pretty_json({"a": 1}) == '{"a": 1}'
    assert pretty_json([1] * 40).count("\n") == 41
    assert pretty_json({"a": "x" * 100, "b": [1, 2]}) == '{\n  "a": "' + "x" * 100 + '",\n  "b": [1, 2]\n}'
    assert Layout().body("a\n\nb") == ["  a", "", "  b"]
    assert Layout().field("x", None) == []
    assert Layout().field("x", "a\nb") == ["x:", "  a", "  b"]
    assert dump_line(1) == b"1\n"
