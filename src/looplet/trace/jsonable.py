"""Any value in the shape of JSON: total, and exact for what is JSON already."""

from __future__ import annotations

import json
import math
from datetime import date, time
from typing import TYPE_CHECKING, Any

from looplet._core.to_text import flat
from looplet.errors import LoopletError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAX_DEPTH = 100  # json itself gives up near 1000 frames, and a level takes three here
_LINE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), allow_nan=False)  # `json.dumps` makes one a call
_MAX_INT_BITS = 14_000  # about 4,200 digits: Python refuses to read a longer number back


def jsonable(value: object, change: Callable[[str], str] | None = None) -> Any:
    """A copy of `value` made of dict, list, str, int, finite float, bool and None; never raises by itself.

    Such values come out equal, up to 100 levels deep. Tuples become lists, sets sorted lists, bytes and
    dates text, NaN and infinities "NaN" and "Infinity", cycles and unreadable objects a note. `change`
    (a redaction) is applied to every string, keys included; two keys that become one are told apart by a number.
    """
    try:
        return _convert(value, change, _MAX_DEPTH, ())
    except RecursionError:  # called close to the interpreter's own limit
        return "<too deep>"


def dump_line(record: Any) -> bytes:
    """One line of JSON; lone surrogates are written as escapes and read back as they were."""
    try:
        return _LINE.encode(record).encode() + b"\n"
    except UnicodeEncodeError:
        return json.dumps(record, separators=(",", ":"), allow_nan=False).encode() + b"\n"


def canonical(value: Any) -> bytes:
    """The same bytes for equal JSON values, whatever the order of their keys."""
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _convert(value: object, change: Callable[[str], str] | None, depth: int, above: tuple[int, ...]) -> Any:
    kind = type(value)
    if value is None or kind is bool or (kind is str and change is None):  # nearly all values, and all keys
        return value
    if kind is int or kind is float:
        return _number(value)  # type: ignore[arg-type]  # it is one of the two
    try:
        if kind is str:
            return change(value)  # type: ignore[misc, arg-type]  # there is a change, and it is a str
        return _convert_kind(value, change, depth, above)
    except (LoopletError, RecursionError):  # the redaction's own error must not turn into a note
        raise
    except Exception:  # noqa: BLE001  # boundary: a stranger's object, any method of which may raise
        return "<unreadable>"


def _convert_kind(value: object, change: Callable[[str], str] | None, depth: int, above: tuple[int, ...]) -> Any:
    if isinstance(value, str):
        text = str.__str__(value)
        return text if change is None else change(text)
    if depth == 0:
        return "<too deep>"
    if id(value) in above:
        return "<cycle>"
    above = (*above, id(value))
    if isinstance(value, dict):
        return _mapping(list(value.items()), change, depth - 1, above)
    if isinstance(value, (list, tuple)):
        return [_convert(item, change, depth - 1, above) for item in list(value)]
    return _convert(_stranger(value), change, depth - 1, above)


_KEYS = {True: "true", False: "false", None: "null"}  # what json makes of them


def _mapping(
    items: list[tuple[object, object]], change: Callable[[str], str] | None, depth: int, above: tuple[int, ...]
) -> dict[str, Any]:
    names = [
        _KEYS[key] if key is None or isinstance(key, bool) else str(_convert(key, change, depth, above))
        for key, _ in items
    ]
    return {
        name: _convert(item, change, depth, above) for name, (_, item) in zip(told_apart(names), items, strict=True)
    }


def told_apart(names: Iterable[str]) -> list[str]:
    """`names` with a number after each that was there before: different keys stay different when they are changed."""
    names = list(names)
    if len(set(names)) == len(names):
        return names
    taken: dict[str, None] = {}
    counts: dict[str, int] = {}
    for name in names:
        unique = name
        while unique in taken:
            counts[name] = counts.get(name, 1) + 1
            unique = f"{name} ({counts[name]})"
        taken[unique] = None
    return list(taken)


def _number(value: float) -> Any:
    if isinstance(value, int):
        return value if value.bit_length() <= _MAX_INT_BITS else hex(value)
    if math.isfinite(value):
        return value
    return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"


def _stranger(value: object) -> Any:
    """One step towards JSON for an object that is none of the JSON kinds."""
    if isinstance(value, (bytes, bytearray)):
        return value.decode("utf-8", "backslashreplace")  # readable, and a redaction can see into it
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    step = flat(value)
    return step if step is not value else f"<{type(value).__name__}>"
