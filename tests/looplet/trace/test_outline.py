from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.traces import Script, cheese_run, runs, written

from looplet._pretty import visible
from looplet.events import Event
from looplet.trace.normalize import Normalizer, normal_text
from looplet.trace.outline import Section, json_or_text, read_outlines
from looplet.trace.pack import Packer
from looplet.trace.read import Trace
from looplet.trace.render import render_trace
from looplet.types import ToolCall, ToolResult

LINES = st.lists(st.sampled_from(["", " ", "a", "  b", "[step 9] x", "result:", "ended: done", "looplet trace"]))


def text_of(events: list[Event]) -> str:
    header = Packer().pack(events[0]) or {}
    return render_trace(Trace("t", header, (header,), tuple(written(events))))


def searched(*results: str, output: object = None) -> list[Event]:
    script = Script()
    for number, result in enumerate(results):
        script.turn(ToolCall("search", {}, call_id=f"c{number}"), ToolResult("search", result))
    return script.finish(output=output)


@given(st.lists(LINES.map("\n".join), min_size=1, max_size=3))
def test_texts_come_back_with_every_blank_line_and_no_content_is_a_heading(results: list[str]) -> None:
    [outline] = read_outlines(text_of(searched(*results)))
    written_as = [visible(result, keep="\n\t") for result in results]
    assert [step.facts.result for step in outline.steps] == [json_or_text(text) for text in written_as]


@given(LINES.map("\n".join))
def test_an_output_of_several_lines_comes_back_as_it_was(output: str) -> None:
    [outline] = read_outlines(text_of(searched("r", output=f"a\n{output}\n.")))
    assert outline.output == f"a\n{output}\n."


@settings(max_examples=30)
@given(runs(), runs())
def test_texts_that_stand_one_after_the_other_are_read_as_each_by_itself(one: list[Event], other: list[Event]) -> None:
    texts = [text_of(one), text_of(other)]
    assert read_outlines("\n".join(texts)) == [*read_outlines(texts[0]), *read_outlines(texts[1])]


def test_an_end_after_which_the_run_went_on_is_told_in_its_place_and_the_last_end_counts() -> None:
    script = Script()
    script.turn(ToolCall("search", {}), ToolResult("search", "one"))
    script.finish("closed", output=None, errors=("out of money",))
    script.turn(ToolCall("search", {}), ToolResult("search", "two"))
    [outline] = read_outlines(text_of(script.finish("done", output="brie")))
    assert [step.facts.result for step in outline.steps] == ["one", "two"]
    assert outline.end == {"ended": "done (completed)", "output": "brie"}
    assert Section("[resumed after closed]", "error: out of money") in outline.parts


@pytest.mark.parametrize("text", ["5 ", "\n5", " null", '{"x": 1}\n'])
def test_only_what_was_written_as_json_is_json(text: str) -> None:
    assert json_or_text(text) == text


def test_only_a_whole_line_names_the_last_step() -> None:
    [whole, more] = [
        read_outlines(f"looplet trace\n\nended: done (completed)\noutput: the result of step 1{rest}\n")[0]
        for rest in ("", " is fine")
    ]
    assert (whole.ends_in_its_last_step, more.ends_in_its_last_step) == (True, False)


def test_the_text_of_a_result_alone_is_read_too() -> None:
    header = Packer().pack(cheese_run()[0]) or {}
    trace = Trace("t", header, (header,), tuple(written(cheese_run())))
    [outline] = read_outlines(normal_text(trace, Normalizer()))
    assert [step.facts.tool for step in outline.steps] == ["search", "search", "done"]
    assert outline.times == ""
