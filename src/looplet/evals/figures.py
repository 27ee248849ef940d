"""The figures of each eval and backend: its mean with an interval, its rates, what it cost, and what its gate says.

Cases weigh the same, however many trials each has; an error has no score and lowers nothing.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from looplet.evals.stats import gate_verdict, mean_interval, pass_at_k, pass_hat_k

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from looplet.evals.stats import Interval

Item = dict[str, Any]

OUTCOMES = ("pass", "fail", "error", "skip")
_ROUNDING = 1e-9  # a mean of exactly the bar meets it, whatever its last bit


def eval_figures(items: Iterable[Item]) -> list[dict[str, Any]]:
    """One row an eval and backend, in the order of their names."""
    groups: dict[tuple[str, str], list[Item]] = {}
    for item in items:
        groups.setdefault((item["eval"], item.get("backend") or ""), []).append(item)
    return [_row(group) for _, group in sorted(groups.items())]


def item_value(item: Item) -> float | None:
    """The score; of what has none, whether it passed. An error has neither, and a label may only inform."""
    if item["outcome"] not in ("pass", "fail"):
        return None
    if item["score"] is not None:
        return float(item["score"])
    if item["outcome"] == "fail" or item.get("passed") is False:
        return 0.0
    return 1.0 if item.get("passed") else None


def in_order(items: Iterable[Item]) -> list[Item]:
    """By id, and trials by their number, so that nothing depends on the order of arrival."""
    return sorted(items, key=lambda item: (without_trial(item), item.get("trial") or 1, str(item["id"])))


def by_case(items: Iterable[Item]) -> dict[str, list[Item]]:
    """The items of each case."""
    cases: dict[str, list[Item]] = {}
    for item in items:
        cases.setdefault(item.get("case") or item["id"], []).append(item)
    return dict(sorted(cases.items()))


def count_outcomes(items: Iterable[Item]) -> dict[str, int]:
    counts = dict.fromkeys(OUTCOMES, 0)
    for item in items:
        counts[item["outcome"]] += 1
    return counts


def total_usage(usages: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {
        field: sum(usage[field] for usage in usages) for field in ("input_tokens", "output_tokens", "cached_tokens")
    }
    # one unknown price makes the sum unknown: a partial sum reads like the whole. What spent nothing has no price
    costs = [usage["cost"] for usage in usages if usage["cost"] is not None or any(usage[field] for field in total)]
    return total | {"cost": None if not costs or None in costs else math.fsum(costs)}


def run_key(run: Mapping[str, Any]) -> tuple[str, str, str, str, int]:
    return run["file"], run["agent"], run["case"], run["backend"], run.get("trial", 1)


def judge_usages(items: Iterable[Item]) -> list[dict[str, Any]]:
    return [item["judge"]["usage"] for item in items if item.get("judge")]


def _row(items: list[Item]) -> dict[str, Any]:
    cases = _values(items, item_value)
    trials = max(int(item.get("trials") or 1) for item in items)
    interval = mean_interval(cases) if cases else None
    score = _mean([_mean(case) for case in cases]) if cases else None
    runs = {run_key(item["run"]): item["run"]["usage"] for item in items if item.get("run")}
    rates = _values(items, _passed)
    return {
        "eval": items[0]["eval"],
        "backend": items[0].get("backend"),
        "score": _rounded(score),
        "interval": None if interval is None else [_rounded(interval.low), _rounded(interval.high)],
        "pass_rate": _rounded(_mean([_mean(case) for case in rates])) if rates else None,
        "n_cases": len(cases),
        "n_trials": sum(map(_trials_scored, by_case(items).values())),
        **(_repeated(items, trials) if trials > 1 else {"pass_at_k": None, "pass_hat_k": None}),
        **count_outcomes(items),
        "gate": _gate(items, score, interval if trials > 1 else None),
        "baseline": None,
        "judge": ", ".join(sorted({item["judge"]["model"] for item in items if item.get("judge")})) or None,
        "usage": total_usage([*(runs[key] for key in sorted(runs)), *judge_usages(items)]),
    }


def _trials_scored(case: Iterable[Item]) -> int:
    """Checks of one trial, as a parametrized eval makes several, are no trials of their own."""
    return len({item.get("trial") or 1 for item in case if item_value(item) is not None})


def _values(items: Iterable[Item], value: Callable[[Item], float | None]) -> list[list[float]]:
    """The values of each case that has one."""
    cases = ([number for item in case if (number := value(item)) is not None] for case in by_case(items).values())
    return [case for case in cases if case]


def _passed(item: Item) -> float | None:
    passed = item.get("passed")
    return None if passed is None or item["outcome"] not in ("pass", "fail") else float(passed)


def _repeated(items: Iterable[Item], trials: int) -> dict[str, Any]:
    """pass@k and pass^k for one trial and for all of them: means over the cases with so many that pass or fail."""
    counts = [(len(group), round(sum(group))) for group in _values(_as_checks(items), _passed)]
    told: dict[str, Any] = {"pass_at_k": {}, "pass_hat_k": {}}
    for k in (1, trials):
        enough = [(total, passed) for total, passed in counts if total >= k]
        for name, estimate in (("pass_at_k", pass_at_k), ("pass_hat_k", pass_hat_k)):
            chances = [estimate(total, passed, k) for total, passed in enough]
            told[name][str(k)] = _rounded(_mean(chances)) if chances else None
    return told


def _as_checks(items: Iterable[Item]) -> list[Item]:
    """The items with the trials of one check under one name: a parametrized eval makes several checks of a case."""
    return [{**item, "case": without_trial(item)} for item in items]


def without_trial(item: Item) -> str:
    """The id with its trial left out."""
    name, trial, case = str(item["id"]), item.get("trial") or 1, item.get("case")
    for bare in (f"{case}-{item.get('backend')}", str(case)) if case and trial > 1 else ():
        before, found, after = name.rpartition(f"{bare}-t{trial}")
        if found:
            return before + bare + after
    return name


def _gate(items: Iterable[Item], score: float | None, interval: Interval | None) -> dict[str, Any] | None:
    """Without trials the cases are all there is, and their mean is compared; trials are a sample, and have three
    verdicts. None when nothing was scored.
    """
    bars = [item["gate"] for item in items if item.get("gate") is not None]
    if not bars:
        return None
    bar = max(bars)
    if score is None:
        return {"bar": bar, "verdict": None}
    if interval is not None:
        return {"bar": bar, "verdict": gate_verdict(interval, bar)}
    return {"bar": bar, "verdict": "pass" if score >= bar - _ROUNDING else "fail"}


def _mean(values: Sequence[float]) -> float:
    return math.fsum(values) / len(values)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
