from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import JSON, JSON_OBJECTS, TEXT, patient
from tests.support.tools import FakeTool, tools_with

from looplet._core.validate import validate
from looplet.types import ErrorKind, ToolCall, ToolResult

STRING, INTEGER, NUMBER = {"type": "string"}, {"type": "integer"}, {"type": "number"}
BOOLEAN, ARRAY, OBJECT = {"type": "boolean"}, {"type": "array"}, {"type": "object"}
NAMED = {"type": "object", "properties": {"name": STRING, "age": INTEGER}, "required": ["name"]}


def accepted(value: Any, schema: Any) -> tuple[Any, tuple[str, ...]]:
    """The value of the one argument after validation, and the notes."""
    checked = validate(ToolCall("act", {"x": value}), tools_with(x=schema))
    assert not isinstance(checked, ToolResult), checked.error
    return checked[0].args["x"], checked[1]


def refused(value: Any, schema: Any) -> str:
    """The sentence about the one argument."""
    return refusal({"x": value}, {"type": "object", "properties": {"x": schema}})


def refusal(args: dict[str, Any], parameters: dict[str, Any]) -> str:
    checked = validate(ToolCall("act", args), {"act": FakeTool("act", parameters)})
    assert isinstance(checked, ToolResult)
    assert checked.tool == "act"
    assert checked.error_kind is ErrorKind.VALIDATION
    assert not checked.error_retriable
    assert checked.error is not None
    start, end = "act was not run. ", " Expected: "
    assert checked.error.startswith(start)
    return checked.error.removeprefix(start).rpartition(end)[0]


def test_a_call_that_fits_comes_back_as_it_is() -> None:
    call = ToolCall("act", {"x": "text"})
    checked = validate(call, tools_with(x=STRING))
    assert checked == (call, ())
    assert not isinstance(checked, ToolResult)
    assert checked[0] is call


def test_an_unknown_tool_is_answered_with_the_nearest_name() -> None:
    tools = {name: FakeTool(name, {}) for name in ("search_web", "done")}
    checked = validate(ToolCall("Search_Wbe"), tools)
    assert checked == ToolResult(
        "Search_Wbe",
        error="There is no tool 'Search_Wbe'. Did you mean 'search_web'? The tools are: search_web, done.",
        error_kind=ErrorKind.VALIDATION,
    )
    nothing_near = validate(ToolCall("zzz"), tools)
    assert isinstance(nothing_near, ToolResult)
    assert nothing_near.error == "There is no tool 'zzz'. The tools are: search_web, done."


def test_the_refusal_says_what_was_expected_and_what_was_given() -> None:
    checked = validate(ToolCall("act", {"nmae": "Bob"}), {"act": FakeTool("act", NAMED)})
    assert isinstance(checked, ToolResult)
    assert checked.error == (
        "act was not run. Unexpected argument 'nmae'. Did you mean 'name'? Missing argument 'name' (string). "
        'Expected: {name: string, age: integer (optional)}. Given: {"nmae":"Bob"}'
    )


def test_a_tool_without_parameters_expects_none() -> None:
    assert refusal({"a": 1}, {"type": "object", "properties": {}}) == "Unexpected argument 'a'."
    checked = validate(ToolCall("act", {"a": 1}), {"act": FakeTool("act", {"type": "object"})})
    assert isinstance(checked, ToolResult)
    assert "Expected: no arguments." in str(checked.error)


@pytest.mark.parametrize(
    ("value", "schema", "problem"),
    [
        (3, STRING, "'x': expected string, got integer 3."),
        (True, INTEGER, "'x': expected integer, got boolean true."),
        (1, BOOLEAN, "'x': expected boolean, got integer 1."),
        (3.5, INTEGER, "'x': expected integer, got number 3.5."),
        ("3.5", INTEGER, "'x': expected integer, got string \"3.5\"."),
        ("abc", NUMBER, "'x': expected number, got string \"abc\"."),
        ("1e999", NUMBER, "'x': expected number, got string \"1e999\"."),
        ("abc", ARRAY, "'x': expected array, got string \"abc\"."),
        ("[1", ARRAY, "'x': expected array, got string \"[1\"."),
        ("[NaN]", ARRAY, "'x': expected array, got string \"[NaN]\"."),
        ("abc", {"type": ["integer", "null"]}, "'x': expected integer or null, got string \"abc\"."),
        (
            "re",
            {"enum": ["red", "blue"]},
            '\'x\': expected one of "red", "blue"; got string "re". Did you mean \'red\'?',
        ),
        (True, {"enum": [1, 2]}, "'x': expected one of 1, 2; got boolean true."),
        (2, {"const": 1}, "'x': expected one of 1; got integer 2."),
        (0, INTEGER | {"minimum": 1}, "'x': expected at least 1, got integer 0."),
        (9, INTEGER | {"maximum": 5}, "'x': expected at most 5, got integer 9."),
        (1, INTEGER | {"exclusiveMinimum": 1}, "'x': expected more than 1, got integer 1."),
        (5, INTEGER | {"exclusiveMaximum": 5}, "'x': expected less than 5, got integer 5."),
        ("", STRING | {"minLength": 1}, "'x': expected at least 1 characters, got string \"\"."),
        ("abc", STRING | {"maxLength": 2}, "'x': expected at most 2 characters, got string \"abc\"."),
        ([], ARRAY | {"minItems": 1}, "'x': expected at least 1 items, got array []."),
        ([1, 2], ARRAY | {"maxItems": 1}, "'x': expected at most 1 items, got array [1,2]."),
        ("a1", STRING | {"pattern": "^[a-z]+$"}, "'x': expected text that matches '^[a-z]+$', got string \"a1\"."),
        ([1, "b"], ARRAY | {"items": INTEGER}, "'x[1]': expected integer, got string \"b\"."),
        ({"name": 1}, NAMED, "'x.name': expected string, got integer 1."),
        ({}, NAMED, "Missing argument 'name' in 'x' (string)."),
        (
            {"x-a": "b"},
            {"patternProperties": {"^y": {}, "^x-": INTEGER}, "additionalProperties": False},
            "'x.x-a': expected integer, got string \"b\".",
        ),
        (
            {"y": 1},
            {"patternProperties": {"^x-": {}}, "additionalProperties": False},
            "Unexpected argument 'y' in 'x'.",
        ),
        ({"name": "a", "b": 1}, NAMED | {"additionalProperties": False}, "Unexpected argument 'b' in 'x'."),
        ({"a": "b"}, OBJECT | {"additionalProperties": INTEGER}, "'x.a': expected integer, got string \"b\"."),
        (
            "a",
            {"anyOf": [INTEGER, BOOLEAN]},
            "'x': expected integer, got string \"a\". 'x': expected boolean, got string \"a\".",
        ),
        (1, {"allOf": [INTEGER, {"minimum": 2}]}, "'x': expected at least 2, got integer 1."),
        (1, False, "'x': nothing is allowed here."),
    ],
)
def test_a_value_that_does_not_fit_is_named_with_what_was_expected(value: Any, schema: Any, problem: str) -> None:
    assert refused(value, schema) == problem


@pytest.mark.parametrize(
    ("value", "schema", "coerced", "note"),
    [
        ("3", INTEGER, 3, "'x': string \"3\" was read as integer 3."),
        (" -3.0 ", INTEGER, -3, "'x': string \" -3.0 \" was read as integer -3."),
        (3.0, INTEGER, 3, "'x': number 3.0 was read as integer 3."),
        ("2.5", NUMBER, 2.5, "'x': string \"2.5\" was read as number 2.5."),
        ("True", BOOLEAN, True, "'x': string \"True\" was read as boolean true."),
        ("[1, 2]", ARRAY, [1, 2], "'x': string \"[1, 2]\" was read as array [1,2]."),
        (
            '{"name": "a"}',
            NAMED,
            {"name": "a"},
            '\'x\': string "{\\"name\\": \\"a\\"}" was read as object {"name":"a"}.',
        ),
        (["1"], ARRAY | {"items": INTEGER}, [1], "'x[0]': string \"1\" was read as integer 1."),
        ("7", {"anyOf": [{"type": "null"}, INTEGER]}, 7, "'x': string \"7\" was read as integer 7."),
    ],
)
def test_a_coercion_that_loses_nothing_is_made_and_noted(value: Any, schema: Any, coerced: Any, note: str) -> None:
    fitted, notes = accepted(value, schema)
    assert fitted == coerced
    assert type(fitted) is type(coerced)
    assert notes == (note,)


@pytest.mark.parametrize(
    ("value", "schema"),
    [
        ("3", {"type": ["integer", "string"]}),
        ("7", {"anyOf": [INTEGER, STRING]}),
        (None, {"type": ["integer", "null"]}),
        (3, NUMBER),
        ("2020-01-01", STRING | {"format": "date"}),
        ("x", STRING | {"pattern": "(?P<broken"}),
        ({"a": 1}, {"patternProperties": {"(?P<broken": {}}, "additionalProperties": False}),
        ({"any": [1]}, {}),
        ({"any": [1]}, True),
        ({"name": "a", "extra": 1}, NAMED),
        ("x", {"type": "nonsense"}),
        ("x", {"$ref": "https://example.org/elsewhere"}),
        ("x", {"$ref": "#/$defs/missing"}),
        ("x", {"$ref": "#/properties/x"}),
    ],
)
def test_what_fits_or_is_not_understood_is_accepted_unchanged(value: Any, schema: Any) -> None:
    assert accepted(value, schema) == (value, ())


def test_null_for_an_optional_argument_is_left_out() -> None:
    checked = validate(ToolCall("act", {"name": "a", "age": None}), {"act": FakeTool("act", NAMED)})
    assert checked == (ToolCall("act", {"name": "a"}), ("'age': null for an optional argument was left out.",))
    assert refusal({"name": None}, NAMED) == "'name': expected string, got null."


def test_local_references_are_followed_however_deep_the_value() -> None:
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/a~1node"}, "n": INTEGER}, "required": ["n"]}
    parameters = {"type": "object", "properties": {"x": {"$ref": "#/$defs/a~1node"}}, "$defs": {"a/node": node}}
    assert refusal({"x": {"n": 1, "next": {"n": 2, "next": {}}}}, parameters) == (
        "Missing argument 'n' in 'x.next.next' (integer)."
    )


def test_unexpected_arguments_are_allowed_where_the_schema_says_so() -> None:
    parameters = {"type": "object", "properties": {}, "additionalProperties": INTEGER}
    tools = {"act": FakeTool("act", parameters)}
    assert validate(ToolCall("act", {"a": "1"}), tools) == (
        ToolCall("act", {"a": 1}),
        ("'a': string \"1\" was read as integer 1.",),
    )


@pytest.mark.parametrize(
    "more",
    [
        {"allOf": [{"properties": {"a": INTEGER}, "required": ["a"]}]},
        {"anyOf": [{"properties": {"a": INTEGER}}, {"properties": {"b": INTEGER}}]},
        {"oneOf": [{"properties": {"a": INTEGER}}]},
        {"patternProperties": {"^[a-z]$": INTEGER}},
    ],
    ids=lambda more: next(iter(more)),
)
def test_arguments_named_elsewhere_than_in_properties_are_allowed(more: dict[str, Any]) -> None:
    call = ToolCall("act", {"a": 1})
    assert validate(call, {"act": FakeTool("act", {"type": "object", **more})}) == (call, ())
    if "anyOf" not in more:  # its second alternative says nothing of `a`
        assert refusal({"a": "b"}, {"type": "object", **more}) == "'a': expected integer, got string \"b\"."


def test_many_problems_are_summed_up() -> None:
    problems = refusal({f"a{number}": 1 for number in range(20)}, {"type": "object"})
    assert problems.count("Unexpected") == 8
    assert problems.endswith("Unexpected argument 'a7'. And 12 more.")


def test_alternatives_within_alternatives_end() -> None:
    again = {"allOf": [{"$ref": "#/$defs/all"}, STRING]}  # never fits, and every level tries each alternative
    parameters = {
        "type": "object",
        "properties": {"x": {"$ref": "#/$defs/all"}},
        "$defs": {"all": {"anyOf": [again] * 10}},
    }
    call = ToolCall("act", {"x": 1})
    assert validate(call, {"act": FakeTool("act", parameters)}) == (
        call,
        (),
    )  # after so many tries it counts as fitting


KINDS = st.sampled_from(["string", "integer", "number", "boolean", "array", "object", "null"])
LEAVES = st.fixed_dictionaries(
    {},
    optional={
        "type": KINDS | st.lists(KINDS, max_size=3),
        "enum": st.lists(JSON, max_size=3),
        "minimum": st.integers(-5, 5),
        "maxLength": st.integers(0, 5),
        "minItems": st.integers(0, 2),
    },
)


def _grown(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    properties = st.dictionaries(st.sampled_from("abc"), inner, max_size=3)
    return (
        st.fixed_dictionaries({"type": st.just("array"), "items": inner})
        | st.fixed_dictionaries(
            {"type": st.just("object"), "properties": properties},
            optional={
                "required": st.lists(st.sampled_from("abc"), max_size=2),
                "additionalProperties": inner | st.booleans(),
            },
        )
        | st.fixed_dictionaries({"anyOf": st.lists(inner, min_size=1, max_size=3)})
        | st.fixed_dictionaries({"allOf": st.lists(inner, max_size=2)})
    )


SCHEMAS = st.recursive(LEAVES | st.booleans() | st.just({"$ref": "#"}), _grown, max_leaves=8)
WRITTEN = st.sampled_from(
    ["3", "3.0", "true", "[1]", '{"a": "3"}', '["1", null]', 3.0, "1.5", None, {"a": None}, ["2"]]
)
VALUES = st.recursive(
    WRITTEN | JSON,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=6,
)


@patient
@given(
    st.dictionaries(st.sampled_from("abcd"), VALUES, max_size=4),
    SCHEMAS.filter(lambda schema: isinstance(schema, dict)),
)
def test_accepted_arguments_are_accepted_again_unchanged(args: dict[str, Any], parameters: dict[str, Any]) -> None:
    tools = {"act": FakeTool("act", parameters)}
    checked = validate(ToolCall("act", args), tools)
    if not isinstance(checked, ToolResult):
        assert validate(checked[0], tools) == (checked[0], ())


SCHEMA_WORDS = st.sampled_from(
    [
        "type",
        "properties",
        "required",
        "items",
        "enum",
        "const",
        "anyOf",
        "oneOf",
        "allOf",
        "$ref",
        "additionalProperties",
        "pattern",
        "minimum",
        "maxLength",
    ]
)
NONSENSE = st.dictionaries(
    SCHEMA_WORDS | st.just("x"), JSON | st.dictionaries(SCHEMA_WORDS, JSON, max_size=3), max_size=6
)


@patient
@given(JSON_OBJECTS, NONSENSE, TEXT)
def test_nonsense_in_a_schema_never_raises(args: dict[str, Any], parameters: dict[str, Any], name: str) -> None:
    assert validate(ToolCall("act", {"x": args, **args}), {"act": FakeTool("act", parameters)})
    assert validate(ToolCall("act", {"x": 1}), tools_with(x=parameters))
    assert validate(ToolCall(name, args), {"act": FakeTool("act", parameters)})
