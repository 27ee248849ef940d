"""The text protocol: what a model without native tools is told of them."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import pytest

from looplet import tool
from looplet._core.check_schema import Check
from looplet._core.parse import parse_reply
from looplet._core.prompt import reply_schema, text_protocol
from looplet.messages import Reply, ToolSchema


class Item(TypedDict):
    sku: str
    qty: int


class Node(TypedDict, total=False):
    value: int
    next: Node


@tool
def order(items: list[Item], speed: Literal["slow", "fast"], note: str | None = None) -> None:
    """Order goods.

    Args:
        items: what to buy
    """


@tool
def walk(node: Node) -> None:
    """Walk a list."""


def test_the_catalogue_shows_what_each_tool_takes() -> None:
    assert (
        '- order(items: array of {sku: string, qty: integer}, speed: one of "slow", "fast", '
        "note: string or null (optional)): Order goods.\n    items: what to buy\n"
    ) in text_protocol((order.schema,), "done")


@pytest.mark.parametrize(
    ("parameters", "shown"),
    [
        ({"type": "object", "properties": {"x": True}, "required": None}, "- act(x: anything (optional)): Act."),
        ({"type": "object", "properties": None}, "- act(): Act."),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "- act(...: integer): Act."),
    ],
)
def test_an_odd_schema_is_shown_too(parameters: dict[str, Any], shown: str) -> None:
    assert shown in text_protocol((ToolSchema("act", "Act.", parameters),), "done")


def test_the_protocol_and_the_complaint_ask_for_the_same_form() -> None:
    form = '{"tool": "NAME", "args": {"PARAMETER": "VALUE"}}'
    complaint = parse_reply(Reply("hm"), {}, "done", text_mode=True, next_id=lambda: "1", taken=set()).complaint
    assert form in text_protocol((), "done")
    assert form in str(complaint)


@pytest.mark.parametrize("tools", [(walk,), (order, walk)], ids=["one tool", "two tools"])
def test_references_of_a_tool_hold_in_the_reply_schema(tools: tuple[Any, ...]) -> None:
    schema = reply_schema(tuple(one.schema for one in tools))

    def problems(value: object) -> list[str]:
        check = Check(schema)
        check.fit({"tool": "walk", "args": {"node": {"next": {"value": value}}}}, schema, "")
        return check.problems

    assert problems(1) == []
    assert "'args.node.next.value': expected integer, got string \"x\"" in problems("x")
    assert list(schema["$defs"]) == ["walk.Node"]
