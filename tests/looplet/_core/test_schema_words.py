from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import JSON, patient

from looplet._core.schema_words import members, signature, type_name

STRING, INTEGER = {"type": "string"}, {"type": "integer"}
ITEM = {"type": "object", "properties": {"sku": STRING, "qty": INTEGER}, "required": ["sku"]}


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({}, "anything"),
        (True, "anything"),
        (STRING, "string"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"anyOf": [STRING, {"type": "null"}]}, "string or null"),
        ({"oneOf": [STRING, STRING]}, "string"),
        ({"allOf": [ITEM]}, "{sku: string, qty: integer (optional)}"),
        ({"enum": ["a", 1, None]}, 'one of "a", 1, null'),
        ({"const": "a"}, '"a"'),
        ({"type": "array"}, "array"),
        ({"type": "array", "items": STRING}, "array of string"),
        ({"type": "array", "items": {"type": ["string", "null"]}}, "array of (string or null)"),
        ({"type": "array", "items": ITEM}, "array of {sku: string, qty: integer (optional)}"),
        ({"type": "object"}, "object"),
        ({"type": "object", "additionalProperties": True}, "object"),
        ({"type": "object", "additionalProperties": INTEGER}, "{...: integer}"),
        ({"properties": {"x": True}}, "{x: anything (optional)}"),
        ({"$ref": "https://example.org/Elsewhere"}, "Elsewhere"),
    ],
    ids=str,
)
def test_what_a_schema_accepts_in_words(schema: Any, words: str) -> None:
    assert type_name(schema) == words


def test_references_are_followed_and_recursion_is_named() -> None:
    root: dict[str, Any] = {
        "properties": {"node": {"$ref": "#/$defs/Node"}, "again": {"$ref": "#"}},
        "$defs": {"Node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}, "v": INTEGER}}},
    }
    node = "{next: Node (optional), v: integer (optional)}"
    assert members(root, root) == (
        f"node: {node} (optional), again: {{node: {node} (optional), again: object (optional)}} (optional)"
    )


def test_a_signature_is_what_a_tool_takes() -> None:
    assert signature(ITEM) == "{sku: string, qty: integer (optional)}"
    assert signature({"type": "object", "properties": {"x": True}, "required": None}) == "{x: anything (optional)}"
    assert signature({"type": "object", "additionalProperties": True}) == "{...: anything}"
    for nothing in ({"type": "object"}, {"type": "object", "properties": None}, True):
        assert signature(nothing) == "no arguments"


def test_a_long_chain_of_references_ends() -> None:
    root: dict[str, Any] = {
        f"n{number}": {"type": "array", "items": {"$ref": f"#/n{number + 1}"}} for number in range(99)
    }
    words = type_name(root["n0"], root)
    assert words.startswith("array of array of array of")
    assert words.endswith("anything")


WORDS = st.sampled_from(["type", "properties", "required", "items", "enum", "anyOf", "allOf", "$ref", "const"])
NONSENSE = st.recursive(JSON, lambda inner: st.dictionaries(WORDS, inner | st.just("object"), max_size=4), max_leaves=9)


@patient
@given(NONSENSE)
def test_any_schema_has_words(schema: Any) -> None:
    assert type_name(schema, schema)
    assert signature(schema)
