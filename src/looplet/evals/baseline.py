"""Compare a report with an earlier one, case by case: what got worse, and what cannot be compared."""

from __future__ import annotations

import json
import math
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any, Literal

from looplet._record import Record
from looplet.evals.figures import OUTCOMES, item_value, without_trial
from looplet.evals.report import REPORT_VERSION
from looplet.evals.stats import Interval, difference_interval, drop_p, holm

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Sequence

ComparisonVerdict = Literal["same", "better", "worse", "not compared"]
SIGNIFICANT = 0.05
_ROUNDING = 1e-9  # sums of scores: a drop of exactly the margin does not exceed it
_NAMED = 3  # reasons or names that a sentence spells out
_TEXT_OR_NONE, _COUNT_OR_NONE = (str, NoneType), (int, NoneType)
_READ: dict[str, Any] = {  # of an item; what may be None may also be missing
    **dict.fromkeys(("id", "eval", "outcome"), str),
    **dict.fromkeys(("case", "backend", "eval_digest", "case_digest"), _TEXT_OR_NONE),
    **dict.fromkeys(("trial", "trials", "run"), _COUNT_OR_NONE),
    "score": (int, float, NoneType),
    "judge": (dict, NoneType),
}


class Comparison(Record):
    """One eval with one backend, now and before.

    `now` and `before` are means over the cases that could be compared, each the mean of its checks; `delta` is their
    difference and `interval` its interval. `p` is the chance of such a drop if nothing had changed, `p_adjusted` the
    same for having compared several evals. `why` says why there is no comparison, or what to know about the one there
    is. `left_out` are cases of both reports, or checks of them, that cannot be compared, each with the reason: where an
    eval is parametrized, a case has several checks.
    """

    eval: str
    backend: str
    verdict: ComparisonVerdict
    why: str = ""
    now: float | None = None
    before: float | None = None
    delta: float | None = None
    interval: Interval | None = None
    p: float | None = None
    p_adjusted: float | None = None
    new_cases: tuple[str, ...] = ()
    removed_cases: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As the report has it; `score` is the one before."""
        interval = self.interval and [_rounded(self.interval.low), _rounded(self.interval.high)]
        return {
            "verdict": self.verdict,
            "why": self.why,
            "score": _rounded(self.before),
            "delta": _rounded(self.delta),
            "interval": interval,
            "p": _rounded(self.p),
            "p_adjusted": _rounded(self.p_adjusted),
            "new_cases": list(self.new_cases),
            "removed_cases": list(self.removed_cases),
            "left_out": list(self.left_out),
        }


class _Row(Record):
    """The items of one eval and backend, by case."""

    eval: str
    backend: str
    cases: dict[str, list[dict[str, Any]]]

    def all(self, field: str) -> set[Any]:
        return {item.get(field) for items in self.cases.values() for item in items}

    def checks(self, case: str) -> dict[str, list[dict[str, Any]]]:
        """The items of a case, the trials of one check together: a parametrized eval makes several checks of it."""
        checks: dict[str, list[dict[str, Any]]] = {}
        for item in self.cases[case]:
            checks.setdefault(self._check(item, case), []).append(item)
        return checks

    def _check(self, item: dict[str, Any], case: str) -> str:
        """The id without its trial, and without the backend, which is in ids where there are several."""
        name = without_trial(item)
        before, found, after = name.rpartition(f"{case}-{self.backend}")
        return before + case + after if found and self.backend else name

    def judges(self) -> set[str]:
        return {judge["model"] for items in self.cases.values() for item in items if (judge := item.get("judge"))}

    def models(self) -> set[str]:
        return {item["model"] for items in self.cases.values() for item in items if item.get("model")}


class _Case(Record):
    """The means of a case now and before, over what was checked both times; what was not, with the reason."""

    means: tuple[float, ...] | None
    left_out: tuple[tuple[str, str], ...] = ()


class _Paired(Record):
    """A row with what it is compared with, and the differences of their cases."""

    row: _Row
    shown: Comparison
    differences: tuple[float, ...] = ()


def load_baseline(path: str | os.PathLike[str], *, suite: str | None = None) -> dict[str, Any]:
    """Read an earlier JSON report; of another suite than `suite`, if that is given, it is refused."""
    file = Path(path)
    try:
        report = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(
            f"baseline {str(file)!r}: no such file; write one with: pytest --looplet-report {file}"
        ) from None
    except OSError as error:
        raise ValueError(f"baseline {str(file)!r} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise ValueError(f"baseline {str(file)!r} is not JSON: {error}") from None
    problem = _problem(report, suite)
    if problem:
        raise ValueError(f"baseline {str(file)!r} {problem}; write a new one with: pytest --looplet-report {file}")
    return dict(report)


def _problem(report: Any, suite: str | None) -> str | None:
    if not isinstance(report, dict) or "schema" not in report:
        return "is not a looplet report"
    if report["schema"] != REPORT_VERSION:
        return f"has schema {report['schema']!r}, this looplet reads {REPORT_VERSION}"
    items, runs = report.get("items"), report.get("runs")
    if not isinstance(items, list) or not isinstance(runs, list) or not all(_is_item(item, runs) for item in items):
        return "is damaged: its items are not those of a report"
    if suite is not None and report.get("suite") != suite:
        return f"is of suite {report.get('suite')!r}, this is {suite!r}"
    return None


def _is_item(item: Any, runs: list[Any]) -> bool:
    """Whether it has what is read of it here."""
    if not isinstance(item, dict) or not all(isinstance(item.get(name), kind) for name, kind in _READ.items()):
        return False
    if item["outcome"] not in OUTCOMES or not (item.get("score") is None or 0 <= item["score"] <= 1):  # NaN is neither
        return False
    judge, run = item.get("judge"), item.get("run")
    judged = judge is None or isinstance(judge.get("model"), str)
    return judged and (run is None or (0 <= run < len(runs) and isinstance(runs[run], dict)))


def compare(now: dict[str, Any], before: dict[str, Any], *, margin: float) -> list[Comparison]:
    """Compare each eval and backend of report `now` with the same one of `before`.

    Cases are paired, each by the checks it had both times, and these by the mean of their trials. An eval is worse
    when its mean dropped by more than `margin` and such a drop is too unlikely if nothing had changed: the one-sided p
    of the sign-flip test, adjusted by Holm's method for the number of evals compared, is below 0.05. Better is the same
    the other way round. What was not measured in the same way (judge, source of the eval, content of the case, number
    of trials) is named and not compared.
    """
    earlier = _rows(before)
    unlike = _other_suite(now, before)
    paired = [_pair(row, *_counterpart(row, _rows(now), earlier), unlike) for row in _rows(now)]
    compared = [each for each in paired if each.differences]
    drops = [drop_p(each.differences) for each in compared]
    rises = [drop_p([-difference for difference in each.differences]) for each in compared]
    verdicts = {
        id(each): _judged(each, p, drop, rise, margin, len(compared))
        for each, p, drop, rise in zip(compared, drops, holm(drops), holm(rises), strict=True)
    }
    return [verdicts.get(id(each), each.shown) for each in paired]


def _rows(report: dict[str, Any]) -> list[_Row]:
    runs = report.get("runs", [])
    rows: dict[tuple[str, str], _Row] = {}
    for item in report["items"]:
        run = runs[item["run"]] if item.get("run") is not None else {}
        backend = item.get("backend") or str(run.get("backend") or "")
        row = rows.setdefault((item["eval"], backend), _Row(item["eval"], backend, {}))
        row.cases.setdefault(item.get("case") or item["id"], []).append({**item, "model": str(run.get("model") or "")})
    return [rows[key] for key in sorted(rows)]


def _other_suite(now: dict[str, Any], before: dict[str, Any]) -> str:
    same = now.get("suite") == before.get("suite")
    return "" if same else f"the baseline is of suite {before.get('suite')!r}, this is {now.get('suite')!r}"


def _counterpart(row: _Row, rows: Sequence[_Row], earlier: Sequence[_Row]) -> tuple[_Row | None, str]:
    """The earlier row to compare with, and what to say of it. One backend now and another one then are compared."""
    candidates = [other for other in earlier if other.eval == row.eval]
    for other in candidates:
        if other.backend == row.backend:
            return other, _other_models(row, other)
    alone = sum(other.eval == row.eval for other in rows) == 1
    if alone and len(candidates) == 1:
        return candidates[0], f"{_named(row)} now, {_named(candidates[0])} before"
    known = ", ".join(repr(other.backend) for other in candidates)
    return None, f"the baseline has no backend {row.backend!r} of it, only {known}" if known else "not in the baseline"


def _other_models(row: _Row, other: _Row) -> str:
    return f"{_named(row)} now, {_named(other)} before" if row.models() != other.models() else ""


def _named(row: _Row) -> str:
    return " ".join([row.backend, *sorted(row.models())])


def _pair(row: _Row, other: _Row | None, note: str, unlike: str) -> _Paired:
    shown = Comparison(row.eval, row.backend, "not compared", unlike or note)
    if other is None or unlike:
        return _Paired(row, shown)
    shown = shown.replace(
        new_cases=tuple(sorted(row.cases.keys() - other.cases.keys())),
        removed_cases=tuple(sorted(other.cases.keys() - row.cases.keys())),
    )
    changed = _changed(row, other)
    if changed:
        return _Paired(row, shown.replace(why=changed))
    common = sorted(row.cases.keys() & other.cases.keys())
    cases = [_pair_case(case, row, other) for case in common]
    pairs = [case.means for case in cases if case.means]
    shown = shown.replace(left_out=tuple(f"{what}: {why}" for case in cases for what, why in case.left_out))
    if not pairs:
        return _Paired(row, shown.replace(why=_nothing_left({why for case in cases for _, why in case.left_out})))
    means = [math.fsum(scores) / len(pairs) for scores in zip(*pairs, strict=True)]
    differences = tuple(one - two for one, two in pairs)
    delta = math.fsum(differences) / len(differences)
    interval = difference_interval(differences)
    return _Paired(row, shown.replace(now=means[0], before=means[1], delta=delta, interval=interval), differences)


def _changed(row: _Row, other: _Row) -> str:
    """Why no case of these two can be compared."""
    if row.judges() != other.judges():
        return f"the judge is now {_listed(row.judges())}, it was {_listed(other.judges())}"
    if row.all("eval_digest") != other.all("eval_digest"):
        return "the source of the eval has changed"
    return ""


def _pair_case(case: str, row: _Row, other: _Row) -> _Case:
    """What was checked only once is left out of both means: they would differ without anything having changed."""
    now, before = row.checks(case), other.checks(case)
    names = sorted(now.keys() | before.keys())
    reasons = {name: _incomparable(now.get(name), before.get(name)) for name in names}
    pairs = [(_mean(now[name]), _mean(before[name])) for name in names if not reasons[name]]
    left_out = {(name.rpartition("::")[2] if len(names) > 1 else case, why) for name, why in reasons.items() if why}
    means = tuple(math.fsum(scores) / len(pairs) for scores in zip(*pairs, strict=True)) if pairs else None
    return _Case(means, tuple(sorted(left_out)))


def _incomparable(items: list[dict[str, Any]] | None, others: list[dict[str, Any]] | None) -> str:
    if not items or not others:
        return "not in the baseline" if items else "only in the baseline"
    if items[0].get("case_digest") != others[0].get("case_digest"):
        return "its task, expectation or files have changed"
    if _trials(items) != _trials(others):
        return f"{_trials(items)} trials now, {_trials(others)} before"
    for when, each in (("now", items), ("before", others)):
        if not any(item_value(item) is not None for item in each):
            return f"no score {when}"
    return ""


def _trials(items: list[dict[str, Any]]) -> int:
    return int(items[0].get("trials") or len(items))


def _mean(items: Iterable[dict[str, Any]]) -> float:
    values = [value for item in items if (value := item_value(item)) is not None]
    return math.fsum(values) / len(values)


def _nothing_left(reasons: set[str]) -> str:
    if not reasons:
        return "no case is in both reports"
    return f"no case can be compared: {_listed(reasons)}"


def _judged(each: _Paired, p: float, drop: float, rise: float, margin: float, compared: int) -> Comparison:
    delta, why = each.shown.delta or 0.0, each.shown.why
    verdict: ComparisonVerdict = "same"
    if drop < SIGNIFICANT and -delta > margin + _ROUNDING:
        verdict = "worse"
    elif rise < SIGNIFICANT and delta > margin + _ROUNDING:
        verdict = "better"
    elif 2.0 ** -len(each.differences) * compared >= SIGNIFICANT:  # even if every case had dropped
        few = f"{len(each.differences)} cases are too few to tell a drop from chance"
        why = f"{why}; {few}" if why else few
    return each.shown.replace(verdict=verdict, why=why, p=p, p_adjusted=drop)


def _listed(values: Iterable[str]) -> str:
    names = sorted(values)
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return (", ".join(names[:_NAMED]) or "none") + more


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)
