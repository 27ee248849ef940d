"""Grading what an eval returned."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import looplet.evals
from looplet.evals.score import EvalResult, InvalidScore, grade, uses_assert


@pytest.mark.parametrize(
    ("value", "score", "passed"),
    [
        (True, 1.0, True),
        (False, 0.0, False),
        (0, 0.0, None),
        (1, 1.0, None),
        (0.25, 0.25, None),
        (Fraction(1, 2), 0.5, None),
        ("pass", None, True),
        (" Correct ", None, True),
        ("no", None, False),
        ("polite", None, None),
        ({"score": 0.0, "f1": 0.9}, 0.0, None),
        ({"score": 0.0}, 0.0, None),
        ({"f1": 0.9}, None, None),
        ({"score": False}, 0.0, False),
        ({"label": "incorrect", "score": 0.9}, 0.9, False),
        (EvalResult(score=0.5), 0.5, None),
        (EvalResult(label="yes"), None, True),
    ],
)
def test_each_kind_of_value_has_a_score_and_a_verdict(value: Any, score: float | None, passed: bool | None) -> None:
    graded = grade(value, name="eval_x")
    assert (graded.result.score, graded.passed) == (score, passed)


def test_a_dict_is_metrics_and_details() -> None:
    result = grade({"score": 0.5, "tokens": 1200, "note": "x", "reason": "half"}, name="eval_x").result
    assert result == EvalResult(0.5, None, {"tokens": 1200.0}, "half", {"note": "x"})


@pytest.mark.parametrize("value", [0.4, {"score": 0.4}, EvalResult(score=0.4)])
def test_a_threshold_decides_about_numbers_only(value: Any) -> None:
    assert grade(value, name="eval_x", threshold=0.4).passed is True
    assert grade(value, name="eval_x", threshold=0.41).passed is False
    assert grade("fail", name="eval_x", threshold=0.0).passed is False
    assert grade("polite", name="eval_x", threshold=0.9).passed is None
    assert grade(True, name="eval_x", threshold=0.9).passed is True


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (float("nan"), "eval_x returned nan; a score must be a finite number"),
        (float("-inf"), "eval_x returned -inf; a score must be a finite number"),
        (1.01, "eval_x returned 1.01; a score is a number from 0 to 1"),
        (-1, "eval_x returned -1; a score is a number from 0 to 1"),
        ([0.5], "eval_x returned list [0.5]; return a bool, a number from 0 to 1"),
        ({"f1": float("nan")}, "eval_x returned f1=nan; a score must be a finite number"),
        ({"score": "high"}, "eval_x returned str 'high'"),
        (None, "eval_x returned nothing; return a score or assert"),
        ({}, "eval_x returned dict without a score, a label or a metric"),
        ("", "eval_x returned str without a score, a label or a metric"),
        (EvalResult(reason="silence"), "eval_x returned EvalResult without a score, a label or a metric"),
        (EvalResult(score=1, metrics={"f1": float("nan")}), "eval_x returned f1=nan; a score must be a finite number"),
        (EvalResult(score=1, metrics={"f1": "high"}), "eval_x returned the metric f1='high'; a metric is"),  # type: ignore[dict-item]
        (EvalResult(score=1, metrics=[0.5]), "eval_x returned metrics=[0.5]; give a dict of numbers"),  # type: ignore[arg-type]
        (10**400, "eval_x returned 1000"),
        pytest.param(10**5000, "eval_x returned a number of thousands of digits; a score must", id="huge"),
    ],
)
def test_what_is_no_score_is_an_error_that_names_the_eval(value: Any, said: str) -> None:
    with pytest.raises(InvalidScore) as caught:
        grade(value, name="eval_x")
    assert str(caught.value).startswith(said)


def test_a_gate_does_not_count_as_good_what_its_label_calls_bad() -> None:
    with pytest.raises(InvalidScore, match=r"^eval_x returned the label 'fail', which fails, with the score 0\.95"):
        grade({"label": "fail", "score": 0.95}, name="eval_x", gate=0.9)
    assert grade({"label": "fail", "score": 0.2}, name="eval_x", gate=0.9).passed is False
    assert grade(False, name="eval_x", gate=0.0).passed is False


def test_a_threshold_needs_a_score() -> None:
    with pytest.raises(InvalidScore, match=r"^eval_x has a threshold of 0\.5 and returned no score"):
        grade({"f1": 0.9}, name="eval_x", threshold=0.5)


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text() | st.just("score"), inner),
        max_leaves=6,
    )
)
def test_grading_gives_a_score_in_range_or_says_why_not(value: Any) -> None:
    try:
        graded = grade(value, name="eval_x")
    except InvalidScore as error:
        assert str(error).startswith("eval_x returned ")  # noqa: PT017  # either outcome is lawful
    else:
        assert graded.result.score is None or 0 <= graded.result.score <= 1


def _asserts(run: Any) -> None:
    for step in run:
        assert step


def _asserts_by_call(run: Any) -> None:
    with pytest.raises(KeyError):
        run["x"]


def _returns_nothing(run: Any) -> None:
    len(run)


def test_returning_nothing_is_fine_where_the_source_asserts() -> None:
    assert uses_assert(_asserts)
    assert uses_assert(_asserts_by_call)
    assert not uses_assert(_returns_nothing)
    assert not uses_assert(len), "without source the eval must return a score"
    assert grade(None, name="eval_x", asserts=True).passed is True


def test_words_of_a_result_are_texts_whatever_the_eval_put_there() -> None:
    result = grade(EvalResult(score=1, label=3, reason=5), name="eval_x").result  # type: ignore[arg-type]
    assert (result.label, result.reason) == ("3", "5")


def test_the_modules_of_evals_are_attributes_of_the_package() -> None:
    code = "import looplet.evals as e; assert e.match.tools_match is e.tools_match; assert e.judge.Judge is e.Judge"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert {"Judge", "tools_match", "case"} <= set(dir(looplet.evals))
    with pytest.raises(AttributeError, match=r"looplet\.evals' has no attribute 'nope'"):
        looplet.evals.nope  # type: ignore[attr-defined]  # noqa: B018
