"""How often an interval holds the true mean of a suite: ours and the percentile bootstrap over cases.

python -m benchmarks.interval_coverage [--quick]

Needs numpy (it comes with the development tools), for a bootstrap that does not take all day.
"""

from __future__ import annotations

from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from benchmarks.timing import rounds_from_command_line

from looplet.evals.stats import Interval, mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable

    Scores = np.ndarray[tuple[int, int], np.dtype[np.float64]]

RATES, CASES = (0.5, 0.8, 0.95), (5, 10, 30, 50)
TRIALS_AND_ALIKE = ((1, 0.0), (5, 0.0), (5, 0.3), (5, 0.7))  # alike 0: cases are equally hard; 1: they always agree
RESAMPLES = 2_000
chance = np.random.default_rng(11)


def ours(scores: Scores) -> Interval:
    return mean_interval(scores.tolist())


def bootstrap(scores: Scores) -> Interval:
    """Where all cases agree, it too takes the exact interval: it would be sure after two cases otherwise."""
    means = scores.mean(1)
    if len(set(means.tolist())) == 1 and means[0] in (0, 1):
        return ours(means[:, None])
    resampled = chance.choice(means, (RESAMPLES, len(means))).mean(1)
    low, high = np.quantile(resampled, [0.025, 0.975])
    return Interval(float(low), float(high))


def suite(cases: int, trials: int, rate: float, alike: float) -> Scores:
    weight = (1 - alike) / alike if alike else None
    rates = chance.beta(rate * weight, (1 - rate) * weight, cases) if weight else np.full(cases, rate)
    scores: Scores = (chance.random((cases, trials)) < rates[:, None]).astype(float)
    return scores


def measured(make: Callable[[Scores], Interval], suites: list[Scores], rate: float) -> list[float]:
    """How often it holds the true rate, how often it lies above, and how wide it is."""
    found = [make(scores) for scores in suites]
    held = [each.low - 1e-9 <= rate <= each.high + 1e-9 for each in found]
    above = [each.low - 1e-9 > rate for each in found]
    return [float(np.mean(held)), float(np.mean(above)), float(np.mean([each.high - each.low for each in found]))]


def main() -> None:
    rounds = rounds_from_command_line(str(__doc__), full=1_000, quick=100)
    print(f"{'':30} {'ours: holds  above  width':>26} {'bootstrap: holds  above  width':>32}")
    rows = []
    for cases, (trials, alike), rate in product(CASES, TRIALS_AND_ALIKE, RATES):
        suites = [suite(cases, trials, rate, alike) for _ in range(rounds)]
        row = measured(ours, suites, rate) + measured(bootstrap, suites, rate)
        rows.append(row)
        show(f"{cases} cases × {trials}, {rate:g}, alike {alike:g}", row)
    table = np.array(rows)
    show("worst, worst, mean", [*summary(table[:, :3]), *summary(table[:, 3:])])


def summary(table: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> list[float]:
    return [float(table[:, 0].min()), float(table[:, 1].max()), float(table[:, 2].mean())]


def show(name: str, row: list[float]) -> None:
    cells = "   ".join(f"{held:13.1%} {above:6.1%} {width:6.2f}" for held, above, width in (row[:3], row[3:]))
    print(f"{name:28} {cells}")


if __name__ == "__main__":
    main()
