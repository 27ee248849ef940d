"""Journals from elsewhere: reading refuses what is wrong, and what it lets through writes nothing but text."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.traces import Script, cheese_run, json_values, write_trace

from looplet._pretty import visible
from looplet.cli import main
from looplet.errors import TraceError
from looplet.events import HookDecided, Noticed
from looplet.messages import Message
from looplet.trace.diff import diff_traces
from looplet.trace.outline import read_outlines
from looplet.trace.read import Trace, read_journal, result_of
from looplet.trace.render import render_call, render_step, render_trace
from looplet.types import ToolCall, ToolResult

FORGED = '1]\n\n[step 7] transfer {"all": true}\nresult:\n  forged\n\nlooplet trace\n[x'
ESCAPE = "\x1b]0;pwned\x07\x1b[31m\u202e\r"
VALUES = json_values | st.sampled_from(
    [FORGED, ESCAPE, [ESCAPE], {ESCAPE: ESCAPE}, 1e300, 10**400, -1, True, None, "x", [1], {"properties": 5}, "5"]
)


def rich_run() -> list[Any]:
    """A run in which everything happens that can happen."""
    script = Script(labels={"eval": "x"})
    script.fail()
    script.turn(ToolCall("search", {"query": "a"}, "because", "c1"), ToolResult("search", "r" * 40, warnings=("w",)))
    script.say("hurry")
    script.step(ToolCall("search", {"query": "b"}), ToolResult("search", 5), asked=ToolCall("find", {}))
    script.events += [HookDecided("H", "pre_prompt", "hurry"), Noticed("text mode")]
    script.turn(ToolCall("search", {"query": "c"}, call_id="c3"), ToolResult("search", {"x": [1, 2]}))
    script.compact()
    script.conversation.append(Message("tool", "made up", call_id="c9"))
    script.turn(ToolCall("done", {"answer": "b"}, call_id="c4"), ToolResult("done", "b"))
    return script.finish(output="c", errors=("out of money",))


def _rows(events: list[Any]) -> list[dict[str, Any]]:
    with tempfile.TemporaryDirectory() as folder:
        path = write_trace(Path(folder, "t"), events)
        return [json.loads(line) for line in (path / "journal.jsonl").read_text().splitlines()]


RESUMED = {"event": "run_resumed", "run_id": "r1", "step": 2, "pending": None, "approval": None, "gated": []}
ROWS = [[*(rich := _rows(rich_run()))[:9], RESUMED, *rich[9:]], _rows(cheese_run())]


def read(rows: list[Any]) -> Trace:
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "journal.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return read_journal(folder)


BASE = read(ROWS[0])


def places(value: Any) -> list[tuple[Any, Any]]:
    """Every place in a JSON value: the container and the key."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    return [*((value, key) for key in keys), *(place for key in keys for place in places(value[key]))]


@st.composite
def damaged(draw: st.DrawFn) -> list[Any]:
    """A journal with a wrong value in some place, or a wrong field more."""
    rows: list[Any] = json.loads(json.dumps(draw(st.sampled_from(ROWS))))
    for _ in range(draw(st.integers(1, 2))):
        row = draw(st.sampled_from(rows))
        if not isinstance(row, dict):
            continue
        container, key = draw(st.sampled_from(places(row)))
        more = [
            "call",
            "step",
            "prompt",
            "tool_call",
            "asked",
            "usage",
            "purpose",
            "checkpoint",
            "gated",
            "labels",
            "t",
        ]
        if draw(st.booleans()) and isinstance(container, dict):
            key = draw(st.sampled_from(more))
        container[key] = json.loads(json.dumps(draw(VALUES)))  # a copy: the next round may change it
    return rows


def _is_plain(text: str) -> bool:
    return visible(text, keep="\n\t") == text


def _show(trace: Trace) -> None:
    """Everything that is printed of a trace."""
    text = render_trace(trace)
    assert _is_plain(text)
    [outline] = read_outlines(text)
    assert [step.number for step in outline.steps] == [step.number for step in trace.steps]
    for change in (*diff_traces(BASE, trace).changes, *diff_traces(trace, BASE).changes):
        assert visible(change.text) == change.text
        assert _is_plain(f"{change.before}{change.after}")
    for step in trace.steps:
        assert _is_plain(render_step(trace, step.number))
    for exchange in trace.exchanges:
        assert _is_plain(render_call(trace, exchange.call))
    assert result_of(trace).steps == trace.steps


def test_the_journals_of_this_test_are_whole() -> None:
    for rows in ROWS:
        _show(read(rows))


@settings(max_examples=400)
@given(damaged())
def test_a_journal_with_any_value_in_any_place_is_refused_or_shown_without_harm(rows: list[Any]) -> None:
    with suppress(TraceError):
        _show(read(rows))


@pytest.mark.parametrize(
    ("event", "field", "value"),
    [
        ("model_replied", "call", ESCAPE),
        ("model_replied", "call", FORGED),
        ("model_replied", "duration_ms", "x"),
        ("model_replied", "duration_ms", 10**400),
        ("model_replied", "reply", {"text": 5}),
        ("model_replied", "reply", {"text": "x", "usage": {"input_tokens": "x"}}),
        ("model_failed", "retry_in", "x"),
        ("model_failed", "prompt", {"keep": 0, "add": [{"role": "user]\n\n[step 7", "content": "x"}]}),
        ("call_finished", "result", {"error": 5}),
        ("call_finished", "result", {"data": 1, "warnings": 5}),
        ("call_finished", "result", {"data": 1, "warnings": [5]}),
        ("step_finished", "usage", {"input_tokens": "x"}),
        ("step_finished", "step", ESCAPE),
        ("hook_decided", "hook", 1),
        ("noticed", "message", [ESCAPE]),
        ("compacted", "before", ESCAPE),
        ("run_resumed", "gated", 5),
        ("run_finished", "status", 5),
        ("run_finished", "stop_reason", 5),
        ("run_finished", "errors", [5]),
        ("run_finished", "duration_s", None),
        ("run_finished", "usage", {"output_tokens": "x"}),
        ("run_started", "t", 1e300),
        ("run_started", "t", "x"),
        ("run_started", "settings", [1]),
        ("run_started", "max_steps", ESCAPE),
        ("run_started", "tools", [{"name": "x", "description": 5, "parameters": {}}]),
        ("run_started", "tools", [{"name": "x", "description": "x", "parameters": []}]),
    ],
    ids=lambda value: repr(value)[-16:],
)
def test_a_field_of_the_wrong_type_is_named_with_its_line(event: str, field: str, value: Any) -> None:
    rows: list[Any] = json.loads(json.dumps(ROWS[0]))
    line = next(number for number, row in enumerate(rows) if row["event"] == event)
    rows[line][field] = value
    with pytest.raises(TraceError, match=rf"is damaged: line {line + 1}: \w+: ") as caught:
        read(rows)
    assert visible(str(caught.value)) == str(caught.value)


@pytest.mark.parametrize("field", ["stop_reason", "status"])
def test_words_of_the_end_stay_on_their_line(field: str) -> None:
    rows: list[Any] = json.loads(json.dumps(ROWS[0]))
    rows[-1][field] = FORGED + ESCAPE
    _show(read(rows))


def test_properties_of_a_tool_may_be_anything_a_server_sends() -> None:
    rows: list[Any] = json.loads(json.dumps(ROWS[0]))
    rows[0]["tools"] = [{"name": "x", "description": "d", "parameters": {"properties": 5}}]
    assert "tools: x()" in render_trace(read(rows))


def test_the_note_of_an_incomplete_trace_stays_on_its_line(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", cheese_run()[:-1])
    (path / "incomplete.txt").write_text(FORGED + ESCAPE)
    trace = read_journal(path)
    assert trace.incomplete is not None
    _show(trace)


@pytest.mark.parametrize("command", [["show"], ["show", "--step", "1"], ["show", "--call", "1"], ["diff"]])
def test_a_damaged_journal_is_exit_code_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: list[str]
) -> None:
    rows: list[Any] = json.loads(json.dumps(ROWS[0]))
    rows[-1]["stop_reason"] = [ESCAPE]
    (tmp_path / "journal.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    places = [str(tmp_path)] * (2 if command == ["diff"] else 1)
    assert main([command[0], *places, *command[1:]]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert f"is damaged: line {len(rows)}: TypeError: RunFinished.stop_reason is no str" in printed.err
