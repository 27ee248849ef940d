"""The statistics of trials and baselines: rates, intervals, and what a difference is worth. Standard library only.

Everything random is drawn from a generator with a fixed seed over sorted values, so that the same scores give the same
figures whoever computed them and in whatever order they came.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Literal

from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Verdict = Literal["pass", "fail", "undecided"]

CONFIDENCE = 0.95
_SEED = 20_240_617
_RESAMPLES = 4_000
_FLIPS = 10_000
_EXACT_UP_TO = 13  # differences: 2**13 sign patterns are fewer than _FLIPS
_CHUNK = 8  # differences whose sign patterns are added up in advance


class Interval(Record):
    """A confidence interval, both ends included."""

    low: float
    high: float


def pass_at_k(trials: int, passed: int, k: int) -> float:
    """The chance that at least one of `k` trials passes, estimated without bias from `trials` of which `passed` did.

    1 − C(trials − passed, k) / C(trials, k): M. Chen et al., "Evaluating Large Language Models Trained on Code",
    2021, equation 1 (arXiv:2107.03374).
    """
    _check_trials(trials, passed, k)
    return 1 - math.comb(trials - passed, k) / math.comb(trials, k)


def pass_hat_k(trials: int, passed: int, k: int) -> float:
    """The chance that all of `k` trials pass (pass^k), estimated without bias.

    C(passed, k) / C(trials, k): S. Yao et al., "τ-bench", 2024, section 3 (arXiv:2406.12045).
    """
    _check_trials(trials, passed, k)
    return math.comb(passed, k) / math.comb(trials, k)


def binomial_interval(trials: int, passed: int, confidence: float = CONFIDENCE) -> Interval:
    """The exact interval of a rate: C. J. Clopper and E. S. Pearson, Biometrika 26, 1934."""
    _check_trials(trials, passed, 1)
    tail = (1 - confidence) / 2
    low = 0.0 if passed == 0 else _root(lambda rate: tail - (1 - _binomial_cdf(passed - 1, trials, rate)))
    high = 1.0 if passed == trials else _root(lambda rate: _binomial_cdf(passed, trials, rate) - tail)
    return Interval(low, high)


def mean_interval(cases: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of the mean score; each inner sequence holds the trials of one case, scores from 0 to 1.

    Several cases: the percentile bootstrap that draws whole cases, because trials of one case resemble each other
    (B. Efron and R. Tibshirani, "An Introduction to the Bootstrap", 1993, chapters 8 and 13). One case: the exact
    interval of its rate when every trial is 0 or 1, else the same bootstrap over its trials.

    Where every score is 1 (or 0) a bootstrap would be sure of it after two cases. Then the interval is the exact one
    for as many trials as there are cases, which holds for any scores from 0 to 1: if their mean is m, a score of 1 has
    at most the probability m.

    None for a single score that is neither 0 nor 1: one value has no interval.
    """
    known = sorted(sorted(case) for case in cases if case)
    units = [math.fsum(case) / len(case) for case in known] if len(known) > 1 else [*known[0]] if known else []
    if not units:
        raise ValueError("no scores: there is nothing to make an interval of")
    if set(units) <= {0.0, 1.0} and (len(known) == 1 or len(set(units)) == 1):
        return binomial_interval(len(units), int(sum(units)), confidence)
    return None if len(units) == 1 else _bootstrap(units, confidence)


def difference_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The bootstrap interval of a mean of paired differences, one a case; None for a single one."""
    return _bootstrap(sorted(differences), confidence) if len(differences) > 1 else None


def drop_p(differences: Sequence[float]) -> float:
    """The one-sided p of a drop: how often chance alone gives a mean difference (now − before) as low as this one.

    Sign-flip permutation test: if nothing changed, each difference is as likely to have the other sign (R. A. Fisher,
    "The Design of Experiments", 1935, section 21). Exact up to 13 cases; beyond, 10,000 random sign patterns, with the
    observed one counted among them (B. Phipson and G. K. Smyth, 2010, equation 2).
    """
    values = sorted(difference for difference in differences if difference)
    if not values:
        return 1.0
    tables = [_signed_sums(values[at : at + _CHUNK]) for at in range(0, len(values), _CHUNK)]
    observed = math.fsum(values) + 1e-9  # sums in another order
    if len(values) <= _EXACT_UP_TO:
        patterns = range(2 ** len(values))
        return sum(_sum_of(tables, pattern) <= observed for pattern in patterns) / len(patterns)
    draw = random.Random(_SEED).getrandbits  # noqa: S311  # a fixed seed is the point
    hits = sum(_sum_of(tables, draw(len(values))) <= observed for _ in range(_FLIPS))
    return (hits + 1) / (_FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several, in the given order: S. Holm, Scandinavian J. of Statistics 6, 1979."""
    order = sorted(range(len(p_values)), key=lambda index: (p_values[index], index))
    adjusted, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted


def gate_verdict(interval: Interval, bar: float) -> Verdict:
    """Above the bar, below it, or undecided: the interval holds it."""
    if interval.low >= bar:
        return "pass"
    return "fail" if interval.high < bar else "undecided"


def best_possible(cases: int, trials: int) -> float:
    """The lower end of the interval when everything passes: a bar above it can never be met."""
    interval = mean_interval([[1.0] * trials] * cases)
    assert interval is not None, "ones have an interval"  # noqa: S101  # for the type checker
    return interval.low


def _check_trials(trials: int, passed: int, k: int) -> None:
    if not 0 <= passed <= trials or not 1 <= k <= trials:
        raise ValueError(f"{passed} of {trials} trials, k={k}: needs 0 <= passed <= trials and 1 <= k <= trials")


def _binomial_cdf(up_to: int, trials: int, rate: float) -> float:
    """P(X <= up_to); terms by their logarithms, which do not vanish for thousands of trials."""
    if rate <= 0:
        return 1.0
    if rate >= 1:
        return 1.0 if up_to >= trials else 0.0
    log_rate, log_rest = math.log(rate), math.log1p(-rate)
    ways = math.lgamma(trials + 1)
    return min(
        1.0,
        math.fsum(
            math.exp(ways - math.lgamma(x + 1) - math.lgamma(trials - x + 1) + x * log_rate + (trials - x) * log_rest)
            for x in range(up_to + 1)
        ),
    )


def _root(falling: Callable[[float], float]) -> float:
    """Where a function that falls from positive to negative between 0 and 1 is zero."""
    low, high = 0.0, 1.0
    for _ in range(60):  # to the last bits of a double
        middle = (low + high) / 2
        low, high = (middle, high) if falling(middle) > 0 else (low, middle)
    return (low + high) / 2


def _bootstrap(units: list[float], confidence: float) -> Interval:
    draw = random.Random(_SEED).choices  # noqa: S311  # a fixed seed is the point
    count = len(units)
    means = sorted(math.fsum(draw(units, k=count)) / count for _ in range(_RESAMPLES))
    cut = round((1 - confidence) / 2 * _RESAMPLES)
    return Interval(means[cut], means[_RESAMPLES - 1 - cut])


def _signed_sums(values: Sequence[float]) -> list[float]:
    """The sum of the values for every pattern of signs; bit i of the index turns value i round."""
    sums = [math.fsum(values)]
    for value in values:
        sums += [each - 2 * value for each in sums]
    return sums


def _sum_of(tables: list[list[float]], pattern: int) -> float:
    total = 0.0
    for table in tables:
        total += table[pattern % len(table)]
        pattern //= len(table)
    return total
