"""Quantiles of the beta distribution and of Student's t, which the standard library does not have."""

from __future__ import annotations

import math

_TINY = 1e-300  # stands in for a zero that would be divided by
_ENOUGH = 1e-15
_MOST_TERMS = 20_000


def beta_quantile(probability: float, a: float, b: float) -> float:
    """Where the distribution function of Beta(a, b) reaches `probability`."""
    low, high = 0.0, 1.0
    for _ in range(60):  # to the last bits of a double
        middle = (low + high) / 2
        low, high = (middle, high) if beta_cdf(middle, a, b) < probability else (low, middle)
    return (low + high) / 2


def t_quantile(probability: float, freedom: float) -> float:
    """The quantile of Student's t, for a probability above one half.

    freedom / (freedom + t²) follows Beta(freedom / 2, 1 / 2).
    """
    x = beta_quantile(2 * (1 - probability), freedom / 2, 0.5)
    return math.sqrt(freedom * (1 - x) / x)


def beta_cdf(x: float, a: float, b: float) -> float:
    """The regularised incomplete beta function, by its continued fraction (NIST DLMF 8.17.22, Lentz's method)."""
    if x <= 0 or x >= 1:
        return float(x >= 1)
    if x > (a + 1) / (a + b + 2):  # where the fraction converges slowly, its mirror image converges fast
        return 1 - beta_cdf(1 - x, b, a)
    front = math.exp(
        math.lgamma(a + b) - math.lgamma(a) - math.lgamma(b) + a * math.log(x) + b * math.log1p(-x) - math.log(a)
    )
    return min(1.0, front / _fraction(x, a, b))


def _fraction(x: float, a: float, b: float) -> float:
    above = value = 1.0
    below = 0.0
    for term in range(1, _MOST_TERMS):
        factor = _coefficient(term, a, b) * x
        below = 1 / ((1 + factor * below) or _TINY)
        above = (1 + factor / above) or _TINY
        value *= above * below
        if abs(above * below - 1) < _ENOUGH:
            break
    return value


def _coefficient(term: int, a: float, b: float) -> float:
    m = term // 2
    if term % 2:
        return -(a + m) * (a + b + m) / ((a + 2 * m) * (a + 2 * m + 1))
    return m * (b - m) / ((a + 2 * m - 1) * (a + 2 * m))
