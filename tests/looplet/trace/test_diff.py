from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.traces import Script, cheese_run, runs, write_trace, written

from looplet._pretty import visible
from looplet.events import Event, HookDecided
from looplet.trace.align import ALONE, SAME, align
from looplet.trace.diff import diff_texts, diff_traces
from looplet.trace.layout import Layout
from looplet.trace.normalize import Normalizer
from looplet.trace.outline import read_outlines
from looplet.trace.pack import Packer
from looplet.trace.read import Trace, read_journal
from looplet.trace.render import render_trace
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from pathlib import Path

REFUND = ("refund", {"order": 7, "amount": 10}, {"total": 10, "currency": "EUR"})
SEARCH = ("search", {"query": "order 7"}, "found one order")
DONE = ("done", {"answer": "paid back"}, "paid back")


def run(*steps: tuple[str, Any, Any], task: str = "pay back", stop: str = "done", **more: Any) -> list[Event]:
    script = Script(task, **more)
    for number, (tool, args, result) in enumerate(steps):
        given = ToolResult(tool, result)
        if isinstance(result, Exception):
            given = ToolResult(tool, error=str(result), error_kind=ErrorKind.EXECUTION)
        script.turn(ToolCall(tool, args, call_id=f"c{number}"), given)
    return script.finish(stop, output=steps[-1][2] if stop == "done" else None)


def trace(events: list[Event]) -> Trace:
    header = {"t": 1_800_000_000.0, **(Packer().pack(events[0]) or {})}
    return Trace("t", header, (header,), tuple(written(events)))


def significant(before: list[Event], after: list[Event]) -> list[str]:
    return [change.text for change in diff_traces(trace(before), trace(after)).significant]


def informational(before: list[Event], after: list[Event]) -> list[str]:
    return [change.text for change in diff_traces(trace(before), trace(after)).informational]


BASE = run(SEARCH, REFUND, DONE)


@pytest.mark.parametrize(
    ("after", "lines"),
    [
        (run(SEARCH, ("escalate", *REFUND[1:]), DONE), ["step 2: tool refund → escalate"]),
        (
            run(SEARCH, ("refund", {"order": 7, "amount": 20, "note": "x"}, REFUND[2]), DONE),
            ["step 2 refund: arguments: amount 10 → 20, note added 'x'"],
        ),
        (
            run(SEARCH, (*REFUND[:2], {"total": 11, "currency": "EUR"}), DONE),
            ["step 2 refund: result: total 10 → 11"],
        ),
        (
            run((*SEARCH[:2], "found two orders"), REFUND, DONE),
            ["step 1 search: result: 'found one order' → 'found two orders'"],
        ),
        (
            run(SEARCH, (*REFUND[:2], OSError("no money\nat all")), DONE),
            ["step 2 refund: error appeared: (execution) no money"],
        ),
        (run(REFUND, SEARCH, DONE), ["step 2 refund moved to step 1"]),
        (run(SEARCH, DONE), ["step 2 refund removed"]),
        (run(SEARCH, SEARCH, REFUND, DONE), ["step 2 search added"]),
        (
            run(SEARCH, REFUND, stop="max_steps"),
            ["stop reason done → max_steps", "step 3 done removed", "output removed: the result of step 3"],
        ),
        (
            run(SEARCH, REFUND, ("done", {"answer": "no"}, "no")),
            ["step 3 done: arguments: answer 'paid back' → 'no'", "step 3 done: result: 'paid back' → 'no'"],
        ),
        (
            run(SEARCH, SEARCH, (*REFUND[:2], None), DONE),
            ["step 2 search added", 'step 2 (now 3) refund: result: {"total": 10, "currency": "EUR"} → null'],
        ),
    ],
    ids=["tool", "argument", "result", "text", "error", "order", "removed", "added", "stop", "answer", "renumbered"],
)  # fmt: skip
def test_what_the_agent_did_differently_is_said_in_a_line(after: list[Event], lines: list[str]) -> None:
    assert significant(BASE, after) == lines


@pytest.mark.parametrize(
    ("after", "line"),
    [
        (run(SEARCH, REFUND, DONE, system="Be kind."), "system prompt changed at char 3: 'Be brief.' → 'Be kind.'"),
        (
            run(SEARCH, REFUND, DONE, task="pay it back"),
            "user message before step 1 changed at char 4: 'pay back' → 'pay it back'",
        ),
        (run(SEARCH, REFUND, DONE, max_steps=9), "steps at most changed: 15 → 9"),
        (run(SEARCH, REFUND, DONE, model="other"), "model mock → other"),
    ],
    ids=["system", "task", "budget", "model"],
)
def test_wording_and_settings_are_informational(after: list[Event], line: str) -> None:
    assert significant(BASE, after) == []
    assert line in informational(BASE, after)


def test_replies_hooks_and_messages_are_compared_where_they_stand() -> None:
    def told(text: str, note: str, *decisions: Event) -> list[Event]:
        script = Script()
        script.turn(ToolCall("search", {}, call_id="c1"), ToolResult("search", "a long result that is kept"), text)
        script.events += decisions
        script.say(note)
        script.turn(ToolCall("done", {}, call_id="c2"), ToolResult("done", "x"))
        return script.finish(output="x")

    decided = HookDecided("Limit", "pre_prompt", "hurry up")
    assert informational(told("Let me see.", "quick"), told("I will see.", "slow", decided)) == [
        "reply before step 1 changed at char 0: 'Let me see.' → 'I will see.'",
        "hook Limit.pre_prompt before step 2 added: [hook Limit.pre_prompt] hurry up",
        "user message before step 2 changed at char 0: 'quick' → 'slow'",
    ]


def test_values_that_differ_by_nature_are_no_difference() -> None:
    def timed(stamp: str, uuid: str) -> list[Event]:
        return run(("search", {"q": 1}, {"at": stamp, "id": uuid, "addr": f"<object at 0x7f{uuid[:8]}>"}), DONE)

    one = timed("2026-01-01T10:00:00Z", "8c1a7c1e-44c1-4b57-9d8e-0d8f4b8f6a01")
    other = timed("2027-12-31 23:59:59.123+02:00", "00000000-44c1-4b57-9d8e-0d8f4b8f6a02")
    assert diff_traces(trace(one), trace(other)).changes == ()


@given(runs())
def test_a_run_does_not_differ_from_itself(events: list[Event]) -> None:
    assert diff_traces(trace(events), trace(events)).changes == ()


@given(runs())
def test_the_text_holds_every_step_that_happened(events: list[Event]) -> None:
    told = trace(events)
    [outline] = read_outlines(render_trace(told))
    assert [step.number for step in outline.steps] == [step.number for step in told.steps]
    assert [step.facts.error is None for step in outline.steps] == [step.tool_result.ok for step in told.steps]


@given(runs(), runs())
def test_a_comparison_turned_round_finds_as_many_runs_apart(one: list[Event], other: list[Event]) -> None:
    there = diff_traces(trace(one), trace(other))
    back = diff_traces(trace(other), trace(one))
    assert bool(there.significant) == bool(back.significant)
    assert all(visible(change.text) == change.text for change in there.changes)


def test_several_runs_in_one_text_are_told_apart() -> None:
    normal = Layout(Normalizer())
    base, other = render_trace(trace(BASE), normal), render_trace(trace(run(SEARCH, DONE)), normal)
    told = diff_texts(f"{base}\n{base}", f"{base}\n{other}\n{base}")
    assert [change.text for change in told.significant] == ["run 2, step 2 refund removed", "run 3 added"]


def test_many_differences_are_counted_after_the_first() -> None:
    diff = diff_traces(trace(BASE), trace(run(DONE)))
    assert diff.lines(1) == [f"and {len(diff.changes)} more differences"]
    assert diff.lines(2) == ["step 1 search removed", f"and {len(diff.changes) - 1} more differences"]
    assert len(diff.lines()) == len(diff.changes)


def test_a_change_carries_the_whole_step_before_and_after(tmp_path: Path) -> None:
    one, other = (write_trace(tmp_path / name, events) for name, events in (("a", BASE), ("b", run(DONE))))
    first = diff_traces(read_journal(one), read_journal(other)).significant[0]
    assert first.before == '[step 1] search {"query": "order 7"}\nresult:\nfound one order'
    assert first.after is None
    assert first.to_dict()["kind"] == "step_removed"


def test_an_unfinished_run_differs_in_its_end() -> None:
    assert significant(cheese_run(), cheese_run()[:-1]) == [
        "stop reason done → not at all",
        "output removed: the result of step 3",
    ]


@given(st.lists(st.integers(0, 3)), st.lists(st.integers(0, 3)))
def test_an_alignment_keeps_order_loses_nothing_and_is_no_dearer_than_starting_over(
    before: list[int], after: list[int]
) -> None:
    pairs = align(before, after, lambda one, other: SAME if one == other else 7)
    assert [left for left, _ in pairs if left is not None] == before
    assert [right for _, right in pairs if right is not None] == after
    cost = sum(ALONE if None in pair else 7 * (pair[0] != pair[1]) for pair in pairs)
    assert cost <= ALONE * (len(before) + len(after))
    assert cost == 0 or before != after
