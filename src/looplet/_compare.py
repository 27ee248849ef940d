"""Where two values, calls or results differ, in one line each: `Step.diff` and `looplet diff` read alike."""

from __future__ import annotations

import json
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from looplet._pretty import as_text, shorten, visible
from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator

_BEFORE, _AFTER = 12, 28  # characters shown around the first difference of two texts
_VALUE_CHARS = 60
_NAMED = 3  # differences of one value that are spelled out

ABSENT = object()


class StepFacts(Record):
    """What of a step is compared: the call that ran, and what came back."""

    tool: str
    args: Any
    result: Any = None
    error: str | None = None
    error_kind: str | None = None
    notes: tuple[str, ...] = ()


def compare_steps(before: StepFacts, after: StepFacts) -> Iterator[tuple[str, str]]:
    """Yield (kind, one line) for each difference: tool, arguments, error, result, notes."""
    if before.tool != after.tool:
        yield "tool", f"tool {visible(before.tool)} → {visible(after.tool)}"
        return  # another tool has other arguments and another result
    if not _equal(before.args, after.args):
        yield "arguments", f"arguments: {changes(before.args, after.args)}"
    if (before.error is None) != (after.error is None):
        gone, kind = (before, "error gone") if after.error is None else (after, "error appeared")
        yield "error", f"{kind}: {_kind(gone)}{_first_line(gone.error or '')}"
    elif (before.error, before.error_kind) != (after.error, after.error_kind):
        yield "error", f"error: {_kind(before, after)}{changes(before.error, after.error)}"
    elif not _equal(before.result, after.result):
        yield "result", f"result: {changes(before.result, after.result)}"
    if before.notes != after.notes:
        yield "notes", f"notes for the model: {changes(list(before.notes), list(after.notes))}"


def changes(before: Any, after: Any) -> str:
    """`amount 10 → 20, note added 'x'`: the first differences of two JSON values, and how many more there are."""
    found = list(differences(before, after))
    named = ", ".join(_arrow(*each) for each in found[:_NAMED])
    more = len(found) - _NAMED
    return f"{named} and {more} more" if more > 0 else named


def differences(before: Any, after: Any, path: str = "") -> Iterator[tuple[str, Any, Any]]:
    """Yield (path, before, after) for every place where two JSON values differ; ABSENT stands for no value there."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in {**before, **after}:
            yield from differences(before.get(key, ABSENT), after.get(key, ABSENT), f"{path}.{key}".lstrip("."))
    elif isinstance(before, list) and isinstance(after, list):
        for index, (left, right) in enumerate(zip_longest(before, after, fillvalue=ABSENT)):
            yield from differences(left, right, f"{path}[{index}]")
    elif not _equal(before, after):
        yield path, before, after


def _equal(before: Any, after: Any) -> bool:
    """Equal as JSON, which True and 1 are not. A tool's own object may refuse to be compared: then its text counts."""
    if before is after:
        return True
    try:
        same = type(before) is type(after) and before == after and (before != 0 or repr(before) == repr(after))
        inside = same and isinstance(before, (dict, list)) and next(differences(before, after), None)
        return bool(same) and not inside
    except Exception:  # noqa: BLE001  # boundary: a stranger's object, an array whose == is no bool
        return as_text(before) == as_text(after)


def first_character(before: str, after: str) -> int:
    """The index of the first character that differs; the shorter length when one text begins the other."""
    shorter = min(len(before), len(after))
    return next((index for index in range(shorter) if before[index] != after[index]), shorter)


def excerpt(text: str, at: int) -> str:
    """The text around character `at`, quoted."""
    begin, end = max(0, at - _BEFORE), at + _AFTER
    return f"'{'…' if begin else ''}{visible(text[begin:end])}{'…' if end < len(text) else ''}'"


def short_json(value: Any) -> str:
    """JSON cut to a few words; a value that is none as its text."""
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        text = as_text(value)
    return shorten(visible(text), _VALUE_CHARS)


def _arrow(path: str, before: Any, after: Any) -> str:
    place = f"{visible(path)} " if path else ""
    if before is ABSENT:
        return f"{place}added {_short(after)}"
    if after is ABSENT:
        return f"{place}removed (was {_short(before)})"
    if isinstance(before, str) and isinstance(after, str):
        at = first_character(before, after)
        return f"{place}{excerpt(before, at)} → {excerpt(after, at)}"
    return f"{place}{_short(before)} → {_short(after)}"


def _short(value: Any) -> str:
    return excerpt(value, 0) if isinstance(value, str) else short_json(value)


def _kind(before: StepFacts, after: StepFacts | None = None) -> str:
    if after is None or before.error_kind == after.error_kind:
        return f"({before.error_kind}) " if before.error_kind and after is None else ""
    return f"({before.error_kind} → {after.error_kind}) "


def _first_line(text: str) -> str:
    return shorten(visible(text.strip().partition("\n")[0]), 2 * _VALUE_CHARS)
