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


UUIDS = "1b4e28ba-2fa1-11d2-883f-0016d3cca427", "2b4e28ba-2fa1-11d2-883f-0016d3cca427"
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


def test_a_call_that_never_ended_and_another_status_are_said_and_not_the_same_reason_twice() -> None:
    def ended(*more: str) -> str:
        return "\n".join(["looplet trace", "", "ended: not at all (the process was killed)", *more, ""])

    assert told(ended(), ended('  pay {"a": 1} started, no result')) == [
        """stop reason not at all: calls without a result added: pay {"a": 1} started, no result"""
    ]
    assert told("looplet trace\n\nended: done (completed)\n", "looplet trace\n\nended: done (failed)\n") == [
        "stop reason done: completed → failed"
    ]


def told(before: str, after: str) -> list[str]:
    return [change.text for change in diff_texts(before, after).significant]


@pytest.mark.parametrize(
    ("one", "other", "words"),
    [
        ("foo", "foo\n", r"'foo' → 'foo\n'"),
        ("foo", "\n\nfoo", r"'foo' → '\n\nfoo'"),
        ("5", 5, "'5' → 5"),
        (None, "null", "null → 'null'"),
        ({"x": 1}, '{"x": 1}', """{"x": 1} → '{"x": 1}'"""),
        ("", [], "'' → []"),
        ({"a b": 1}, {"a b": 1.0}, "a b 1 → 1.0"),
        ({UUIDS[0]: 10, UUIDS[1]: 20}, {UUIDS[0]: 99, UUIDS[1]: 20}, "<uuid> 10 → 99"),
    ],
)
def test_results_that_only_look_the_same_are_told_apart(one: Any, other: Any, words: str) -> None:
    before, after = run(("search", {}, one), DONE), run(("search", {}, other), DONE)
    assert significant(before, after) == [f"step 1 search: result: {words}"]
    assert significant(run(("search", {"q": one}, 1), DONE), run(("search", {"q": other}, 1), DONE)) != []


def test_outputs_that_only_look_the_same_are_told_apart() -> None:
    def answered(output: Any) -> list[Event]:
        return Script().finish(output=output)

    assert significant(answered("5"), answered(5)) == ["output changed: '5' → 5"]
    assert significant(answered(None), answered("")) == ["output changed: null → ''"]
    assert significant(answered(None), answered("x")) == ["output added: x"]
    [fine] = significant(answered("the result of step 1 is fine"), answered("the result of step 1 is a disaster"))
    assert fine.startswith("output changed: ")


GET, PUT, DEL = (("get", {"a": 1}, 1), ("put", {"a": 2}, 2), ("del", {"a": 3}, 3))


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ((GET, PUT, DEL), (DEL, GET, PUT), ["step 3 del moved to step 1"]),
        ((GET, PUT, DEL), (DEL, PUT, GET), ["step 2 put moved past step 1 get", "step 3 del moved to step 1"]),
        ((GET, PUT), (("get", {"a": 1}, 7), PUT), ["step 1 get: result: 1 → 7"]),
        ((GET, PUT), (PUT, ("get", {"a": 1}, 7)), ["step 1 get moved to step 2", "step 1 (now 2) get: result: 1 → 7"]),
        (
            (GET, ("put", {"a": 2}, 9)),
            (PUT, GET),
            ["step 2 put moved to step 1", "step 2 (now 1) put: result: 9 → 2"],
        ),
        ((SEARCH, ("search", {"query": "b"}, 2)), (("search", {"query": "b"}, 2), SEARCH), [
            "step 2 search moved to step 1"
        ]),
        ((GET, PUT), (GET, GET), ["step 2: tool put → get"]),
    ],
    ids=["to the front", "reversed", "same place", "other result", "moved and other", "same tool", "repeated"],
)  # fmt: skip
def test_a_call_that_both_runs_make_was_moved_and_not_renamed(
    before: tuple[Any, ...], after: tuple[Any, ...], lines: list[str]
) -> None:
    found = significant(run(*before, DONE), run(*after, DONE))
    assert found == lines


def test_a_moved_step_carries_its_text_in_both_places() -> None:
    moved = diff_traces(trace(run(GET, PUT, DONE)), trace(run(PUT, GET, DONE))).significant[0]
    assert (moved.before, moved.after) == ('[step 2] put {"a": 2}\nresult:\n2', '[step 1] put {"a": 2}\nresult:\n2')


@pytest.mark.parametrize("turned", [False, True], ids=["added", "removed"])
def test_what_the_model_was_given_at_first_is_compared_when_the_first_steps_differ(turned: bool) -> None:
    one = run(REFUND, DONE)
    other = run(SEARCH, REFUND, DONE, system="Be kind.", task="pay it back")
    lines = informational(*((other, one) if turned else (one, other)))
    assert [line.partition(" at char")[0] for line in lines if "token" not in line] == [
        "system prompt changed",
        "user message before step 1 changed",
    ]


def test_what_led_to_a_step_that_is_gone_is_told_before_the_next() -> None:
    def script(*turns: tuple[str, str]) -> list[Event]:
        made = Script()
        for tool, words in turns:
            made.turn(ToolCall(tool, {}, call_id=tool), ToolResult(tool, 1), words)
        return made.finish(output=1)

    lines = informational(
        script(("get", "I get."), ("put", "I put."), ("done", "Fine.")), script(("put", "I put."), ("done", "Done."))
    )
    assert [line for line in lines if "token" not in line] == [
        "reply before step 2 removed: I get.",
        "reply before step 3 changed at char 0: 'Fine.' → 'Done.'",
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
