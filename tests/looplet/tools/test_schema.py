from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NewType, NotRequired, Optional, Required, TypedDict, Union

import pytest

from looplet.tools.registry import BaseToolRegistry
from looplet.tools.spec import tool
from looplet.types import ErrorKind, ToolCall, ToolResult


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


class Opaque(enum.Enum):
    A = object()


@dataclass
class Point:
    x: int
    colour: Colour = Colour.RED
    tags: set[str] = field(default_factory=set)
    hidden: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        if self.x < 0:
            raise ValueError("x is negative")


@dataclass
class Node:
    value: int
    children: list[Node] = field(default_factory=list)
    twin: Node | None = None


class Options(TypedDict, total=False):
    depth: Required[int]
    colour: Colour


class Strict(TypedDict):
    a: int
    b: NotRequired[str]


UserId = NewType("UserId", int)
POINT = {
    "type": "object",
    "properties": {
        "x": {"type": "integer"},
        "colour": {"type": "string", "enum": ["red", "blue"]},
        "tags": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["x"],
    "additionalProperties": False,
}


def schema_of(annotation: object) -> Any:
    def act(x):  # type: ignore[no-untyped-def]  # annotated below
        return x

    act.__annotations__["x"] = annotation
    return tool(act).parameters["properties"]["x"]


def received(annotation: object, value: Any) -> ToolResult:
    """What a function with this annotation gets for a value the model sent."""

    def act(x):  # type: ignore[no-untyped-def]  # annotated below
        return x

    act.__annotations__["x"] = annotation
    registry = BaseToolRegistry()
    registry.register(act)
    return registry.dispatch(ToolCall("act", {"x": value}))


@pytest.mark.parametrize(
    ("annotation", "schema"),
    [
        (str, {"type": "string"}),
        (int, {"type": "integer"}),
        (float, {"type": "number"}),
        (bool, {"type": "boolean"}),
        (None, {"type": "null"}),
        (Any, {}),
        (object, {}),
        ("int", {"type": "integer"}),
        (list, {"type": "array"}),
        (list[int], {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], {"type": "array", "items": {"type": "string"}}),
        (set[int], {"type": "array", "items": {"type": "integer"}}),
        (tuple[int, ...], {"type": "array", "items": {"type": "integer"}}),
        (
            tuple[int, str, int],
            {
                "type": "array",
                "items": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
                "minItems": 3,
                "maxItems": 3,
            },
        ),
        (dict, {"type": "object"}),
        (dict[str, int], {"type": "object", "additionalProperties": {"type": "integer"}}),
        (Mapping[str, Any], {"type": "object"}),
        (Literal["a", "b"], {"type": "string", "enum": ["a", "b"]}),
        (Literal["a", 1, None], {"enum": ["a", 1, None]}),
        (Optional[int], {"anyOf": [{"type": "integer"}, {"type": "null"}]}),  # noqa: UP045  # the older spelling
        (int | str, {"anyOf": [{"type": "integer"}, {"type": "string"}]}),
        (Union[int, list[str]], {"anyOf": [{"type": "integer"}, {"type": "array", "items": {"type": "string"}}]}),  # noqa: UP007
        (Annotated[int, "how many"], {"type": "integer", "description": "how many"}),
        (Annotated[int, {"minimum": 1}, b"of somebody else"], {"type": "integer", "minimum": 1}),
        (UserId, {"type": "integer"}),
        (Colour, {"type": "string", "enum": ["red", "blue"]}),
        (Level, {"type": "integer", "enum": [1, 2]}),
        (Opaque, {"type": "string", "enum": ["A"]}),
        (Point, POINT),
        (
            Strict,
            {
                "type": "object",
                "properties": {"a": {"type": "integer"}, "b": {"type": "string"}},
                "required": ["a"],
                "additionalProperties": False,
            },
        ),
        (
            Options,
            {
                "type": "object",
                "properties": {"depth": {"type": "integer"}, "colour": {"type": "string", "enum": ["red", "blue"]}},
                "required": ["depth"],
                "additionalProperties": False,
            },
        ),
    ],
    ids=str,
)
def test_an_annotation_has_a_json_schema(annotation: object, schema: object) -> None:
    assert schema_of(annotation) == schema


def test_a_type_that_contains_itself_is_referred_to() -> None:
    @tool
    def act(first: Node, second: list[Node]) -> None:
        pass

    node = {"$ref": "#/$defs/Node"}
    assert act.parameters["properties"] == {"first": node, "second": {"type": "array", "items": node}}
    assert act.parameters["$defs"] == {
        "Node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": node},
                "twin": {"anyOf": [node, {"type": "null"}]},
            },
            "required": ["value"],
            "additionalProperties": False,
        }
    }


@pytest.mark.parametrize(
    ("annotation", "value", "python"),
    [
        (Colour, "blue", Colour.BLUE),
        (Level, 2, Level.HIGH),
        (Opaque, "A", Opaque.A),
        (Point, {"x": 1}, Point(1)),
        (Point, {"x": "1", "colour": "blue", "tags": ["a"]}, Point(1, Colour.BLUE, {"a"})),
        (list[Point], [{"x": 1}, {"x": 2}], [Point(1), Point(2)]),
        (dict[str, Colour], {"a": "red"}, {"a": Colour.RED}),
        (tuple[int, Colour], [1, "red"], (1, Colour.RED)),
        (set[int], [1, 2, 1], {1, 2}),
        (frozenset[Colour], ["red"], frozenset({Colour.RED})),
        (Colour | None, "red", Colour.RED),
        (Colour | None, None, None),
        (Colour | Point, {"x": 1}, Point(1)),
        (Annotated[Colour, "which"], "red", Colour.RED),
        (Options, {"depth": 1, "colour": "red"}, {"depth": 1, "colour": Colour.RED}),
        (Node, {"value": 1, "children": [{"value": 2, "twin": {"value": 3}}]}, Node(1, [Node(2, twin=Node(3))])),
        (Sequence[int], [1], [1]),
    ],
    ids=str,
)
def test_the_function_receives_what_it_is_annotated_with(annotation: object, value: Any, python: object) -> None:
    result = received(annotation, value)
    assert result.error is None
    assert result.data == python
    assert type(result.data) is type(python)


@pytest.mark.parametrize(
    ("annotation", "value", "problem"),
    [
        (Colour, "green", '\'x\': expected one of "red", "blue"; got string "green"'),
        (Point, {"y": 1}, "Missing argument 'x' in 'x' (integer)"),
        (Node, {"value": 1, "children": [{"value": "two"}]}, "'x.children[0].value': expected integer"),
        (tuple[int, str], [1], "'x': expected at least 2 items"),
    ],
    ids=str,
)
def test_what_does_not_fit_the_annotation_is_refused(annotation: object, value: Any, problem: str) -> None:
    result = received(annotation, value)
    assert problem in str(result.error)
    assert result.error_kind is ErrorKind.VALIDATION


def test_values_the_class_itself_refuses_are_the_callers_mistake() -> None:
    result = received(Point, {"x": -1})
    assert result.error == "ToolValidationError: Point: x is negative"
    assert result.error_kind is ErrorKind.VALIDATION


@pytest.mark.parametrize(
    ("annotation", "why"),
    [
        (bytes, "<class 'bytes'> has no JSON Schema; annotate it with JSON-like types"),
        (list[complex], "<class 'complex'> has no JSON Schema"),
        (Callable[[], int], "has no JSON Schema"),
        (dict[int, str], "dict[int, str] has keys that are not str, which JSON cannot hold"),
        (Literal[b"a"], "typing.Literal[b'a'] holds values that JSON cannot"),
        (
            "Missing",
            "its annotation cannot be resolved (name 'Missing' is not defined); define or import the name at the top",
        ),
    ],
    ids=str,
)
def test_an_annotation_without_schema_names_tool_and_parameter(annotation: object, why: str) -> None:
    with pytest.raises(TypeError) as caught:
        schema_of(annotation)
    assert str(caught.value).startswith("tool 'act', parameter 'x': ")
    assert why in str(caught.value)
    assert str(caught.value).endswith('or give parameters={"x": "str"}')
