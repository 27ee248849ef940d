"""The statistics of trials and baselines: rates, intervals, and what a difference is worth. Standard library only.

Whatever is drawn at random is drawn with a fixed seed from sorted values, and sums are exact, so that the same scores
give the same figures whoever computed them and in whatever order they came.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING, Literal

from looplet._record import Record
from looplet.evals._beta import beta_quantile, t_quantile

if TYPE_CHECKING:
    from collections.abc import Sequence

Verdict = Literal["pass", "fail", "undecided"]

CONFIDENCE = 0.95
_SEED = 20_240_617
_RESAMPLES = 2_000
_FLIPS = 10_000
_EXACT_UP_TO = 13  # differences: 2**13 sign patterns are fewer than _FLIPS
_CHUNK = 8  # differences whose sign patterns are added up in advance: one byte of a pattern


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
    return _exact(trials, passed, confidence)


def mean_interval(cases: Sequence[Sequence[float]], confidence: float = CONFIDENCE) -> Interval:
    """The interval of the mean score; each inner sequence holds the trials of one case, scores from 0 to 1.

    Trials of one case resemble each other, so the cases are what is counted, each by its mean (a single case: its
    trials). Means that differ less than passes and failures would are worth more than one case each: they count as the
    number of passes and failures that would be as certain, and the interval is the exact one for that many
    (E. L. Korn and B. I. Graubard, Survey Methodology 24, 1998), but no more of them than there are trials that passed
    or failed. A few cases that happen to agree do not prove that all would: the spread is measured with half a case of
    0 and half a case of 1 added, and no scores exclude more than so many perfect (or hopeless) cases do.

    For one trial a case, passed or failed, this is `binomial_interval`. Why no bootstrap: docs/evals-statistics.md.
    """
    known = [case for case in cases if case]
    units = known[0] if len(known) == 1 else [math.fsum(case) / len(case) for case in known]
    if not units:
        raise ValueError("no scores: there is nothing to make an interval of")
    count, total = len(units), math.fsum(units)
    center = (total + 0.5) / (count + 1)
    squares = [(unit - center) ** 2 for unit in units]
    spread = math.fsum([*squares, center**2 / 2, (1 - center) ** 2 / 2]) / (count + 1)
    trials = [score for case in known for score in case]
    most = len(trials) / count if set(trials) <= {0, 1} else math.inf
    worth = min(max(1.0, center * (1 - center) / spread), most)  # 1 or more for scores from 0 to 1, but for rounding
    likely = _exact(count * worth, total * worth, confidence)
    perfect = _exact(count, count, confidence).low
    return Interval(min(likely.low, perfect), max(likely.high, 1 - perfect))


def difference_interval(differences: Sequence[float], confidence: float = CONFIDENCE) -> Interval | None:
    """The bootstrap interval of a mean of paired differences, one a case; None for a single one.

    The percentile interval, its percentiles widened as Student's t is wider than the normal distribution, without
    which it is too narrow for few cases (T. C. Hesterberg, The American Statistician 69, 2015, section 5.3).
    """
    count = len(differences)
    if count < 2:
        return None
    t = t_quantile(1 - (1 - confidence) / 2, count - 1)
    tail = math.erfc(math.sqrt(count / (count - 1)) * t / math.sqrt(2)) / 2  # of the normal distribution
    draw, values = random.Random(_SEED).choices, sorted(differences)  # noqa: S311  # a fixed seed is the point
    means = sorted(sum(draw(values, k=count)) / count for _ in range(_RESAMPLES))
    cut = round(tail * _RESAMPLES)
    return Interval(means[cut], means[_RESAMPLES - 1 - cut])


def drop_p(differences: Sequence[float]) -> float:
    """The one-sided p of a drop: how often chance alone gives a mean difference (now − before) as low as this one.

    Sign-flip permutation test: if nothing changed, each difference is as likely to have the other sign (R. A. Fisher,
    "The Design of Experiments", 1935, section 21). Exact up to 13 cases that differ; beyond, 10,000 random sign
    patterns, with the observed one counted among them (B. Phipson and G. K. Smyth, 2010, equation 2).
    """
    values = sorted(difference for difference in differences if difference)
    if not values:
        return 1.0
    observed = math.fsum(values) + 1e-9  # the sums of patterns are added in another order
    padded = values + [0.0] * (-len(values) % _CHUNK)
    tables = [_signed_sums(padded[at : at + _CHUNK]) for at in range(0, len(padded), _CHUNK)]
    if len(values) <= _EXACT_UP_TO:
        patterns = [number.to_bytes(len(tables), "little") for number in range(2 ** len(values))]
        return sum(_sum_of(tables, pattern) <= observed for pattern in patterns) / len(patterns)
    draw = random.Random(_SEED).randbytes  # noqa: S311  # a fixed seed is the point
    hits = sum(_sum_of(tables, draw(len(tables))) <= observed for _ in range(_FLIPS))
    return (hits + 1) / (_FLIPS + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """The p-values adjusted for being several, in the given order: S. Holm, Scandinavian J. of Statistics 6, 1979."""
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
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
    return mean_interval([[1.0] * trials] * cases).low


def passes_needed(bar: float, confidence: float = CONFIDENCE) -> int | None:
    """How many cases (of a single case: how many trials) must all pass for an interval above `bar`; None: no number.

    More trials of several cases do not lift that bound: they say nothing about the cases that are not there.
    """
    if bar >= 1:
        return None
    if bar <= 0:
        return 1
    needed = max(1, math.floor(math.log((1 - confidence) / 2) / math.log(bar)) - 1)  # where to start looking
    while _exact(needed, needed, confidence).low < bar:
        needed += 1
    return needed


def _check_trials(trials: int, passed: int, k: int) -> None:
    if not 0 <= passed <= trials or not 1 <= k <= trials:
        raise ValueError(f"{passed} of {trials} trials, k={k}: needs 0 <= passed <= trials and 1 <= k <= trials")


def _exact(trials: float, passed: float, confidence: float) -> Interval:
    """Clopper and Pearson's interval, by quantiles of the beta distribution, which need no whole numbers."""
    tail = (1 - confidence) / 2
    low = 0.0 if passed <= 0 else beta_quantile(tail, passed, trials - passed + 1)
    high = 1.0 if passed >= trials else 1 - beta_quantile(tail, trials - passed, passed + 1)
    return Interval(low, high)


def _signed_sums(values: Sequence[float]) -> list[float]:
    """The sum of the values for every pattern of signs; bit i of the index turns value i round."""
    sums = [math.fsum(values)]
    for value in values:
        sums += [each - 2 * value for each in sums]
    return sums


def _sum_of(tables: list[list[float]], pattern: bytes) -> float:
    return sum(map(list.__getitem__, tables, pattern))
