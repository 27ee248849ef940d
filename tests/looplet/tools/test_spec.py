from __future__ import annotations

import functools
import subprocess
import sys
from dataclasses import dataclass, field
from typing import Any

import pytest

from looplet._core.validate import validate
from looplet.tools.context import ToolContext
from looplet.tools.spec import FunctionTool, ToolSpec, tool
from looplet.types import ToolCall, ToolResult


@dataclass
class Point:
    x: int


@dataclass
class Tree:
    branches: list[Tree] = field(default_factory=list)


def spec(parameters: Any, execute: Any = lambda **_: None) -> ToolSpec:
    return ToolSpec("act", "", parameters, execute)


class TestDeclaredParameters:
    @pytest.mark.parametrize(
        ("given", "schema"),
        [
            ("str", {"type": "string"}),
            ("int", {"type": "integer"}),
            ("float", {"type": "number"}),
            ("bool", {"type": "boolean"}),
            ("list", {"type": "array"}),
            ("dict", {"type": "object"}),
            ("any", {}),
            ("integer", {"type": "integer"}),
            ("int: how many to fetch", {"type": "integer", "description": "how many to fetch"}),
            ("The city to look up", {"description": "The city to look up"}),
            ("int the wild", {"description": "int the wild"}),
            (str, {"type": "string"}),
            (bool, {"type": "boolean"}),
            (list[int], {"type": "array", "items": {"type": "integer"}}),
            ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ],
        ids=str,
    )
    def test_a_parameter_is_a_type_or_a_schema_or_a_description(self, given: object, schema: object) -> None:
        assert spec({"x": given}).parameters == {"type": "object", "properties": {"x": schema}, "required": ["x"]}

    @pytest.mark.parametrize("given", ["int?", "int?: how many", int | None])
    def test_a_question_mark_or_none_makes_it_optional(self, given: object) -> None:
        assert "required" not in spec({"x": given}).parameters

    @pytest.mark.parametrize(
        "parameters",
        [
            {"type": "object", "properties": {"x": {"type": "string"}}, "required": ["x"]},
            {"type": "object", "properties": {}, "additionalProperties": True},
            {"type": "object", "properties": {"type": {"type": "string"}, "any": True}},
        ],
    )
    def test_a_json_schema_is_taken_as_it_is(self, parameters: dict[str, Any]) -> None:
        assert spec(parameters).parameters == parameters

    @pytest.mark.parametrize(
        "said",
        [
            {},
            {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "noargs", "x-order": 1},
            {"additionalProperties": {"type": "integer"}},
            {"description": "str", "allOf": []},
        ],
    )
    def test_a_schema_of_an_object_without_properties_has_none(self, said: dict[str, Any]) -> None:
        assert spec({"type": "object", **said}).parameters == {"type": "object", "properties": {}, **said}

    def test_a_schema_need_not_say_that_it_is_an_object(self) -> None:
        said = {"properties": {"x": {"type": "string"}}, "required": ["x"]}
        assert spec(said).parameters == {"type": "object", **said}

    def test_null_in_a_schema_is_nothing_said(self) -> None:
        said = {"type": "object", "properties": None, "required": None}
        assert spec(said).parameters == {"type": "object", "properties": {}}

    @pytest.mark.parametrize("word", ["type", "properties", "required", "title"])
    def test_a_parameter_may_be_called_like_a_word_of_json_schema(self, word: str) -> None:
        assert spec({word: "str"}).parameters["properties"] == {word: {"type": "string"}}
        assert spec({word: {"type": "string"}}).parameters["properties"] == {word: {"type": "string"}}
        both = spec({"type": "object", word: "str", "count": "int"}).parameters["properties"]
        assert list(both) == list(dict.fromkeys(["type", word, "count"]))

    @pytest.mark.parametrize("more", [{"anyOf": [{"properties": {"x": {}}}]}, {"patternProperties": {"^x": {}}}])
    def test_a_schema_may_declare_arguments_elsewhere_than_in_properties(self, more: dict[str, Any]) -> None:
        assert spec({"type": "object", **more}, lambda *, x: x).run({"x": 1}, ToolContext()) == 1

    def test_definitions_stand_where_references_look_for_them(self) -> None:
        node = {"$ref": "#/$defs/Node"}
        given = {"$defs": {"Node": {"type": "object", "properties": {"next": node}}}, **node}
        made = spec({"first": given, "again": {"type": "array", "items": {"$ref": "#"}}, "tree": Tree})
        assert made.parameters["properties"] == {
            "first": {"$ref": "#/$defs/first.Node"},
            "again": {"type": "array", "items": {"$ref": "#/properties/again"}},
            "tree": {"$ref": "#/$defs/tree.Tree"},
        }
        definitions = made.parameters["$defs"]
        assert definitions["first.Node"]["properties"] == {"next": {"$ref": "#/$defs/first.Node"}}
        assert definitions["tree.Tree"]["properties"]["branches"]["items"] == {"$ref": "#/$defs/tree.Tree"}
        tools = {"act": made}
        fits = validate(ToolCall("act", {"first": {}, "again": [[]], "tree": {}}), tools)
        assert not isinstance(fits, ToolResult)
        assert isinstance(validate(ToolCall("act", {"first": {"next": 1}, "again": [], "tree": {}}), tools), ToolResult)

    def test_a_python_class_is_converted_to(self) -> None:
        made = spec({"point": Point}, lambda *, point: point)
        assert made.run({"point": {"x": 1}}, ToolContext()) == Point(1)

    def test_what_is_no_mapping_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"tool 'act': parameters is a list; give a dict such as"):
            spec(["name"])

    def test_a_type_without_schema_names_tool_and_parameter(self) -> None:
        with pytest.raises(
            TypeError, match=r"tool 'act', parameter 'x': <class 'bytes'> has no JSON Schema; use a type"
        ):
            spec({"x": bytes})


class TestReadFromTheFunction:
    def test_names_types_defaults_and_texts_become_the_schema(self) -> None:
        @tool
        def search(
            query: str, limit: int = 10, *, exact: bool = False, rest: Any = None, ctx: ToolContext
        ) -> list[str]:
            """Search the archive.

            Newest first.

            Args:
                query: what to look for,
                    in any language
                limit (int): at most so many

            Returns:
                Titles.
            """
            return [query] * limit

        assert search.name == "search"
        assert search.description == "Search the archive.\n\nNewest first."
        assert search.parameters == {
            "type": "object",
            "properties": {
                "query": {"type": "string", "description": "what to look for, in any language"},
                "limit": {"type": "integer", "description": "at most so many", "default": 10},
                "exact": {"type": "boolean", "default": False},
                "rest": {},
            },
            "required": ["query"],
            "additionalProperties": False,
        }

    def test_keyword_arguments_of_any_name_are_allowed_where_the_function_takes_them(self) -> None:
        @tool
        def act(**anything: Any) -> None:
            pass

        assert act.parameters == {"type": "object", "properties": {}, "additionalProperties": True}

    def test_methods_partials_callable_objects_and_wrapped_functions_are_read(self) -> None:
        class Shop:
            def buy(self, item: str, count: int = 1) -> None: ...

            def __call__(self, item: str, count: int = 1) -> None: ...

        @functools.wraps(Shop.buy)
        def wrapped(*args: Any, **kwargs: Any) -> None:
            pass

        properties = {"item": {"type": "string"}, "count": {"type": "integer", "default": 1}}
        for function in (Shop().buy, Shop(), functools.partial(Shop().buy), functools.partial(wrapped, None)):
            assert tool(name="buy")(function).parameters["properties"] == properties

    def test_names_of_an_enclosing_function_are_found_when_the_tool_uses_them(self) -> None:
        class Local(Point):
            pass

        @tool
        def act(at: Local) -> Local:
            return Local(at.x)

        assert act.run({"at": {"x": 1}}, ToolContext()) == Local(1)

    def test_a_function_python_cannot_read_needs_parameters(self) -> None:
        with pytest.raises(TypeError, match=r"tool 'int': Python does not know the signature of <class 'int'>; give"):
            ToolSpec("int", execute=int)
        assert ToolSpec("int", parameters={"x": "str"}, execute=int)


class TestErrors:
    @pytest.mark.parametrize("name", ["", "two words", "a.b", "x" * 65, None, 3])
    def test_a_name_that_some_provider_refuses_is_refused(self, name: Any) -> None:
        with pytest.raises(ValueError, match=r"tool name .*: use 1 to 64 letters, digits, '_' or '-'"):
            ToolSpec(name, execute=lambda: None)

    @pytest.mark.parametrize("execute", [None, "function"])
    def test_a_tool_without_function_says_what_to_give(self, execute: Any) -> None:
        with pytest.raises(TypeError, match=r"tool 'act': execute is .*; give the function to run, execute="):
            ToolSpec("act", execute=execute)

    def test_declared_parameters_the_function_does_not_take_are_refused(self) -> None:
        with pytest.raises(
            TypeError,
            match=r"tool 'act': parameters declare 'nmae', which the function does not take \(it takes name\)",
        ):
            spec({"nmae": "str"}, lambda *, name: name)

    def test_a_parameter_of_the_function_that_nothing_fills_is_refused(self) -> None:
        with pytest.raises(
            TypeError, match=r"tool 'act': the function needs 'name', which its parameters do not declare"
        ):
            spec({}, lambda *, name: name)

    def test_positional_only_parameters_are_refused(self) -> None:
        def act(x: int, /) -> int:
            return x

        with pytest.raises(TypeError, match=r"tool 'act': x can only be given by position; .* remove the '/'"):
            tool(act)

    def test_a_method_without_its_object_is_refused(self) -> None:
        class Shop:
            def find(self, query: str) -> str:
                return query

        def make(cls: type, query: str) -> str:
            return query

        for function, first in ((Shop.find, "self"), (functools.partial(make), "cls")):
            with pytest.raises(
                TypeError,
                match=rf"'find': its first parameter is '{first}', .*; register the bound method: tool\(A\(\)\.find\)",
            ):
                tool(name="find")(function)
        assert tool(Shop().find).parameters["required"] == ["query"]

    def test_a_function_without_name_needs_one(self) -> None:
        for nameless in (lambda: None, functools.partial(print)):
            with pytest.raises(ValueError, match=r"has no name of its own; use tool\(name=\.\.\.\)"):
                tool(nameless)

    def test_the_decorator_refuses_what_is_no_function(self) -> None:
        with pytest.raises(TypeError, match=r"@tool stands before a function, not before 'search'; write @tool or"):
            tool("search")  # type: ignore[call-overload]  # the mistake


class TestContext:
    def test_a_parameter_named_ctx_receives_the_context(self) -> None:
        context = ToolContext(task="t")
        assert spec({"x": "int"}, lambda *, x, ctx: (x, ctx.task)).run({"x": 1}, context) == (1, "t")
        assert spec({}, lambda: "none").run({}, context) == "none"

    def test_a_declared_ctx_is_the_models_to_fill(self) -> None:
        assert spec({"ctx": "str"}, lambda *, ctx: ctx).run({"ctx": "mine"}, ToolContext()) == "mine"


class TestDecorator:
    def test_a_decorated_function_is_a_tool_and_still_the_function(self) -> None:
        @tool
        def add(a: int, b: int = 1) -> int:
            """Add."""
            return a + b

        assert isinstance(add, ToolSpec)
        assert add(1, b=2) == 3
        assert add.__name__ == "add"
        assert add.__doc__ == "Add."
        assert repr(add) == "FunctionTool('add')"

    def test_settings_replace_what_is_read_from_the_function(self) -> None:
        @tool(name="plus", description="Sum.", parameters={"a": "int"}, free=True, concurrent_safe=True)
        def add(a: Any) -> Any:
            """Add."""
            return a

        assert isinstance(add, FunctionTool)
        assert add.schema.to_dict() == {
            "name": "plus",
            "description": "Sum.",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        }
        assert add.free
        assert add.concurrent_safe

    def test_the_docstring_describes_a_tool_with_declared_parameters_too(self) -> None:
        def act() -> None:
            """Do it
            at once.

            At length.
            """

        assert ToolSpec("act", parameters={}, execute=act).description == "Do it\nat once.\n\nAt length."
        assert ToolSpec("act", parameters={}, execute=lambda: None).description == ""


def test_words_and_lambdas_need_neither_inspect_nor_dataclasses() -> None:
    program = (
        "import sys; before = set(sys.modules)  # coverage loads modules of its own\n"
        "from looplet.tools.registry import BaseToolRegistry; from looplet.tools.spec import ToolSpec\n"
        "BaseToolRegistry().register(ToolSpec('greet', parameters={'name': 'str'}, execute=lambda *, name: name))\n"
        "print(*(set(sys.modules) - before))"
    )
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    ).stdout.split()
    assert not {"inspect", "dataclasses", "asyncio", "logging", "difflib", "looplet.tools.schema"} & set(loaded)
