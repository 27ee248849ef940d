"""Comparing a report with an earlier one."""

from __future__ import annotations

import json
import random
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import JSON, patient

from looplet.evals.baseline import Comparison, compare, load_baseline
from looplet.evals.report import build_report
from looplet.evals.stats import drop_p

Scores = dict[str, Any]

USAGE = {"input_tokens": 1, "output_tokens": 1, "cached_tokens": 0, "cost": None}


def items_of(cases: Scores, name: str = "e.py::a", **fields: Any) -> list[dict[str, Any]]:
    """One item for each score of each case; None is an error."""
    return [
        _item(name, case, trial, len(scores), score, fields)
        for case, given in cases.items()
        for scores in [given if isinstance(given, list) else [given]]
        for trial, score in enumerate(scores, 1)
    ]


def _item(name: str, case: str, trial: int, trials: int, score: Any, fields: dict[str, Any]) -> dict[str, Any]:
    backend, again = fields.get("backend", "openai"), f"-t{trial}" if trial > 1 else ""
    run = {"file": "e.py", "agent": "a", "case": case, "trial": trial, "backend": backend}
    run |= {"model": fields.get("model", "gpt")}
    known = {"id": f"{name}[{case}-{backend}{again}]", "eval": name, "case": case, "trial": trial, "trials": trials}
    known |= {"backend": backend, "outcome": "error" if score is None else "pass", "score": score, "passed": None}
    known |= {"eval_digest": "e1", "case_digest": "c1", "judge": None, "run": run | {"usage": USAGE}}
    return known | {field: value for field, value in fields.items() if field != "model"}


def report_of(*items: list[dict[str, Any]], suite: str = "shop") -> dict[str, Any]:
    return build_report([item for each in items for item in each], suite=suite)


def compared(now: Scores, before: Scores, margin: float = 0.05, **fields: Any) -> Comparison:
    return compare(report_of(items_of(now, **fields)), report_of(items_of(before)), margin=margin)[0]


def even(count: int, score: float) -> Scores:
    return {f"c{number}": score for number in range(count)}


def parametrized(values: dict[str, float], *, trials: int = 1, several: bool = False) -> list[dict[str, Any]]:
    """Ten cases, each checked with each value."""
    return [
        item | {"id": f"e.py::a[{item['case']}{'-openai' * several}{again}-{value}]"}
        for value, score in values.items()
        for item in items_of(dict.fromkeys(even(10, score), [score] * trials))
        for again in [f"-t{item['trial']}" if item["trial"] > 1 else ""]
    ]


@pytest.mark.parametrize("trials", [1, 3])
def test_a_check_that_is_new_or_gone_changes_no_comparison(trials: int) -> None:
    two, three = (report_of(parametrized({"x": 1.0, "y": 0.8} | more, trials=trials)) for more in ({}, {"hard-1": 0.1}))
    for now, before, said in ((three, two, "not in the baseline"), (two, three, "only in the baseline")):
        (result,) = compare(now, before, margin=0.05)
        assert (result.verdict, result.delta) == ("same", 0.0)
        assert (result.now, result.before) == pytest.approx((0.9, 0.9))
        assert result.left_out[0] == f"a[c0-hard-1]: {said}"
        assert len(result.left_out) == 10


def test_checks_are_found_again_when_ids_name_the_backend() -> None:
    now, before = report_of(parametrized({"x": 0.5}, several=True)), report_of(parametrized({"x": 0.9}, several=False))
    assert compare(now, before, margin=0.05)[0].verdict == "worse"


def test_cases_that_share_no_check_are_not_compared() -> None:
    now, before = report_of(parametrized({"x": 0.5})), report_of(parametrized({"y": 0.9}))
    (result,) = compare(now, before, margin=0.05)
    assert result.verdict == "not compared"
    assert result.why == "no case can be compared: not in the baseline, only in the baseline"


def test_a_drop_that_is_large_and_no_chance_is_worse() -> None:
    result = compared(even(10, 0.7), even(10, 0.9))
    assert (result.verdict, result.why) == ("worse", "")
    assert (result.now, result.before, result.delta) == pytest.approx((0.7, 0.9, -0.2))
    assert result.p == result.p_adjusted == 2**-10
    assert result.interval is not None
    assert result.interval.low == pytest.approx(-0.2)


def test_a_rise_that_is_large_and_no_chance_is_better() -> None:
    result = compared(even(10, 0.9), even(10, 0.7))
    assert (result.verdict, result.p) == ("better", 1.0)


@pytest.mark.parametrize(("margin", "verdict"), [(0.19, "worse"), (0.2, "same"), (0.21, "same")])
def test_a_drop_within_the_margin_is_no_regression_however_certain(margin: float, verdict: str) -> None:
    assert compared(even(30, 0.7), even(30, 0.9), margin).verdict == verdict
    assert compared(even(30, 0.9), even(30, 0.7), margin).verdict == verdict.replace("worse", "better")


def test_a_large_drop_that_may_be_chance_is_none() -> None:
    now, before = even(10, 0.5), even(10, 0.5)
    for number in range(10):
        (now if number < 6 else before)[f"c{number}"] = 0.0
    result = compared(now, before)
    assert result.delta == pytest.approx(-0.1)
    assert result.verdict == "same"


def test_cases_are_paired_by_the_mean_of_their_trials() -> None:
    """An unpaired comparison would drown this in the differences between cases."""
    before = {f"c{number}": [number / 10] * 4 for number in range(10)}
    now = {case: [*scores[:2], scores[0] - 0.2, scores[0] - 0.2] for case, scores in before.items()}
    result = compared(now, before)
    assert result.delta == pytest.approx(-0.1)
    assert (result.verdict, result.p) == ("worse", 2**-10)


def test_the_more_evals_are_compared_the_less_a_single_drop_says() -> None:
    """Five cases that all drop have p = 1/32: enough for one eval, not for two."""
    now, before = even(5, 0.0), even(5, 1.0)
    other = items_of(even(5, 1.0), "e.py::b")
    alone = compare(report_of(items_of(now)), report_of(items_of(before)), margin=0.05)
    both = compare(report_of(items_of(now), other), report_of(items_of(before), other), margin=0.05)
    assert [(each.verdict, each.p, each.p_adjusted) for each in alone] == [("worse", 1 / 32, 1 / 32)]
    assert [(each.verdict, each.p, each.p_adjusted) for each in both] == [("same", 1 / 32, 1 / 16), ("same", 1, 1)]


def test_evals_that_are_not_compared_do_not_count_for_the_adjustment() -> None:
    other = items_of(even(5, 1.0), "e.py::b")
    results = compare(report_of(items_of(even(5, 0.0)), other), report_of(items_of(even(5, 1.0))), margin=0.05)
    assert [(each.verdict, each.why) for each in results] == [("worse", ""), ("not compared", "not in the baseline")]


@pytest.mark.parametrize(("count", "said"), [(4, "4 cases are too few to tell a drop from chance"), (5, "")])
def test_too_few_cases_to_ever_say_worse_are_named(count: int, said: str) -> None:
    assert compared(even(count, 0.9), even(count, 0.9)).why == said


def test_new_and_removed_cases_are_listed_and_left_out() -> None:
    result = compared(even(10, 0.7) | {"new": 0.0}, even(10, 0.7) | {"old": 1.0})
    assert (result.new_cases, result.removed_cases, result.delta) == (("new",), ("old",), 0.0)


def test_a_case_without_a_score_is_left_out_and_named() -> None:
    result = compared(even(6, 0.7) | {"c1": None, "c2": [None, 0.7]}, even(6, 0.7) | {"c3": None, "c2": [0.7, 0.7]})
    assert result.left_out == ("c1: no score now", "c3: no score before")
    assert result.delta == 0.0


@pytest.mark.parametrize(
    ("fields", "value"),
    [
        ({"outcome": "pass", "score": None, "passed": True}, 1.0),
        ({"outcome": "fail", "score": None, "passed": False}, 0.0),
        ({"outcome": "pass", "score": None, "passed": False}, 0.0),  # a gated item passes in pytest's eyes
        ({"outcome": "fail", "score": None, "passed": None}, 0.0),  # an assertion that failed
        ({"outcome": "fail", "score": 0.4, "passed": False}, 0.4),
        ({"outcome": "pass", "score": None, "passed": None}, None),  # a label that informs
        ({"outcome": "skip", "score": None, "passed": None}, None),
        ({"outcome": "error", "score": None, "passed": None}, None),
        ({"outcome": "error", "score": 1.0, "passed": None}, None),
    ],
)
def test_what_has_no_score_counts_by_whether_it_passed(fields: dict[str, Any], value: float | None) -> None:
    result = compared({"c": 1.0}, {"c": 0.5}, **fields)
    assert result.now == value
    assert result.left_out == (() if value is not None else ("c: no score now",))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"eval_digest": "e2"}, "the source of the eval has changed"),
        ({"judge": {"model": "gpt-5", "usage": USAGE}}, "the judge is now gpt-5, it was none"),
        ({"case_digest": "c2"}, "no case can be compared: its task, expectation or files have changed"),
    ],
)
def test_unlike_runs_are_named_and_not_compared(fields: dict[str, Any], why: str) -> None:
    result = compared(even(10, 0.0), even(10, 1.0), **fields)
    assert (result.verdict, result.why) == ("not compared", why)
    assert (result.now, result.p, result.interval) == (None, None, None)


def test_another_number_of_trials_is_not_compared() -> None:
    result = compared({"a": [0.0] * 5, "b": [0.0] * 5}, {"a": 1.0, "b": 1.0})
    assert (result.verdict, result.why) == ("not compared", "no case can be compared: 5 trials now, 1 before")


def test_reports_without_a_case_in_common_are_not_compared() -> None:
    result = compared({"a": 0.0}, {"b": 1.0})
    assert (result.verdict, result.why) == ("not compared", "no case is in both reports")
    assert (result.new_cases, result.removed_cases) == (("a",), ("b",))


def test_another_suite_is_not_compared() -> None:
    now, before = report_of(items_of(even(9, 0.0))), report_of(items_of(even(9, 1.0)), suite="bank")
    (result,) = compare(now, before, margin=0.05)
    assert (result.verdict, result.why) == ("not compared", "the baseline is of suite 'bank', this is 'shop'")


def test_one_changed_case_is_left_out_and_the_others_are_compared() -> None:
    now = report_of(items_of(even(9, 0.0)), items_of({"c9": 1.0}, case_digest="c2"))
    (result,) = compare(now, report_of(items_of(even(10, 1.0))), margin=0.05)
    assert (result.verdict, result.now) == ("worse", 0.0)
    assert result.left_out == ("c9: its task, expectation or files have changed",)


def test_one_backend_is_compared_with_another_one_and_says_so() -> None:
    result = compared(even(10, 0.5), even(10, 0.9), backend="ollama", model="qwen3:4b")
    assert (result.verdict, result.why) == ("worse", "ollama qwen3:4b now, openai gpt before")


def test_another_model_of_the_same_backend_is_compared_and_said() -> None:
    assert compared(even(10, 0.5), even(10, 0.5), model="gpt-next").why == "openai gpt-next now, openai gpt before"


def test_of_several_backends_each_is_compared_with_itself() -> None:
    now = report_of(items_of(even(10, 0.5)), items_of(even(10, 0.5), backend="ollama"))
    before = report_of(items_of(even(10, 0.9)))
    assert [(each.backend, each.verdict, each.why) for each in compare(now, before, margin=0.05)] == [
        ("ollama", "not compared", "the baseline has no backend 'ollama' of it, only 'openai'"),
        ("openai", "worse", ""),
    ]
    assert [each.verdict for each in compare(now, now, margin=0.05)] == ["same", "same"]


def test_items_without_a_case_are_paired_by_their_id() -> None:
    now, before = ([{**item, "case": None} for item in items_of(even(10, score))] for score in (0.5, 0.9))
    assert compare(report_of(now), report_of(before), margin=0.05)[0].p == 2**-10


def test_a_comparison_as_the_report_has_it() -> None:
    result = compared(even(3, 0.7) | {"new": 1.0}, even(3, 0.9) | {"old": 1.0, "x": 1.0}).to_dict()
    assert json.loads(json.dumps(result)) == {
        "verdict": "same",
        "why": "3 cases are too few to tell a drop from chance",
        "score": 0.9,
        "delta": -0.2,
        "interval": [-0.2, -0.2],
        "p": 0.125,
        "p_adjusted": 0.125,
        "new_cases": ["new"],
        "removed_cases": ["old", "x"],
        "left_out": [],
    }
    assert compared({"a": 0.0}, {"b": 1.0}).to_dict()["interval"] is None


@patient
@given(st.dictionaries(st.sampled_from("abcdefghij"), st.integers(0, 4), min_size=1), st.randoms(use_true_random=False))
def test_a_report_is_the_same_as_itself_in_any_order(passed: dict[str, int], chance: random.Random) -> None:
    items = items_of({case: [1.0] * count + [0.0] * (4 - count) for case, count in passed.items()})
    report = report_of(items)
    shuffled = {**report, "items": chance.sample(report["items"], len(report["items"]))}
    (result,) = compare(shuffled, report, margin=0.0)
    assert (result.verdict, result.delta, result.p) == ("same", 0.0, 1.0)
    assert result == compare(report, report, margin=0.0)[0]


def test_noise_alone_is_seldom_called_worse_and_a_real_drop_nearly_always() -> None:
    chance = random.Random(3)
    rates = {f"c{number}": chance.betavariate(3, 1) for number in range(50)}

    def suite(drop: float) -> list[dict[str, Any]]:
        return items_of({c: [float(chance.random() < rate - drop) for _ in range(5)] for c, rate in rates.items()})

    before = [report_of(suite(0.0)) for _ in range(40)]
    found = {
        drop: sum(compare(report_of(suite(drop)), each, margin=0.05)[0].verdict == "worse" for each in before)
        for drop in (0.0, 0.15)
    }
    assert found[0.0] <= 4
    assert found[0.15] >= 36


def test_the_p_is_that_of_the_differences() -> None:
    now, before = {"a": 0.1, "b": 0.9, "c": 0.3, "d": 0.5}, {"a": 0.4, "b": 0.8, "c": 0.9, "d": 0.5}
    assert compared(now, before).p == drop_p([-0.3, 0.1, -0.6, 0.0])


def test_a_baseline_is_read_as_it_was_written(tmp_path: Path) -> None:
    report = report_of(items_of(even(2, 0.5)))
    (tmp_path / "x.json").write_text(json.dumps(report), encoding="utf-8")
    assert load_baseline(tmp_path / "x.json") == load_baseline(tmp_path / "x.json", suite="shop") == report


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is not JSON: Expecting property name enclosed in double quotes: line 1 column 2 (char 1)"),
        ("[]", "is not a looplet report; write a new one with: pytest --looplet-report {file}"),
        ('{"version": 1}', "is not a looplet report; write"),
        ('{"schema": 9}', "has schema 9, this looplet reads 1; write a new one with: pytest --looplet-report {file}"),
        ('{"schema": 1}', "is damaged: its items are not those of a report; write"),
        ('{"schema": 1, "items": []}', "is damaged: its items are not those of a report; write"),
        ('{"schema": 1, "runs": [], "items": [3]}', "is damaged: its items are not those of a report; write"),
        ('{"schema": 1, "runs": [], "items": [{"id": "x"}]}', "is damaged: its items are not those of a report; write"),
        ('{"schema": 1, "runs": [], "items": [], "suite": "a"}', "is of suite 'a', this is 'shop'; write a new one"),
        ("\x00", "is not JSON: Expecting value"),
    ],
)
def test_a_baseline_that_is_none_is_said_in_one_line(tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "x.json"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(ValueError, match=r"^baseline ") as caught:
        load_baseline(file, suite="shop")
    assert str(caught.value).startswith(f"baseline {str(file)!r} " + said.format(file=file))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("field", "value"),
    [("score", float("nan")), ("score", 1.5), ("score", -0.1), ("score", float("inf")), ("outcome", "great")],
)
def test_a_baseline_with_a_score_or_outcome_that_cannot_be_is_damaged(tmp_path: Path, field: str, value: Any) -> None:
    report = report_of(items_of(even(2, 0.5)))
    report["items"][1][field] = value
    (tmp_path / "x.json").write_text(json.dumps(report), encoding="utf-8")
    with pytest.raises(ValueError, match="is damaged: its items are not those of a report"):
        load_baseline(tmp_path / "x.json")


@patient
@given(st.data())
def test_a_damaged_report_is_refused_or_can_be_compared(data: st.DataObject) -> None:
    report = json.loads(json.dumps(report_of(items_of({"a": [0.5, 0.7], "b": [1.0, 0.0]}))))
    field = data.draw(st.sampled_from(["runs", "suite", *report["items"][0]]))
    place = report if field in report else data.draw(st.sampled_from(report["items"]))
    place[field] = data.draw(JSON)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "x.json"
        file.write_text(json.dumps(report), encoding="utf-8")
        try:
            before = load_baseline(file)
        except ValueError as error:
            assert "is damaged" in str(error)  # noqa: PT017  # that there is an error is one of the two outcomes
        else:
            compare(report_of(items_of({"a": [0.5, 0.5], "b": [1.0, 1.0]})), before, margin=0.05)


def test_a_baseline_that_cannot_be_read_says_why(tmp_path: Path) -> None:
    file = tmp_path / "x.json"
    with pytest.raises(ValueError, match=f"x.json': no such file; write one with: pytest --looplet-report {file}$"):
        load_baseline(file)
    with pytest.raises(ValueError, match="cannot be read: Is a directory"):
        load_baseline(tmp_path)
    file.write_bytes(b"\xff")
    with pytest.raises(ValueError, match="is not JSON: 'utf-8' codec can't decode"):
        load_baseline(file)
