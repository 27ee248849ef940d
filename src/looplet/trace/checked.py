"""Refuse values of the wrong type in what was read: a journal may come from anybody, and be printed on a terminal."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from looplet._record import Record
from looplet.messages import Role
from looplet.types import ErrorKind, ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable

R = TypeVar("R", bound=Record)

_NONE = type(None)
_LAST_SECOND = 250e9  # a little before the year 9999
_MOST = 1 << 63  # longer numbers cannot be printed, added up or taken for a float


def checked(record: R) -> R:
    """`record` itself; a field of the wrong type is a TypeError. Records in it are checked when they are made."""
    kind = type(record)
    for field, read, types, sound in _CHECKS.get(kind) or _checks_of(kind):
        value = read(record)
        if type(value) not in types or (sound is not None and not sound(value)):
            raise TypeError(f"{kind.__name__}.{field} is no {kind.__annotations__[field]}")
    return record


def check_time(value: object) -> None:
    """The field `t` of a line: seconds that a calendar can tell, or nothing."""
    if value is not None and not (isinstance(value, (int, float)) and abs(value) < _LAST_SECOND):
        raise TypeError("t is no time")


def _number(value: float | None) -> bool:
    return value is None or (-_MOST < value < _MOST if isinstance(value, int) else isfinite(value))


def _texts(values: tuple[Any, ...]) -> bool:
    return all(type(value) is str for value in values)


def _calls(values: tuple[Any, ...]) -> bool:
    return all(isinstance(value, ToolCall) and checked(value) is value for value in values)


_SOUND: dict[str, tuple[tuple[type, ...], Callable[[Any], bool] | None]] = {  # annotation → types, and what else holds
    "str": ((str,), None),
    "str | None": ((str, _NONE), None),
    "bool": ((bool,), None),
    "int": ((int,), _number),
    "int | None": ((int, _NONE), _number),
    "float": ((int, float), _number),
    "float | None": ((int, float, _NONE), _number),
    "dict[str, Any]": ((dict,), None),
    "dict[str, Any] | None": ((dict, _NONE), None),
    "str | dict[str, Any]": ((str, dict), None),
    "tuple[str, ...]": ((tuple,), _texts),
    "tuple[ToolCall, ...]": ((tuple,), _calls),
    "Role": ((str,), lambda value: value in get_args(Role)),
    "ErrorKind | None": ((ErrorKind, _NONE), None),
}
_HELD = {  # records in records: checked when they were made, which is once and not in every event that holds them
    *("Prompt", "Checkpoint", "Settings", "Usage", "Reply", "ToolCall", "ToolResult", "Step", "Capabilities"),
    *("tuple[Message, ...]", "tuple[ToolSchema, ...]", "tuple[RawCall, ...]", "tuple[Event, ...]"),
}
_CHECKS: dict[type, list[tuple[str, Callable[[Any], Any], tuple[type, ...], Callable[[Any], bool] | None]]] = {}


def _checks_of(kind: type[Record]) -> list[Any]:
    """How to check each field, taken from the annotations of the class when it is first met."""
    found: list[Any] = []
    for field in kind._fields:
        annotation = kind.__annotations__[field]
        if annotation in _SOUND:
            found.append((field, getattr(kind, field).__get__, *_SOUND[annotation]))
        elif annotation != "Any" and annotation.removesuffix(" | None") not in _HELD:
            raise AssertionError(f"{kind.__name__}.{field}: say how to check {annotation!r}")
    _CHECKS[kind] = found
    return found
