"""From what an eval returned to a score and a verdict. No pytest here: traces and live runs are graded the same way."""

from __future__ import annotations

import ast
import inspect
import math
import numbers
import textwrap
from typing import TYPE_CHECKING, Any

from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

PASSING_LABELS = frozenset({"pass", "passed", "correct", "yes"})
FAILING_LABELS = frozenset({"fail", "failed", "incorrect", "no"})
_ASSERTING_CALLS = ("assert", "fail", "raises", "skip", "xfail")


class InvalidScore(ValueError):
    """An eval returned what cannot be read as a score; the message names the eval."""


class EvalResult(Record):
    """What an eval found. An eval may return one, and every other return value is turned into one.

    score    0.0 to 1.0, None when there is none
    label    a word such as "correct"
    metrics  further numbers, of any range
    reason   one sentence for people
    details  whatever else a dict held
    """

    score: float | None = None
    label: str | None = None
    metrics: dict[str, float] = {}
    reason: str = ""
    details: dict[str, Any] = {}


class Grade(Record):
    """`result`, and what it says by itself: True passes, False fails, None only informs."""

    result: EvalResult
    passed: bool | None


def grade(
    value: Any, *, name: str, asserts: bool = False, threshold: float | None = None, gate: float | None = None
) -> Grade:
    """Read what eval `name` returned. A number fails only below `threshold`; None needs an eval that `asserts`.

    A `gate` is compared with the mean over all cases, elsewhere; here it only needs something to count.
    """
    if value is None:
        if not asserts:
            raise InvalidScore(f"{name} returned nothing; return a score or assert")
        return Grade(EvalResult(score=1.0), True)
    if isinstance(value, EvalResult):
        label = None if value.label is None else str(value.label)
        metrics = _metrics(value.metrics, name)
        score = _score(value.score, name)
        result = value.replace(score=score, label=label, metrics=metrics, reason=str(value.reason))
        raw = value.score
    elif isinstance(value, str):
        result, raw = EvalResult(label=value), None
    elif isinstance(value, dict):
        result, raw = _from_dict(value, name), value.get("score")
    else:
        result, raw = EvalResult(score=_score(value, name)), value
    if result.score is None and not (result.label or result.metrics or result.details):
        raise InvalidScore(f"{name} returned {type(value).__name__} without a score, a label or a metric; return one")
    passed = _verdict(result, raw, threshold, name)
    if gate is not None and _fails(result.label) and result.score is not None and result.score >= gate:
        raise InvalidScore(
            f"{name} returned the label {result.label!r}, which fails, with the score {result.score:g}, which its gate "
            f"of {gate:g} would count as good; make the two agree"
        )
    if gate is not None and passed is None and result.score is None:
        raise InvalidScore(f"{name} has a gate of {gate:g} and returned no score; return {{'score': ...}}")
    return Grade(result, passed)


def _verdict(result: EvalResult, raw: Any, threshold: float | None, name: str) -> bool | None:
    if _fails(result.label):
        return False
    if _is_bool(raw):
        return bool(raw)
    if threshold is not None and result.label is None and result.score is None:
        raise InvalidScore(f"{name} has a threshold of {threshold:g} and returned no score; return {{'score': ...}}")
    if threshold is not None and result.score is not None:
        return result.score >= threshold
    return True if (result.label or "").strip().lower() in PASSING_LABELS else None


def _fails(label: str | None) -> bool:
    return (label or "").strip().lower() in FAILING_LABELS


def _from_dict(value: dict[Any, Any], name: str) -> EvalResult:
    """Numbers become metrics, the rest details; the score is the key `score` if present, even 0.0."""
    metrics: dict[str, float] = {}
    details: dict[str, Any] = {}
    for key, item in value.items():
        if key in ("score", "label", "reason"):
            continue
        if _is_number(item):
            metrics[str(key)] = _finite(item, f"{name} returned {key}={item!r}")
        else:
            details[str(key)] = item
    label, reason = value.get("label"), value.get("reason", "")
    return EvalResult(
        score=_score(value.get("score"), name),
        label=None if label is None else str(label),
        metrics=metrics,
        reason=str(reason),
        details=details,
    )


def _score(value: Any, name: str) -> float | None:
    if value is None:
        return None
    if not _is_bool(value) and not _is_number(value):
        raise InvalidScore(
            f"{name} returned {type(value).__name__} {_short(value)}; "
            "return a bool, a number from 0 to 1, a label, a dict of metrics or an EvalResult"
        )
    number = _finite(value, f"{name} returned {_short(value)}")
    if not 0 <= number <= 1:
        raise InvalidScore(f"{name} returned {value!r}; a score is a number from 0 to 1")
    return number


def _metrics(given: Any, name: str) -> dict[str, float]:
    if not isinstance(given, dict):
        raise InvalidScore(f"{name} returned metrics={_short(given)}; give a dict of numbers")
    for key, item in given.items():
        if not _is_number(item):
            raise InvalidScore(f"{name} returned the metric {key}={_short(item)}; a metric is a number")
    return {str(key): _finite(item, f"{name} returned {key}={_short(item)}") for key, item in given.items()}


def _finite(value: Any, said: str) -> float:
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise InvalidScore(f"{said}; a score must be a finite number")
    return number


def _is_bool(value: Any) -> bool:
    return isinstance(value, bool) or type(value).__name__ in ("bool", "bool_")  # numpy's, without importing it


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real)


def _short(value: Any) -> str:
    try:
        text = repr(value)
    except ValueError:  # Python refuses to write more than 4,300 digits
        text = "a number of thousands of digits"
    return text if len(text) <= 60 else text[:59] + "…"


def uses_assert(function: Callable[..., Any]) -> bool:
    """Say whether the source of `function` holds an assertion, so that returning nothing means that it held.

    Calls named `assert...`, `fail`, `raises` count; without source the answer is no (the eval can return True).
    """
    try:
        source = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))
        tree = ast.parse(source)
    except (OSError, TypeError, SyntaxError):
        return False
    return any(isinstance(node, ast.Assert) or _asserting_call(node) for node in ast.walk(tree))


def _asserting_call(node: ast.AST) -> bool:
    if not isinstance(node, ast.Call):
        return False
    called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    return called.startswith("assert") or called in _ASSERTING_CALLS
