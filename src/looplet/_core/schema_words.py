"""Schemas and values in words, for what a model reads: the tools it has, and why its call does not fit."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._core.schema_refs import lookup
from looplet._core.to_text import to_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

CALL_FORM = '{"tool": "NAME", "args": {"PARAMETER": "VALUE"}}'  # how a call is written in the text protocol

_SHOWN = 80
_MAX_DEPTH = 12  # references that lead to references multiply

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


def show(value: Any) -> str:
    return to_text(json.dumps(value, ensure_ascii=False) if isinstance(value, str) else value, _SHOWN)


def describe(value: Any) -> str:
    """`string "abc"`."""
    kind = next((kind for kind, is_a in IS_A.items() if is_a(value)), type(value).__name__)
    return "null" if value is None else f"{kind} {show(value)}"


def type_name(schema: Any, root: Any = None, above: tuple[str, ...] = ()) -> str:
    """What a schema accepts, in a few words: `array of {sku: string, note: string or null (optional)}`.

    `root` is where its references lead; `above` holds those it stands in, and a word for each level.
    """
    if not isinstance(schema, dict) or len(above) > _MAX_DEPTH:
        return "anything"
    if isinstance(reference := schema.get("$ref"), str):
        if reference in above or not isinstance(target := lookup(root, reference), dict):
            return reference.rpartition("/")[2].strip("#") or "object"  # it contains itself
        return type_name(target, root, (*above, reference))
    if "const" in schema:
        return show(schema["const"])
    if options := as_list(schema.get("enum")):
        return f"one of {', '.join(map(show, options))}"
    above = (*above, "")
    if not _properties(schema):
        for word in ("anyOf", "oneOf", "allOf"):
            if options := as_list(schema.get(word)):
                joint = " and " if word == "allOf" else " or "
                return joint.join(dict.fromkeys(type_name(option, root, above) for option in options))
    kinds = kinds_of(schema.get("type")) or (["object"] if _properties(schema) else [])
    return " or ".join(_kind(kind, schema, root, above) for kind in kinds) or "anything"


def members(schema: Any, root: Any, above: tuple[str, ...] = ()) -> str:
    """`name: string, limit: integer (optional), ...: number`; the dots stand for any other name."""
    if not isinstance(schema, dict):
        return ""
    required = as_list(schema.get("required"))
    listed = [
        f"{name}: {type_name(part, root, above)}{'' if name in required else ' (optional)'}"
        for name, part in _properties(schema).items()
    ]
    if others := schema.get("additionalProperties"):
        listed.append(f"...: {type_name(others, root, above)}")
    return ", ".join(listed)


def signature(schema: Any) -> str:
    """`{name: string, limit: integer (optional)}`: what a tool takes."""
    words = members(schema, schema)
    return f"{{{words}}}" if words else "no arguments"


def _kind(kind: str, schema: dict[str, Any], root: Any, above: tuple[str, ...]) -> str:
    if kind == "array" and isinstance(schema.get("items"), dict):
        item = type_name(schema["items"], root, above)
        return f"array of ({item})" if " or " in item and not item.endswith("}") else f"array of {item}"
    if kind == "object" and (_properties(schema) or isinstance(schema.get("additionalProperties"), dict)):
        return f"{{{members(schema, root, above)}}}"
    return kind


def _properties(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    return properties if isinstance(properties, dict) else {}


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """` Did you mean 'x'?`, or nothing when no known name is close."""
    candidates = {candidate.lower(): candidate for candidate in known if isinstance(candidate, str)}
    if not isinstance(name, str) or not candidates:
        return ""
    import difflib  # only a mistake needs it

    close = difflib.get_close_matches(name.lower()[:100], candidates, n=1)
    return f" Did you mean {candidates[close[0]]!r}?" if close else ""
