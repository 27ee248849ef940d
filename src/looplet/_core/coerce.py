"""Read a JSON value as another type, only where nothing is lost: "3" as 3, "true" as True, 3.0 as 3."""

from __future__ import annotations

import re
from typing import Any

from looplet._core.arguments import read_json

_INTEGER = r"(?a)([+-]?\d{1,400})(\.0+)?"
_NUMBER = r"(?a)[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,3})?"
_BOOLEANS = {"true": True, "false": False}
_INFINITIES = (float("inf"), float("-inf"))


def coerce(value: Any, kind: str) -> Any:
    """Return `value` as the JSON type `kind`, or None when that is impossible or would change its meaning."""
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, str):
        return None
    text = value.strip()
    if kind == "integer":
        whole = re.fullmatch(_INTEGER, text)
        return int(whole.group(1)) if whole else None
    if kind == "number":
        return _number(text)
    if kind == "boolean":
        return _BOOLEANS.get(text.lower())
    if kind == "array" and text.startswith("["):
        return _json(text, list)
    if kind == "object" and text.startswith("{"):
        return _json(text, dict)
    return None


def _number(text: str) -> int | float | None:
    whole = re.fullmatch(_INTEGER, text)
    if whole is not None:
        return int(whole.group(1))
    number = float(text) if re.fullmatch(_NUMBER, text) else None
    return None if number in _INFINITIES else number


def _json(text: str, kind: type) -> Any:
    try:
        value = read_json(text)
    except ValueError:
        return None
    return value if isinstance(value, kind) else None
