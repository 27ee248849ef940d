"""JSON as models write it: single quotes, trailing commas, Python literals, raw newlines in strings, bare keys.

Lenient about spelling, strict about completeness: a value that runs into the end of the text is `Truncated`, one that
stops making sense is `Broken`, and neither is ever guessed to the end.
"""

from __future__ import annotations

import re
from functools import cache
from typing import Any

MAX_DEPTH = 100  # a call nested deeper is an accident; it also bounds our recursion and the cost of hopeless text
_SPACE = r"\s*"
_NUMBER = r"(?a)-?\d+(\.\d+)?([eE][+-]?\d+)?(?![\w.])"
_WORD = r"(?a)[A-Za-z_]\w*"
_PLAIN = {'"': r'[^"\\]*', "'": r"[^'\\]*"}
_LITERALS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "/": "/", "\\": "\\", '"': '"', "'": "'", "\n": ""}
_UNICODE = r"u([0-9a-fA-F]{4})(?:\\u([dD][c-fC-F][0-9a-fA-F]{2}))?"
_compiled = cache(re.compile)  # when a text is met that needs it: most models write JSON as it should be


class Broken(ValueError):
    """The text stops being JSON at `position`.

    `keys` are those of every object that was open there, and of the objects in every list that was.
    """

    def __init__(self, position: int) -> None:
        super().__init__(position)
        self.position = position
        self.keys: set[str] = set()


class Truncated(Broken):
    """The text ends inside the value."""


def read_value(text: str, position: int) -> tuple[Any, int]:
    """Read one value at `position`; return it and the position after it. Raises Broken."""
    return _value(text, position, 0)


def near(text: str, broken: Broken) -> str:
    """The words around the place where `text` stops being JSON, quoted."""
    return repr(text[max(0, broken.position - 20) : broken.position + 20])


def _value(text: str, at: int, depth: int) -> tuple[Any, int]:
    at = _skip(text, at)
    char = text[at]
    if char == "{":
        return _object(text, at + 1, depth + 1)
    if char == "[":
        return _array(text, at + 1, depth + 1)
    if char in _PLAIN:
        return _string(text, at)
    return _scalar(text, at)


def _skip(text: str, at: int) -> int:
    """The position of the next character that is no space; there must be one."""
    at = _compiled(_SPACE).match(text, at).end()  # type: ignore[union-attr]  # matches the empty string
    if at == len(text):
        raise Truncated(at)
    return at


def _object(text: str, at: int, depth: int) -> tuple[dict[str, Any], int]:
    if depth > MAX_DEPTH:
        raise Broken(at)
    value: dict[str, Any] = {}
    try:
        while True:
            at = _skip(text, at)
            if text[at] == "}":
                return value, at + 1
            key, at = _member_key(text, at)
            value[key] = None  # known before its value is read: `Broken.keys`
            value[key], at = _value(text, at, depth)
            at = _separator(text, at, "}")
    except Broken as problem:
        problem.keys.update(value)
        raise


def _member_key(text: str, at: int) -> tuple[str, int]:
    if text[at] in _PLAIN:
        key, at = _string(text, at)
    elif word := _compiled(_WORD).match(text, at):
        key, at = word.group(), word.end()
    else:
        raise Broken(at)
    at = _skip(text, at)
    if text[at] != ":":
        raise Broken(at)
    return key, at + 1


def _array(text: str, at: int, depth: int) -> tuple[list[Any], int]:
    if depth > MAX_DEPTH:
        raise Broken(at)
    items: list[Any] = []
    try:
        while True:
            at = _skip(text, at)
            if text[at] == "]":
                return items, at + 1
            item, at = _value(text, at, depth)
            items.append(item)
            at = _separator(text, at, "]")
    except Broken as problem:
        problem.keys.update(*(item for item in items if isinstance(item, dict)))
        raise


def _separator(text: str, at: int, closing: str) -> int:
    """Step over a comma (a trailing one too), or stay at the closing bracket."""
    at = _skip(text, at)
    if text[at] == ",":
        return at + 1
    if text[at] == closing:
        return at
    raise Broken(at)


def _string(text: str, at: int) -> tuple[str, int]:
    quote, parts, at = text[at], [], at + 1
    while True:
        run = _compiled(_PLAIN[quote]).match(text, at)
        parts.append(run.group())  # type: ignore[union-attr]  # matches the empty string
        at = run.end()  # type: ignore[union-attr]
        if at >= len(text) - (text[at : at + 1] == "\\"):
            raise Truncated(len(text))
        if text[at] == quote:
            return "".join(parts), at + 1
        part, at = _escape(text, at + 1)
        parts.append(part)


def _escape(text: str, at: int) -> tuple[str, int]:
    """What follows a backslash; an escape JSON does not know (a regex's `\\d`) keeps its backslash."""
    known = _ESCAPES.get(text[at])
    if known is not None:
        return known, at + 1
    code = _compiled(_UNICODE).match(text, at)
    if code is None:
        return "\\" + text[at], at + 1
    first, second = int(code.group(1), 16), code.group(2)
    if second is None or not 0xD800 <= first < 0xDC00:
        return chr(first), at + 5
    return chr(0x10000 + ((first - 0xD800) << 10) + (int(second, 16) - 0xDC00)), code.end()


def _scalar(text: str, at: int) -> tuple[Any, int]:
    number = _compiled(_NUMBER).match(text, at)
    if number is not None:
        return _number(number, at), number.end()
    word = _compiled(_WORD).match(text, at)
    if word is None or word.group() not in _LITERALS:
        raise (Truncated if _ends(text, at, word) else Broken)(at)
    return _LITERALS[word.group()], word.end()


def _ends(text: str, at: int, word: re.Match[str] | None) -> bool:
    """Whether what stands here may be the first half of a literal or number (`tru`, `-`, `1.`)."""
    rest = text[at:] if word is None else word.group()
    if word is not None:
        return word.end() == len(text)
    return len(rest) < 30 and all(char in "-+.0123456789eE" for char in rest)  # longer is no number


def _number(match: re.Match[str], at: int) -> int | float:
    try:
        value = float(match.group()) if match.group(1) or match.group(2) else int(match.group())
    except ValueError:  # thousands of digits
        raise Broken(at) from None
    if value in (float("inf"), float("-inf")):  # JSON cannot say it, so history could not repeat it
        raise Broken(at)
    return value
