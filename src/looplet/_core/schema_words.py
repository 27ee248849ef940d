"""Schemas and values in words, for the texts a model reads when its call does not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._core.to_text import to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_SHOWN = 80

IS_A: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
    "null": lambda value: value is None,
}


def as_list(value: Any) -> list[Any]:
    """`value` when it is a list, else an empty one: schemas are the developer's and may hold anything."""
    return value if isinstance(value, list) else []


def kinds_of(types: Any) -> list[str]:
    """The JSON types that a schema's `type` names."""
    return [kind for kind in (types if isinstance(types, list) else [types]) if isinstance(kind, str) and kind in IS_A]


def kind_name(kind: str) -> str:
    return "list" if kind == "array" else kind


def show(value: Any) -> str:
    return to_text(json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value, _SHOWN)


def describe(value: Any) -> str:
    """`string "abc"`."""
    kind = next((kind for kind, is_a in IS_A.items() if is_a(value)), type(value).__name__)
    return "null" if value is None else f"{kind_name(kind)} {show(value)}"


def type_name(schema: Any) -> str:
    """What a schema accepts, in a few words."""
    if not isinstance(schema, dict):
        return "anything"
    if options := as_list(schema.get("enum")):
        return f"one of {', '.join(map(show, options))}"
    if options := as_list(schema.get("anyOf")) or as_list(schema.get("oneOf")):
        return " or ".join(dict.fromkeys(_shallow_name(option) for option in options))
    return _shallow_name(schema)


def _shallow_name(schema: Any) -> str:
    if not isinstance(schema, dict):
        return "anything"
    if isinstance(schema.get("$ref"), str):
        return str(schema["$ref"].rpartition("/")[2])
    kinds = kinds_of(schema.get("type"))
    return " or ".join(map(kind_name, kinds)) or "anything"


def signature(schema: Any) -> str:
    """`name (string), limit (integer, optional)`: what a tool takes."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict) or not properties:
        return "no arguments"
    required = as_list(schema.get("required"))
    return ", ".join(
        f"{name} ({type_name(part)}{'' if name in required else ', optional'})" for name, part in properties.items()
    )


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """` Did you mean 'x'?`, or nothing when no known name is close."""
    candidates = {candidate.lower(): candidate for candidate in known if isinstance(candidate, str)}
    if not isinstance(name, str) or not candidates:
        return ""
    import difflib  # only a mistake needs it

    close = difflib.get_close_matches(name.lower()[:100], candidates, n=1)
    return f" Did you mean {candidates[close[0]]!r}?" if close else ""
