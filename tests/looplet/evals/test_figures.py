"""The figures of an eval: means over cases, rates over trials, the verdict of a gate."""

from __future__ import annotations

from typing import Any

import pytest
from benchmarks import regression
from hypothesis import given
from hypothesis import strategies as st

from looplet.evals.figures import eval_figures, item_value, without_trial
from looplet.evals.stats import binomial_interval, mean_interval


def items_of(cases: dict[str, list[Any]], **fields: Any) -> list[dict[str, Any]]:
    """One item for each score of each case. A bool passes or fails, a number only scores, None is an error."""
    return [
        {
            "id": f"e.py::a[{case}{f'-t{trial}' * (trial > 1)}]",
            "eval": "e.py::a",
            "case": case,
            "trial": trial,
            "trials": len(scores),
            "backend": "replay",
            "outcome": "error" if score is None else "fail" if score is False else "pass",
            "score": None if score is None else float(score),
            "passed": score if isinstance(score, bool) else None,
            **fields,
        }
        for case, scores in cases.items()
        for trial, score in enumerate(scores, 1)
    ]


def row_of(cases: dict[str, list[Any]], **fields: Any) -> dict[str, Any]:
    [row] = eval_figures(items_of(cases, **fields))
    return row


def test_cases_weigh_the_same_however_many_trials_they_have() -> None:
    row = row_of({"a": [True, True, True, True], "b": [False]})
    assert row["score"] == row["pass_rate"] == 0.5
    assert (row["n_cases"], row["n_trials"]) == (2, 5)


def test_several_checks_of_one_trial_are_one_trial() -> None:
    items = [item | {"id": f"{item['id']}-{value}"} for value in "xyz" for item in items_of({"a": [1, 0], "b": [1, 1]})]
    [row] = eval_figures(items)
    assert (row["n_cases"], row["n_trials"]) == (2, 4)


def test_an_error_has_no_score_and_does_not_lower_the_mean() -> None:
    row = row_of({"a": [0.0], "b": [0.5], "c": [None]})
    assert row["score"] == 0.25
    assert (row["n_cases"], row["pass"], row["error"]) == (2, 2, 1)
    nothing = row_of({"a": [None]})
    assert (nothing["score"], nothing["interval"], nothing["pass_rate"], nothing["n_cases"]) == (None, None, None, 0)


def test_the_interval_is_that_of_the_cases() -> None:
    cases = {"a": [True, False, True], "b": [True, True, True], "c": [False, False, True]}
    expected = mean_interval([[float(score) for score in scores] for scores in cases.values()])
    assert row_of(cases)["interval"] == [round(expected.low, 6), round(expected.high, 6)]
    one = binomial_interval(3, 2)
    assert row_of({"a": [True, False, True]})["interval"] == [round(one.low, 6), round(one.high, 6)]


def test_a_label_counts_by_what_it_says_and_not_at_all_when_it_only_informs() -> None:
    label = {"score": None, "label": "x"}
    assert row_of({"a": [True], "b": [True]}, **label)["score"] == 1.0
    assert row_of({"a": [0.5]}, **label)["score"] is None
    assert item_value({"outcome": "fail", "score": None}) == 0.0
    assert item_value({"outcome": "skip", "score": 1.0}) is None


def test_pass_at_k_and_pass_hat_k_are_means_over_cases() -> None:
    row = row_of({"a": [True, True, False, False], "b": [True, True, True, True]})
    assert row["pass_at_k"] == {"1": 0.75, "4": 1.0}
    assert row["pass_hat_k"] == {"1": 0.75, "4": 0.5}
    assert row_of({"a": [True], "b": [False]})["pass_at_k"] is None, "without trials there is nothing to estimate"
    assert row_of({"a": [0.25, 0.5]})["pass_at_k"] == {"1": None, "2": None}, "a score alone neither passes nor fails"


def test_a_case_with_too_few_trials_left_has_no_pass_at_k() -> None:
    row = row_of({"a": [True, None], "b": [False, True]})
    assert row["pass_at_k"] == {"1": 0.75, "2": 1.0}
    assert row["pass_hat_k"] == {"1": 0.75, "2": 0.0}


def test_the_trials_of_a_parametrized_eval_are_those_of_one_parameter() -> None:
    strict = [item | {"id": item["id"].replace("[", "[strict-")} for item in items_of({"a": [True, True]})]
    lax = [item | {"id": item["id"].replace("[", "[lax-")} for item in items_of({"a": [False, False]})]
    [row] = eval_figures([*strict, *lax])
    assert row["pass_hat_k"] == {"1": 0.5, "2": 0.5}
    assert row["n_cases"] == 1


@pytest.mark.parametrize(
    ("name", "bare"),
    [
        ("a[c-t2]", "a[c]"),
        ("a[c-replay-t2]", "a[c-replay]"),
        ("a[p-t2-c-t2]", "a[p-t2-c]"),
        ("a[c-t2-p]", "a[c-p]"),
        ("a[c-t2-p-c-t2]", "a[c-t2-p-c]"),
        ("a[other]", "a[other]"),
    ],
)
def test_an_id_without_its_trial(name: str, bare: str) -> None:
    assert without_trial({"id": name, "case": "c", "backend": "replay", "trial": 2}) == bare


@pytest.mark.parametrize(
    ("scores", "bar", "verdict"), [([1, 0], 0.5, "pass"), ([1, 0], 0.51, "fail"), ([0.1, 0.2, 0.3], 0.2, "pass")]
)
def test_without_trials_the_mean_meets_the_gate_or_not(scores: list[float], bar: float, verdict: str) -> None:
    cases = {str(number): [score] for number, score in enumerate(scores)}
    assert row_of(cases, gate=bar)["gate"] == {"bar": bar, "verdict": verdict}


@pytest.mark.parametrize(("passed", "verdict"), [(20, "pass"), (12, "undecided"), (2, "fail")])
def test_with_trials_a_gate_has_three_verdicts(passed: int, verdict: str) -> None:
    cases = {str(number): [number < passed] * 3 for number in range(20)}
    assert row_of(cases, gate=0.6)["gate"] == {"bar": 0.6, "verdict": verdict}


def test_a_gate_over_nothing_scored_has_no_verdict() -> None:
    assert row_of({"a": [None]}, gate=0.5)["gate"] == {"bar": 0.5, "verdict": None}
    assert row_of({"a": [True]})["gate"] is None


def test_backends_have_a_row_each() -> None:
    rows = eval_figures(items_of({"a": [True]}, backend="b2") + items_of({"a": [False]}, backend="b1"))
    assert [(row["backend"], row["score"]) for row in rows] == [("b1", 0.0), ("b2", 1.0)]


def test_a_row_costs_its_runs_and_its_judge_and_is_unknown_with_one_of_them() -> None:
    def usage(cost: float | None) -> dict[str, Any]:
        return {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "cost": cost}

    run = {"file": "e.py", "agent": "a", "case": "a", "backend": "replay", "trial": 1, "usage": usage(0.5)}
    judge = {"model": "gpt", "usage": usage(0.25)}
    row = row_of({"a": [True], "b": [True]}, run=run, judge=judge)
    assert row["usage"] == {"input_tokens": 3, "output_tokens": 6, "cached_tokens": 0, "cost": 1.0}, (
        "one run, two verdicts"
    )
    assert row["judge"] == "gpt"
    assert row_of({"a": [True]}, run=run, judge={"model": "gpt", "usage": usage(None)})["usage"]["cost"] is None


_SCORES = st.one_of(st.none(), st.booleans(), st.floats(0, 1))


@given(
    cases=st.dictionaries(st.sampled_from("abcdef"), st.lists(_SCORES, min_size=1, max_size=4), min_size=1),
    seed=st.randoms(use_true_random=False),
)
def test_the_order_of_arrival_does_not_matter(cases: dict[str, list[Any]], seed: Any) -> None:
    items = items_of(cases, gate=0.5)
    shuffled = list(items)
    seed.shuffle(shuffled)
    assert eval_figures(items) == eval_figures(shuffled)


def test_the_regression_benchmark_names_its_trials_as_the_plugin_does() -> None:
    """Else its comparison splits every case in two, and catches less than a session would."""
    items = [regression.item("amount", "case-1", trial, 1.0) for trial in range(1, regression.TRIALS + 1)]
    assert {without_trial(item) for item in items} == {"eval_amount[case-1]"}
