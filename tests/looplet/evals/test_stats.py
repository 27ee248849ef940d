"""Rates, intervals and p-values: against published values, scipy, and what they promise."""

from __future__ import annotations

import math
from itertools import combinations, product
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats
from tests.support.strategies import patient

from looplet.evals._beta import beta_cdf, t_quantile
from looplet.evals.stats import (
    Interval,
    best_possible,
    binomial_interval,
    difference_interval,
    drop_p,
    gate_verdict,
    holm,
    mean_interval,
    pass_at_k,
    pass_hat_k,
    passes_needed,
)

if TYPE_CHECKING:
    import random

SCORES = st.integers(0, 10).map(lambda tenths: tenths / 10)
CASES = st.sampled_from([SCORES, st.sampled_from([0.0, 1.0])]).flatmap(
    lambda scores: st.lists(st.lists(scores, min_size=1, max_size=4), min_size=1, max_size=12)
)
DIFFERENCES = st.lists(st.integers(-10, 10).map(lambda tenths: tenths / 10), max_size=16)


def ends(interval: Interval | None) -> list[float]:
    assert interval is not None
    return [interval.low, interval.high]


@pytest.mark.parametrize(("trials", "passed", "k"), [(200, 13, 1), (200, 13, 10), (200, 13, 100), (5, 2, 3), (3, 3, 2)])
def test_pass_at_k_is_the_product_that_humaneval_published(trials: int, passed: int, k: int) -> None:
    """The numerically stable form of figure 3 there: 1 − ∏ (1 − k / i) for i from trials − passed + 1 to trials."""
    factors = [1 - k / i for i in range(trials - passed + 1, trials + 1)]
    published = 1.0 if trials - passed < k else 1 - math.prod(factors)
    assert pass_at_k(trials, passed, k) == pytest.approx(published, abs=1e-12)


@pytest.mark.parametrize("trials", [1, 2, 5, 7])
def test_pass_at_k_and_pass_hat_k_count_the_draws_of_k_trials(trials: int) -> None:
    for passed, k in product(range(trials + 1), range(1, trials + 1)):
        draws = list(combinations(range(trials), k))  # the first `passed` trials passed
        some = sum(any(trial < passed for trial in draw) for draw in draws)
        every = sum(all(trial < passed for trial in draw) for draw in draws)
        assert pass_at_k(trials, passed, k) == pytest.approx(some / len(draws))
        assert pass_hat_k(trials, passed, k) == pytest.approx(every / len(draws))


def test_pass_hat_k_by_hand() -> None:
    """Of the six pairs of four trials, three hold no failure when three trials passed."""
    assert pass_hat_k(4, 3, 2) == 0.5
    assert pass_hat_k(2, 1, 1) == pass_at_k(2, 1, 1) == 0.5


@pytest.mark.parametrize(("trials", "passed", "k"), [(0, 0, 1), (3, 4, 1), (3, -1, 1), (3, 1, 4), (3, 1, 0)])
def test_impossible_trials_are_refused(trials: int, passed: int, k: int) -> None:
    said = f"{passed} of {trials} trials, k={k}: needs 0 <= passed <= trials and 1 <= k <= trials"
    for formula in (pass_at_k, pass_hat_k):
        with pytest.raises(ValueError, match=said):
            formula(trials, passed, k)


@pytest.mark.parametrize(
    ("passed", "trials", "low", "high"),
    [
        (0, 10, 0.0, 0.3085),  # the tables of Clopper and Pearson, as textbooks print them
        (8, 10, 0.4439, 0.9748),
        (3, 20, 0.0321, 0.3789),
        (20, 20, 0.8316, 1.0),
        (42, 100, 0.3220, 0.5229),
        (682, 925, 0.7077, 0.7654),  # Mendel's peas, the example of R's binom.test
    ],
)
def test_the_exact_interval_has_the_published_ends(passed: int, trials: int, low: float, high: float) -> None:
    assert ends(binomial_interval(trials, passed)) == pytest.approx([low, high], abs=5.1e-5)


@pytest.mark.parametrize("trials", [1, 2, 5, 30, 200, 2000])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_exact_interval_is_that_of_scipy(trials: int, confidence: float) -> None:
    for passed in {0, 1, trials // 3, trials // 2, trials - 1, trials}:
        expected = scipy_stats.binomtest(passed, trials).proportion_ci(confidence, method="exact")
        assert ends(binomial_interval(trials, passed, confidence)) == pytest.approx([expected.low, expected.high])


@pytest.mark.parametrize(("a", "b"), [(0.5, 0.5), (1, 1), (2, 30), (500.3, 0.5), (2000, 3), (1e5, 2e5), (3.7, 1e4)])
def test_the_beta_distribution_is_that_of_scipy(a: float, b: float) -> None:
    for x in (0.0, 1e-6, 0.01, 0.2, 0.5, 0.7, 0.99, 0.999999, 1.0, a / (a + b)):
        assert beta_cdf(x, a, b) == pytest.approx(scipy_stats.beta.cdf(x, a, b), abs=1e-9)


@pytest.mark.parametrize("freedom", [1, 2, 4, 9, 49, 1999])
def test_the_t_distribution_is_that_of_scipy(freedom: int) -> None:
    assert t_quantile(0.975, freedom) == pytest.approx(scipy_stats.t.ppf(0.975, freedom))


@patient
@given(st.lists(st.booleans(), min_size=1, max_size=60))
def test_one_trial_a_case_has_the_exact_interval_of_its_rate(passed: list[bool]) -> None:
    interval = mean_interval([[float(each)] for each in passed])
    assert ends(interval) == pytest.approx(ends(binomial_interval(len(passed), sum(passed))))


def test_the_trials_of_a_single_case_have_the_exact_interval_of_its_rate() -> None:
    assert ends(mean_interval([[1.0, 1.0, 0.0, 1.0]])) == pytest.approx(ends(binomial_interval(4, 3)))


def test_trials_that_always_agree_with_their_case_count_once() -> None:
    assert mean_interval([[1.0] * 9, [0.0] * 9, [1.0] * 9]) == mean_interval([[1.0], [0.0], [1.0]])


def test_trials_that_differ_within_their_case_narrow_the_interval() -> None:
    steady, mixed = mean_interval([[1.0] * 4, [0.0] * 4] * 10), mean_interval([[1.0, 0.0, 1.0, 0.0]] * 20)
    assert steady.low < mixed.low < 0.5 < mixed.high < steady.high


def test_passes_and_failures_are_never_worth_more_than_there_are() -> None:
    """Cases that happen to pass equally often are no more certain than as many single trials."""
    alike = mean_interval([[1.0, 1.0, 1.0, 0.0]] * 20)
    assert ends(alike) == pytest.approx(ends(binomial_interval(80, 60)))
    graded = mean_interval([[0.75]] * 20)
    assert alike.low < graded.low < 0.75 < graded.high < alike.high


def test_a_case_without_scores_does_not_count() -> None:
    assert mean_interval([[1.0], [], [0.0]]) == mean_interval([[1.0], [0.0]])
    with pytest.raises(ValueError, match="no scores: there is nothing to make an interval of"):
        mean_interval([[], []])


@patient
@given(CASES.filter(lambda cases: len(cases) > 1))
def test_the_interval_of_the_mean_is_the_exact_one_of_as_many_as_the_means_are_worth(cases: list[list[float]]) -> None:
    """The formulas of its docstring, by numpy and scipy."""
    means = np.array([np.mean(case) for case in cases])
    padded, weights = np.append(means, [0, 1]), np.append(np.ones(len(means)), [0.5, 0.5])
    center = np.average(padded, weights=weights)
    count = len(means) * center * (1 - center) / np.average((padded - center) ** 2, weights=weights)
    if all(score in (0, 1) for case in cases for score in case):
        count = min(count, sum(map(len, cases)))
    passes, failures = count * means.mean(), count * (1 - means.mean())
    low = scipy_stats.beta.ppf(0.025, passes, failures + 1) if passes > 1e-9 else 0.0
    high = scipy_stats.beta.ppf(0.975, passes + 1, failures) if failures > 1e-9 else 1.0
    perfect = 0.025 ** (1 / len(means))
    assert ends(mean_interval(cases)) == pytest.approx([min(low, perfect), max(high, 1 - perfect)], abs=1e-6)


@patient
@given(CASES, st.randoms(use_true_random=False))
def test_the_interval_of_the_mean_holds_it_and_does_not_depend_on_order(
    cases: list[list[float]], chance: random.Random
) -> None:
    interval = mean_interval(cases)
    shuffled = [chance.sample(case, len(case)) for case in chance.sample(cases, len(cases))]
    assert mean_interval(shuffled) == interval
    mean = math.fsum(math.fsum(case) / len(case) for case in cases) / len(cases)
    assert 0 <= interval.low <= mean + 1e-12
    assert mean - 1e-12 <= interval.high <= 1


@patient
@given(CASES)
def test_failures_turned_into_passes_turn_the_interval_round(cases: list[list[float]]) -> None:
    interval, other = mean_interval(cases), mean_interval([[1 - score for score in case] for case in cases])
    assert ends(other) == pytest.approx([1 - interval.high, 1 - interval.low])


@patient
@given(CASES)
def test_no_scores_are_better_than_the_best_possible(cases: list[list[float]]) -> None:
    assert mean_interval(cases).low <= best_possible(len(cases), max(map(len, cases)))


@pytest.mark.parametrize(
    ("cases", "rate", "alike"),
    [(5, 0.8, 0.3), (10, 0.5, 0.0), (10, 0.8, 0.3), (30, 0.95, 0.7), (50, 0.95, 0.3)],
)
def test_the_interval_of_the_mean_covers_it_as_often_as_it_says(cases: int, rate: float, alike: float) -> None:
    """400 simulated suites of five trials; the percentile bootstrap covers 83 to 91 % of these."""
    chance = np.random.default_rng(7)
    held = 0
    for _ in range(400):
        weight = (1 - alike) / alike if alike else None
        rates = chance.beta(rate * weight, (1 - rate) * weight, cases) if weight else np.full(cases, rate)
        interval = mean_interval((chance.random((cases, 5)) < rates[:, None]).astype(float).tolist())
        held += interval.low <= rate <= interval.high
    assert held / 400 >= 0.93


def test_a_bar_that_cannot_be_met_is_known_before_and_so_is_what_would_do() -> None:
    assert best_possible(10, 5) == pytest.approx(0.6915, abs=1e-4)
    assert best_possible(10, 500) == best_possible(10, 5)  # more trials say nothing about other cases
    assert best_possible(1, 500) > 0.99
    assert [passes_needed(bar) for bar in (0.0, 0.5, 0.9, 0.95)] == [1, 6, 36, 72]
    assert passes_needed(1.0) is None


@pytest.mark.parametrize("bar", [0.01, 0.3, 0.75, 0.9, 0.999])
def test_the_passes_needed_are_the_fewest(bar: float) -> None:
    needed = passes_needed(bar)
    assert needed is not None
    assert best_possible(needed, 1) >= bar
    assert needed == 1 or best_possible(needed - 1, 1) < bar


def test_a_gate_has_three_verdicts() -> None:
    interval = Interval(0.6, 0.8)
    assert [gate_verdict(interval, bar) for bar in (0.59, 0.6, 0.61, 0.8, 0.81)] == [
        "pass",
        "pass",
        "undecided",
        "undecided",
        "fail",
    ]


@pytest.mark.parametrize("count", [8, 30, 200])
def test_the_interval_of_a_difference_is_scipys_bootstrap_at_the_widened_confidence(count: int) -> None:
    chance = np.random.default_rng(count)
    differences = chance.choice([-0.4, -0.2, 0.0, 0.0, 0.2], count)
    t = scipy_stats.t.ppf(0.975, count - 1)
    confidence = 1 - 2 * scipy_stats.norm.cdf(-t * math.sqrt(count / (count - 1)))
    expected = scipy_stats.bootstrap(
        (differences,), np.mean, confidence_level=confidence, method="percentile", n_resamples=20_000, rng=chance
    ).confidence_interval
    noise = 0.15 * differences.std() / math.sqrt(count) + 1 / (5 * count)  # of 2,000 resamples; the means are steps
    assert ends(difference_interval(differences.tolist())) == pytest.approx([expected.low, expected.high], abs=noise)


def test_few_differences_have_a_wider_interval_than_a_plain_bootstrap() -> None:
    differences = [-0.31, -0.17, -0.08, -0.02, 0.04, 0.11, 0.15, 0.33]
    plain = scipy_stats.bootstrap((differences,), np.mean, method="percentile", rng=5).confidence_interval
    low, high = ends(difference_interval(differences))
    assert (high - low) / (plain.high - plain.low) == pytest.approx(2.528 / 1.96, rel=0.03)  # √(8/7) t₇ and z at 97.5 %


def test_what_there_is_too_little_of_or_no_spread_in() -> None:
    assert difference_interval([-0.2, 0.0]) == Interval(-0.2, 0.0)
    assert difference_interval([0.3]) is None
    assert difference_interval([]) is None
    assert difference_interval([0.0] * 9) == Interval(0.0, 0.0)


@patient
@given(DIFFERENCES, st.randoms(use_true_random=False))
def test_what_is_said_of_a_difference_does_not_depend_on_order(differences: list[float], chance: random.Random) -> None:
    shuffled = chance.sample(differences, len(differences))
    assert drop_p(shuffled) == drop_p(differences)
    assert difference_interval(shuffled) == difference_interval(differences)


@patient
@given(st.lists(st.integers(-5, 5), min_size=1, max_size=9))
def test_the_p_of_a_drop_is_the_share_of_sign_patterns_as_low(differences: list[int]) -> None:
    sums = [sum(map(int.__mul__, differences, signs)) for signs in product((-1, 1), repeat=len(differences))]
    assert drop_p([each / 5 for each in differences]) == sum(total <= sum(differences) for total in sums) / len(sums)


@pytest.mark.parametrize("count", [5, 9, 12, 13])
def test_the_p_of_few_differences_is_that_of_scipy(count: int) -> None:
    differences = np.random.default_rng(count).normal(-0.1, 0.3, count)
    expected = scipy_stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="less", n_resamples=np.inf
    )
    assert drop_p(differences.tolist()) == pytest.approx(expected.pvalue, abs=1e-9)


@pytest.mark.parametrize("count", [14, 50, 300])
def test_the_p_of_many_differences_is_that_of_scipy_but_for_chance(count: int) -> None:
    chance = np.random.default_rng(count)
    differences = chance.normal(-1 / math.sqrt(count), 1, count)
    expected = scipy_stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", alternative="less", n_resamples=20_000, rng=chance
    ).pvalue
    noise = 4 * math.sqrt(expected * (1 - expected) * (1 / 10_000 + 1 / 20_000))
    assert drop_p(differences.tolist()) == pytest.approx(expected, abs=noise)


def test_darwins_maize_has_fishers_p() -> None:
    """R. A. Fisher, "The Design of Experiments", section 21: 863 of 32,768 sign patterns reach 314 eighths of an inch.

    Of 15 differences the patterns are drawn, not all counted.
    """
    eighths = [49, -67, 8, 16, 6, 23, 28, 41, 14, 29, 56, 24, 75, 60, -48]
    assert drop_p([-each for each in eighths]) == pytest.approx(863 / 32_768, abs=0.006)


def test_nothing_that_differs_is_no_drop() -> None:
    assert drop_p([]) == drop_p([0.0, 0.0]) == drop_p([0.5, 0.5]) == 1.0
    assert drop_p([-0.1]) == 0.5
    assert drop_p([-0.1] * 5 + [0.0] * 90) == 1 / 32
    assert drop_p([-1.0] * 100) == 1 / 10_001  # never 0


@pytest.mark.parametrize(
    ("given_p", "adjusted"),
    [
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),  # the usual example of the Holm-Bonferroni method
        ([0.01, 0.04, 0.20, 0.03, 0.005, 0.07], [0.05, 0.12, 0.20, 0.12, 0.03, 0.14]),  # R: p.adjust(p, "holm")
        ([0.02, 0.02], [0.04, 0.04]),
        ([0.6, 0.9], [1.0, 1.0]),
        ([0.2], [0.2]),
        ([], []),
    ],
)
def test_holms_adjustment(given_p: list[float], adjusted: list[float]) -> None:
    assert holm(given_p) == pytest.approx(adjusted)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8), st.randoms(use_true_random=False))
def test_holm_keeps_the_ranking_and_is_between_p_and_bonferroni(values: list[float], chance: random.Random) -> None:
    adjusted = holm(values)
    for p, each in zip(values, adjusted, strict=True):
        assert p <= each <= min(1.0, p * len(values))
    order = chance.sample(range(len(values)), len(values))
    assert holm([values[at] for at in order]) == [adjusted[at] for at in order]
