"""Raw arguments, as a server or a text holds them, made into a JSON object that history can repeat."""

from __future__ import annotations

import json
from typing import Any

from looplet._core.lenient_json import MAX_DEPTH, Broken, Truncated, near, read_value
from looplet._core.to_text import encodable, to_text

_SHOWN = 200
_KEPT = 500
_UNWRAPPINGS = 3  # arguments encoded as JSON in JSON in JSON
_INFINITIES = (float("inf"), float("-inf"))


def decode_arguments(arguments: object) -> tuple[dict[str, Any], str | None]:
    """Return the arguments; when they are unusable, keep what was written and say what is wrong with it."""
    value = arguments
    try:
        for _ in range(_UNWRAPPINGS):
            if not isinstance(value, str):
                break
            value = _decode(value) if value.strip() else None
        if value is None:
            return {}, None
        if isinstance(value, dict):
            return _clean(value, MAX_DEPTH), None
    except Broken as broken:
        return _unusable(arguments, _why(value, broken))
    except ValueError as error:
        return _unusable(arguments, str(error))
    return _unusable(arguments, f"they are {to_text(value, _SHOWN)}")


def read_json(text: str) -> Any:
    """Read a whole text as JSON, spelling errors forgiven; ValueError (or Broken, which is one) otherwise."""
    return _clean(_decode(text), MAX_DEPTH)


def own_copy(value: Any) -> Any:
    """A copy of JSON-shaped `value` that shares no dict or list with it; anything else inside is shared."""
    if isinstance(value, dict):
        return {key: own_copy(item) for key, item in value.items()}
    if isinstance(value, list):
        return [own_copy(item) for item in value]
    return value


def _decode(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        value, end = read_value(text, 0)
        if text[end:].strip():
            raise Broken(end) from None
        return value


def _clean(value: Any, depth: int) -> Any:
    """Refuse what JSON cannot repeat and what nests too deep for any encoder; make every string encodable."""
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, float) and (value != value or value in _INFINITIES):
        raise ValueError(f"they hold {value}, which JSON cannot say")
    if not isinstance(value, (dict, list)):
        return value
    if depth == 0:
        raise ValueError("they are nested too deep")
    if isinstance(value, list):
        return [_clean(item, depth - 1) for item in value]
    return {encodable(str(key)): _clean(item, depth - 1) for key, item in value.items()}


def _why(value: object, broken: Broken) -> str:
    if isinstance(broken, Truncated):
        return "they end before they are complete"
    return f"they are not valid JSON near {near(str(value), broken)}"


def _unusable(arguments: object, why: str) -> tuple[dict[str, Any], str]:
    written = encodable(arguments) if isinstance(arguments, str) else to_text(arguments, _KEPT)
    return {"invalid_json": written[:_KEPT]}, f"The arguments must be one JSON object, but {why}."
