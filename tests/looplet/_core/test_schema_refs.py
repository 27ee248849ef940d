from __future__ import annotations

from typing import Any

import pytest

from looplet._core.schema_refs import lookup, rebased

NODE = {"type": "object", "properties": {"next": {"$ref": "#/$defs/a~1b"}, "$ref": {"type": "string"}}}


def test_a_moved_schema_leads_where_it_led_before() -> None:
    schema: dict[str, Any] = {
        "properties": {
            "list": {"items": {"$ref": "#/$defs/a~1b"}},
            "old": {"anyOf": [{"$ref": "#/definitions/Old"}]},
            "self": {"$ref": "#"},
            "list_again": {"$ref": "#/properties/list"},
        },
        "$defs": {"a/b": NODE},
        "definitions": {"Old": {"const": 1}},
    }
    definitions: dict[str, Any] = {}
    moved = rebased(schema, "tool", "/properties/args", definitions)
    root = {"properties": {"args": moved}, "$defs": definitions}
    parts = moved["properties"]
    assert lookup(root, parts["list"]["items"]["$ref"]) == {
        "type": "object",
        "properties": {"next": {"$ref": "#/$defs/tool.a~1b"}, "$ref": {"type": "string"}},
    }
    assert lookup(root, parts["old"]["anyOf"][0]["$ref"]) == {"const": 1}
    assert lookup(root, parts["self"]["$ref"]) is moved
    assert lookup(root, parts["list_again"]["$ref"]) is parts["list"]
    assert moved.keys() == {"properties"}
    assert schema["properties"]["self"] == {"$ref": "#"}  # the tool's own stays as it is


@pytest.mark.parametrize("reference", ["https://example.org/x", "#anchor"])
def test_other_references_stay(reference: str) -> None:
    assert rebased({"$ref": reference}, "tool", "/at", {}) == {"$ref": reference}
