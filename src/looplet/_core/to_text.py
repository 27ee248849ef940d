"""Any value as text for the model: total, deterministic, bounded. Hooks, traces and evals keep the uncut value."""

from __future__ import annotations

import json
import re
from collections import deque
from collections.abc import Mapping, MappingView, Set
from enum import Enum
from typing import TYPE_CHECKING, Any

from looplet._record import Record

if TYPE_CHECKING:
    from looplet.types import ToolResult

_MAX_DEPTH = 50  # deeper values are cut there; it also bounds our own recursion
_HEX_BYTES = 32
_ADDRESS = re.compile(r" at 0x[0-9A-Fa-f]+(?=>)")  # <object object at 0x7f...> differs in every process


def to_text(value: object, limit: int) -> str:
    """Return `value` as at most `limit` characters that encode to UTF-8; never raises.

    A str stays as it is, JSON-shaped values become compact JSON, anything else its most readable form. What is longer
    keeps its head and tail around a note of how much was cut.
    """
    return _cut(encodable(_text(value)), limit)


def result_text(result: ToolResult, limit: int) -> str:
    """What the model is told of a tool result: the data or the error, then the warnings as notes."""
    notes = "".join(f"\nNote: {encodable(warning)}" for warning in result.warnings)
    notes = _cut(notes, limit // 2)
    return to_text(_body(result), limit - len(notes)) + notes


def encodable(text: str) -> str:
    """Write lone surrogates as `\\udc80`: they cannot be encoded, and one of them would poison every later request."""
    if text.isascii():
        return text
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def _body(result: ToolResult) -> object:
    if result.error is None:
        return "(empty)" if result.data == "" else result.data
    retry = "\nYou may try again." if result.error_retriable else ""
    return f"ERROR ({result.error_kind or 'execution'}): {result.error}{retry}"


def _text(value: object) -> str:
    try:
        if isinstance(value, str):
            return str.__str__(value)  # the characters of a subclass, whatever its own __str__ says
        plain = flat(value)
        return str.__str__(plain) if isinstance(plain, str) else _json(plain)
    except Exception:  # noqa: BLE001  # boundary: a stranger's object, any method of which may raise
        return f"<{_type_name(value)}, unreadable>"


def _json(value: object) -> str:
    try:
        return _dump(value, default=flat)
    except Exception:  # noqa: BLE001  # odd keys, a cycle, too deep, an unreadable part: rebuild it piece by piece
        return _dump(_rebuild(value, _MAX_DEPTH, ()))


def _dump(value: object, default: Any = None) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=default)


def flat(value: object) -> Any:
    """One step towards JSON: a container of the JSON kinds, or a leaf."""
    for kinds, convert in _CONVERTERS:
        if isinstance(value, kinds):
            return convert(value)
    fields = getattr(type(value), "__dataclass_fields__", None)
    if fields is not None:
        return {name: getattr(value, name) for name in fields}
    return _ADDRESS.sub("", str(value))


def _rebuild(value: object, depth: int, above: tuple[int, ...]) -> Any:
    """A copy of `value` that `json` can write: string keys, no cycles, bounded depth."""
    if id(value) in above:
        return "<cycle>"
    if depth == 0:
        return "<too deep>"
    above = (*above, id(value))
    try:
        plain = flat(value)
        if isinstance(plain, dict):
            return {_key(key): _rebuild(item, depth - 1, above) for key, item in plain.items()}
        if isinstance(plain, (list, tuple)):
            return [_rebuild(item, depth - 1, above) for item in plain]
    except Exception:  # noqa: BLE001  # boundary: one unreadable part must not hide its siblings
        return f"<{_type_name(value)}, unreadable>"
    return plain


def _key(key: object) -> str:
    return key if isinstance(key, str) else _text(key)


def _bytes(value: bytes) -> str:
    try:
        return bytes(value).decode("utf-8")
    except UnicodeDecodeError:
        more = "..." if len(value) > _HEX_BYTES else ""
        return f"<{len(value):,} bytes: {bytes(value[:_HEX_BYTES]).hex()}{more}>"


def _sorted(values: Set[Any]) -> list[Any]:
    """A stable order, whatever the hash seed and whether or not the members compare."""
    return sorted(values, key=lambda member: (_type_name(member), _sort_key(member)))


def _sort_key(member: object) -> Any:
    numeric = type(member) in (int, float) and member == member  # not NaN
    return (0, member, "") if numeric else (1, 0, _text(member))


def _exception(error: BaseException) -> str:
    message = _text(str(error))
    return f"{_type_name(error)}: {message}" if message else _type_name(error)


def _type_name(value: object) -> str:
    return type.__getattribute__(type(value), "__name__")  # type: ignore[no-any-return]  # a metaclass may override it


_CONVERTERS: tuple[tuple[Any, Any], ...] = (
    (Enum, lambda value: value.value),
    ((str, int, float, type(None), dict, list, tuple), lambda value: value),
    ((bytes, bytearray), _bytes),
    (Mapping, dict),
    (Set, _sorted),
    ((deque, MappingView), list),
    (BaseException, _exception),
    (Record, lambda value: {name: getattr(value, name) for name in value._fields}),
)


def _cut(text: str, limit: int) -> str:
    if len(text) <= limit:
        return text
    note = "\n... [{:,} characters cut] ...\n"
    keep = limit - len(note.format(len(text)))
    if keep <= 0:
        return text[: max(limit, 0)]
    tail = keep // 2
    return text[: keep - tail] + note.format(len(text) - keep) + text[len(text) - tail :]
