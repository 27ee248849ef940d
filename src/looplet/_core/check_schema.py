"""Check a value against the part of JSON Schema that tool parameters use, coercing where nothing is lost.

Understood: type, properties, patternProperties, required, additionalProperties, enum, const, anyOf, oneOf, allOf,
items, local $ref, and the bounds on numbers, lengths and items. The rest of a schema is ignored, and nonsense in it
too: the schema is the developer's, and a call must not fail for it.
"""

from __future__ import annotations

import re
from operator import ge, gt, le, lt
from typing import TYPE_CHECKING, Any

from looplet._core.coerce import coerce
from looplet._core.schema_refs import lookup
from looplet._core.schema_words import IS_A, as_list, describe, did_you_mean, kinds_of, show, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_DEPTH = 60
_MAX_VISITS = 100_000  # alternatives inside alternatives multiply; beyond this a value counts as fitting


def _number(value: Any) -> float | None:
    return value if IS_A["number"](value) else None


def _length(value: Any) -> int | None:
    return len(value) if isinstance(value, str) else None


def _count(value: Any) -> int | None:
    return len(value) if isinstance(value, list) else None


_BOUNDS = (
    ("minimum", _number, ge, "at least {}"),
    ("maximum", _number, le, "at most {}"),
    ("exclusiveMinimum", _number, gt, "more than {}"),
    ("exclusiveMaximum", _number, lt, "less than {}"),
    ("minLength", _length, ge, "at least {} characters"),
    ("maxLength", _length, le, "at most {} characters"),
    ("minItems", _count, ge, "at least {} items"),
    ("maxItems", _count, le, "at most {} items"),
)
_VALUE_WORDS = {"enum", "const", "pattern", *(bound[0] for bound in _BOUNDS)}
_COMBINING = {"allOf", "anyOf", "oneOf"}
_NAMES_MORE = {*_COMBINING, "$ref", "patternProperties", "additionalProperties"}  # than `properties` does


def takes_only_its_properties(schema: Mapping[str, Any]) -> bool:
    """Whether a tool's arguments are those in `properties`; unlike JSON Schema, that is so unless it says more."""
    return schema.get("additionalProperties") is False or _NAMES_MORE.isdisjoint(schema)


class Check:
    """One pass over one value. `problems` and `notes` are sentences for the model, in order."""

    def __init__(self, root: Any, visits: Iterator[int] | None = None) -> None:
        self.root = root
        self.problems: list[str] = []
        self.notes: list[str] = []
        self._visits = iter(range(_MAX_VISITS)) if visits is None else visits

    def arguments(self, args: dict[str, Any]) -> dict[str, Any]:
        """Check the arguments of a call; the very same object comes back when nothing had to change."""
        schema = self._resolve(self.root)
        if isinstance(schema, dict) and takes_only_its_properties(schema):
            schema = schema | {"additionalProperties": False}
        fitted: dict[str, Any] = self.fit(args, schema, "")
        return fitted if self.notes else args

    def fit(self, value: Any, schema: Any, where: str, depth: int = 0) -> Any:
        """Return `value`, coerced if that makes it fit; record what does not."""
        if depth > _MAX_DEPTH or next(self._visits, None) is None:
            return value
        schema = self._resolve(schema)
        if not isinstance(schema, dict):
            if schema is False:
                self._problem(where, "nothing is allowed here")
            return value
        value, fits = self._fit_type(value, schema.get("type"), where)
        if not fits:
            return value
        if not _COMBINING.isdisjoint(schema):
            value = self._fit_combined(value, schema, where, depth + 1)
        if not _VALUE_WORDS.isdisjoint(schema):  # most schemas say nothing of this kind
            self._check_values(value, schema, where)
        if isinstance(value, dict):
            return self._fit_object(value, schema, where, depth + 1)
        if isinstance(value, list):
            return self._fit_items(value, schema, where, depth + 1)
        return value

    def _resolve(self, schema: Any) -> Any:
        """Follow local references; one that leads nowhere or in circles allows everything."""
        for _ in range(_MAX_DEPTH):
            reference = schema.get("$ref") if isinstance(schema, dict) else None
            if reference is None:
                return schema
            schema = lookup(self.root, reference)
        return True

    def _problem(self, where: str, text: str) -> None:
        self.problems.append(f"{where!r}: {text}" if where else text)

    def _fit_type(self, value: Any, types: Any, where: str) -> tuple[Any, bool]:
        kinds = kinds_of(types)
        if not kinds or any(IS_A[kind](value) for kind in kinds):
            return value, True
        for kind in kinds:
            coerced = coerce(value, kind)
            if coerced is not None:
                self.notes.append(f"{where!r}: {describe(value)} was read as {describe(coerced)}.")
                return coerced, True
        wanted = " or ".join(kinds)
        self._problem(where, f"expected {wanted}, got {describe(value)}")
        return value, False

    def _fit_combined(self, value: Any, schema: dict[str, Any], where: str, depth: int) -> Any:
        for part in as_list(schema.get("allOf")):
            value = self.fit(value, part, where, depth)
        for word in ("anyOf", "oneOf"):
            if options := as_list(schema.get(word)):
                value = self._fit_any(value, options, where, depth)
        return value

    def _fit_any(self, value: Any, options: list[Any], where: str, depth: int) -> Any:
        """The first option that fits as it is, else the first that fits at all."""
        coercible: list[tuple[Any, list[str]]] = []
        tried: list[str] = []
        for option in options:
            trial = Check(self.root, self._visits)
            fitted = trial.fit(value, option, where, depth)
            if not trial.problems and not trial.notes:
                return value
            if not trial.problems:
                coercible.append((fitted, trial.notes))
            tried += trial.problems
        if not coercible:
            self.problems += dict.fromkeys(tried)  # in order, each once
            return value
        fitted, notes = coercible[0]
        self.notes += notes
        return fitted

    def _check_values(self, value: Any, schema: dict[str, Any], where: str) -> None:
        allowed = [schema["const"]] if "const" in schema else as_list(schema.get("enum"))
        if allowed and not any(_same(value, option) for option in allowed):
            guess = did_you_mean(value, allowed)
            self._problem(where, f"expected one of {', '.join(map(show, allowed))}; got {describe(value)}.{guess}")
        for word, measure, within, phrase in _BOUNDS:
            bound, size = _number(schema.get(word)), measure(value)
            if size is not None and bound is not None and not within(size, bound):
                self._problem(where, f"expected {phrase.format(bound)}, got {describe(value)}")
        pattern = schema.get("pattern")
        if isinstance(value, str) and isinstance(pattern, str) and not _matches(pattern, value):
            self._problem(where, f"expected text that matches {pattern!r}, got {describe(value)}")

    def _fit_object(self, value: dict[str, Any], schema: dict[str, Any], where: str, depth: int) -> dict[str, Any]:
        known = schema.get("properties")
        known = known if isinstance(known, dict) else {}
        required = [name for name in as_list(schema.get("required")) if isinstance(name, str)]
        others = schema.get("additionalProperties", True)
        fitted: dict[str, Any] = {}
        for name, item in value.items():
            inner = f"{where}.{name}" if where else str(name)
            part = known[name] if name in known else _pattern_schema(name, schema, others)
            if part is False and name not in known:
                self._unexpected(name, where, known)
            elif item is None and name in known and name not in required and not self._accepts_null(known[name]):
                self.notes.append(f"{inner!r}: null for an optional argument was left out.")
            else:
                fitted[name] = self.fit(item, part, inner, depth)
        for name in required:
            if name not in value:
                kind = type_name(known.get(name), self.root)
                self.problems.append(f"Missing argument {name!r}{_inside(where)} ({kind})")
        return fitted

    def _accepts_null(self, schema: Any) -> bool:
        trial = Check(self.root, self._visits)
        trial.fit(None, schema, "")
        return not trial.problems

    def _unexpected(self, name: object, where: str, known: dict[str, Any]) -> None:
        self.problems.append(f"Unexpected argument {name!r}{_inside(where)}.{did_you_mean(name, known)}")

    def _fit_items(self, value: list[Any], schema: dict[str, Any], where: str, depth: int) -> list[Any]:
        if "items" not in schema:
            return value
        return [self.fit(item, schema["items"], f"{where}[{index}]", depth) for index, item in enumerate(value)]


def _pattern_schema(name: object, schema: dict[str, Any], others: Any) -> Any:
    """What `patternProperties` says of a name, else `others`."""
    patterns = schema.get("patternProperties")
    if isinstance(patterns, dict) and isinstance(name, str):
        for pattern, part in patterns.items():
            if isinstance(pattern, str) and _matches(pattern, name):
                return part
    return others


def _inside(where: str) -> str:
    return f" in {where!r}" if where else ""


def _same(value: Any, option: Any) -> bool:
    """Equal as JSON: True is not 1."""
    return isinstance(value, bool) == isinstance(option, bool) and bool(value == option)


def _matches(pattern: str, text: str) -> bool:
    try:
        return re.search(pattern, text) is not None
    except re.error:  # another dialect: JSON Schema means JavaScript's
        return True
