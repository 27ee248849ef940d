"""Comparing the calls of a run with those that were expected."""

from __future__ import annotations

import re
from itertools import pairwise, permutations, product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import patient

from looplet.evals.match import tools_match
from looplet.evals.pairing import pair_any, pair_in_order, pair_places
from looplet.result import RunResult
from looplet.types import Step, ToolCall, ToolResult

ORDERS: tuple[Any, ...] = ("exact", "in_order", "any")
CALLS: tuple[Any, ...] = ("equal", "superset", "subset")
ARGS: tuple[Any, ...] = ("exact", "superset", "subset", "ignore")
CALL = st.tuples(st.sampled_from("ab"), st.dictionaries(st.sampled_from("xy"), st.integers(0, 1), max_size=2))
CALL_LIST = st.lists(CALL, max_size=5)


def run_of(*calls: str | tuple[str, dict[str, Any]]) -> RunResult:
    pairs = [(call, {}) if isinstance(call, str) else call for call in calls]
    steps = [Step(at, ToolCall(tool, args), ToolResult(tool, data="")) for at, (tool, args) in enumerate(pairs, 1)]
    return RunResult("done", steps=tuple(steps))


@pytest.mark.parametrize(
    ("made", "expected", "mode", "score"),
    [
        ("ab", "ab", {}, 1.0),
        ("ba", "ab", {}, 0.0),
        ("ba", "ab", {"order": "in_order"}, 0.5),
        ("ba", "ab", {"order": "any"}, 1.0),
        ("xab", "ab", {}, 0.0),
        ("xab", "ab", {"order": "in_order"}, 2 / 3),
        ("abx", "ab", {}, 2 / 3),
        ("abx", "ab", {"calls": "superset"}, 1.0),
        ("xab", "ab", {"calls": "superset"}, 0.0),
        ("xaxb", "ab", {"calls": "superset", "order": "in_order"}, 1.0),
        ("xbxa", "ab", {"calls": "superset", "order": "any"}, 1.0),
        ("a", "ab", {}, 0.5),
        ("a", "ab", {"calls": "superset"}, 0.5),
        ("a", "ab", {"calls": "subset"}, 1.0),
        ("b", "ab", {"calls": "subset"}, 0.0),
        ("b", "ab", {"calls": "subset", "order": "in_order"}, 1.0),
        ("bx", "ab", {"calls": "subset", "order": "in_order"}, 0.5),
        ("aa", "a", {"order": "any"}, 0.5),  # how often counts
        ("a", "aa", {"order": "any"}, 0.5),
    ],
)
def test_the_score_is_the_share_of_the_calls_that_count(
    made: str, expected: str, mode: dict[str, Any], score: float
) -> None:
    assert tools_match(run_of(*made), list(expected), **mode).score == pytest.approx(score)


@pytest.mark.parametrize(
    ("made", "expected", "scores"),
    [("", "", [1, 1, 1]), ("a", "", [0, 1, 0]), ("", "a", [0, 0, 1])],
)
@pytest.mark.parametrize("order", ORDERS)
def test_the_empty_case_is_defined(made: str, expected: str, scores: list[int], order: Any) -> None:
    """Nothing to divide by is nothing wrong; of equal, superset and subset, in this order."""
    found = [tools_match(run_of(*made), list(expected), order=order, calls=calls) for calls in CALLS]
    assert [result.score for result in found] == scores


@pytest.mark.parametrize(
    ("expected", "actual", "matching"),
    [
        ({"x": 1}, {"x": 1}, {"exact", "superset", "subset", "ignore"}),
        ({"x": 1}, {"x": 1, "y": 2}, {"superset", "ignore"}),
        ({"x": 1, "y": 2}, {"x": 1}, {"subset", "ignore"}),
        ({"x": 1}, {"x": 2}, {"ignore"}),
        ({"x": 1}, {}, {"subset", "ignore"}),
        ({"x": 1}, {"x": 1.0}, {"exact", "superset", "subset", "ignore"}),
        ({"x": 1}, {"x": True}, {"ignore"}),
        ({"x": [1, {"y": 0}]}, {"x": [1, {"y": False}]}, {"ignore"}),
        ({"x": (1, 2)}, {"x": [1, 2]}, {"exact", "superset", "subset", "ignore"}),  # as JSON has it
        ({"x": [1, 2]}, {"x": (1, 2)}, {"exact", "superset", "subset", "ignore"}),
    ],
)
def test_arguments_are_compared_as_json(expected: dict[str, Any], actual: dict[str, Any], matching: set[str]) -> None:
    run = run_of(("a", actual))
    assert {args for args in ARGS if tools_match(run, [("a", expected)], args=args).score == 1} == matching


def test_a_call_is_expected_in_any_of_five_forms() -> None:
    run = run_of(("a", {"x": 1}))
    forms: list[Any] = ["a", ("a", {"x": 1}), ["a", {"x": 1}], ToolCall("a", {"x": 1}), {"tool": "a", "args": {"x": 1}}]
    assert [tools_match(run, [entry]).score for entry in forms] == [1] * 5
    assert tools_match(run, [["a", {"x": 2}]]).score == 0  # type: ignore[list-item]  # as a JSON file has it


def test_a_name_alone_leaves_the_arguments_open_and_a_tool_call_does_not() -> None:
    run = run_of(("a", {"x": 1}))
    forms: list[Any] = ["a", {"tool": "a"}, ToolCall("a"), ("a", {})]
    assert [tools_match(run, [entry]).score for entry in forms] == [1, 1, 0, 0]


def test_each_tool_may_have_its_own_rule_for_arguments() -> None:
    def close(expected: dict[str, Any], actual: dict[str, Any]) -> bool:
        return bool(abs(expected.get("amount", 20) - actual["amount"]) < 1)

    run = run_of(("refund", {"amount": 20.4}), ("note", {"text": "hello"}), ("close", {"id": 1}))
    wanted: list[Any] = [("refund", {"amount": 20}), ("note", {"text": "hi"}), ("close", {"id": 1})]
    assert tools_match(run, wanted, args={"refund": close, "note": "ignore"}).score == 1
    assert tools_match(run, wanted, args={"refund": close}).score == pytest.approx(2 / 3)
    assert tools_match(run, ["refund", *wanted[1:]], args={"refund": close, "note": "ignore"}).score == 1


def test_done_counts_only_where_it_is_expected() -> None:
    run = run_of("a", ("done", {"answer": "ok"}))
    assert tools_match(run, ["a"]).score == 1
    assert tools_match(run, ["a", "done"]).score == 1
    assert tools_match(run, ["a", ("done", {"answer": "no"})]).score == 0.5
    assert tools_match(run, ["a"], ignore=()).score == 0.5
    assert tools_match(run, [], ignore=("done", "a")).score == 1


@pytest.mark.parametrize(
    ("made", "expected", "mode", "reason"),
    [
        (["a", "b"], ["a", "b"], {}, "2 of 2 expected calls match"),
        ([], [], {}, "0 of 0 expected calls match"),
        (["a"], ["a", "b"], {"calls": "subset"}, "1 of 2 expected calls match"),
        (
            ["find", ("refund", {"amount": 20})],
            ["find", ("refund", {"amount": 10})],
            {},
            "expected refund(amount=10) as call 2, got refund(amount=20)",
        ),
        (["a"], ["a", ("b", {"x": 1})], {}, "expected b(x=1) as call 2, got no further call"),
        (["a", "b"], ["a"], {}, "call 2, b(), was not expected"),
        (["b", "a"], ["a", "b"], {"calls": "subset"}, "expected a as call 1, got b()"),
        (["a", "b"], ["a"], {"calls": "superset"}, "1 of 1 expected calls match"),
        (["a", "b"], ["c"], {"calls": "superset"}, "expected c as call 1, got a()"),
        (["b", "a"], ["a", "b"], {"order": "in_order"}, "call 1, b(), is out of order"),
        (["b"], ["a", "b"], {"order": "in_order"}, "expected a, which was not called"),
        (["b"], ["a", "b"], {"order": "any"}, "expected a, which was not called"),
        (["a", "x"], ["a"], {"order": "any"}, "call 2, x(), was not expected"),
        (
            [("a", {"x": 1}), ("a", {"x": 2})],
            [("a", {"x": 2}), ("a", {"x": 3})],
            {"order": "any"},
            "expected a(x=3), got a(x=1) as call 1",
        ),
    ],
)
def test_the_reason_names_the_first_mismatch(
    made: list[Any], expected: list[Any], mode: dict[str, Any], reason: str
) -> None:
    assert tools_match(run_of(*made), expected, **mode).reason == reason


def test_arguments_that_look_alike_when_shortened_are_told_apart() -> None:
    long = "x" * 50
    reason = tools_match(run_of(("a", {"note": f"{long}1"})), [("a", {"note": f"{long}2"})]).reason
    assert reason.endswith("…') (note '…xxxxxxxxxxxx2' → '…xxxxxxxxxxxx1')")


def test_the_numbers_behind_the_score_are_metrics() -> None:
    assert tools_match(run_of("a", "x"), ["a", "b", "c"]).metrics == {"matched": 1, "expected": 3, "called": 2}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            {"expected": "refund"},
            "expected='refund': give a list of the calls, for example ['search', ('refund', {...})",
        ),
        ({"expected": {"tool": "a"}}, "expected={'tool': 'a'}: give a list of the calls"),
        ({"expected": None}, "expected=None: give a list of the calls"),
        ({"expected": ["a", 3]}, "expected call 2 is 3; give a name, a (name, args) pair, a ToolCall or {'tool': ..."),
        ({"expected": [("a", "x=1")]}, "expected call 1 is ('a', 'x=1'); give a name"),
        ({"expected": [{"args": {}}]}, "expected call 1 is {'args': {}}; give a name"),
        ({"expected": [{"tool": "a", "arg": {}}]}, "expected call 1 has an unknown key 'arg'; did you mean 'args'?"),
        ({"expected": [], "order": "strict"}, "tools_match(order='strict'): give one of exact, in_order, any"),
        ({"expected": [], "calls": "all"}, "tools_match(calls='all'): give one of equal, subset, superset"),
        ({"expected": [], "args": "some"}, "tools_match(args='some'): give one of exact, ignore, subset, superset"),
        ({"expected": [], "args": {"a": "some"}}, "tools_match(args={'a': 'some'}): give one of exact, ignore"),
    ],
)
def test_what_cannot_be_compared_is_refused(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        tools_match(run_of("a"), **arguments)
    assert str(caught.value).startswith(said)


@patient
@given(CALL_LIST)
def test_a_run_matches_itself_in_every_mode(calls: list[Any]) -> None:
    run = run_of(*calls)
    for order, which, args in product(ORDERS, CALLS, ARGS):
        assert tools_match(run, calls, order=order, calls=which, args=args).score == 1


def test_names_to_ignore_are_a_list() -> None:
    with pytest.raises(
        TypeError, match=re.escape("tools_match(ignore='done'): give a list of names, such as ['done']")
    ):
        tools_match(run_of("do"), [], ignore="done")


@patient
@given(CALL_LIST, CALL_LIST)
def test_a_looser_mode_never_scores_lower(made: list[Any], expected: list[Any]) -> None:
    run = run_of(*made)
    scores: dict[tuple[str, str, str], float] = {}
    for mode in product(ORDERS, CALLS, ARGS):
        score = tools_match(run, expected, order=mode[0], calls=mode[1], args=mode[2]).score
        assert score is not None
        scores[mode] = score
    looser = {"exact": ("superset", "subset"), "superset": ("ignore",), "subset": ("ignore",), "ignore": ()}
    for (order, calls, args), score in scores.items():
        assert all(score <= scores[other, calls, args] for other in ORDERS[ORDERS.index(order) :])
        assert calls != "equal" or all(score <= scores[order, other, args] for other in CALLS)
        assert all(score <= scores[order, calls, other] for other in looser[args])


@patient
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 2**16 - 1))
def test_as_many_calls_are_paired_as_the_order_allows(expected: int, actual: int, table: int) -> None:
    """Against trying everything, for any relation of up to four by four calls."""

    def matches(want: int, call: int) -> bool:
        return bool(table >> (want * 4 + call) & 1)

    most = {"any": 0, "in_order": 0}
    padded = [*range(actual), *[None] * expected]
    for choice in set(permutations(padded, expected)):
        tried = [(want, call) for want, call in enumerate(choice) if call is not None]
        if all(matches(*pair) for pair in tried):
            most["any"] = max(most["any"], len(tried))
            if all(left[1] < right[1] for left, right in pairwise(tried)):
                most["in_order"] = max(most["in_order"], len(tried))
    found = {"any": pair_any(expected, actual, matches), "in_order": pair_in_order(expected, actual, matches)}
    assert {name: len(pairs) for name, pairs in found.items()} == most
    for pairs in (*found.values(), pair_places(expected, actual, matches)):
        assert len(set(pairs.values())) == len(pairs)
        assert all(matches(want, call) for want, call in pairs.items())
    assert list(found["in_order"].values()) == sorted(found["in_order"].values())
