from __future__ import annotations

import asyncio
from contextvars import ContextVar
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.strategies import JSON_OBJECTS, TEXT, patient

from looplet.tools.context import ToolContext
from looplet.tools.registry import BaseToolRegistry, as_tools
from looplet.tools.spec import ToolSpec, tool
from looplet.types import ErrorKind, ToolCall, ToolResult


def greet(name: str) -> str:
    """Greet someone."""
    return f"Hello, {name}!"


@pytest.fixture
def registry() -> BaseToolRegistry:
    made = BaseToolRegistry()
    made.register(ToolSpec("shout", parameters={"text": "str"}, execute=lambda *, text: text.upper()))
    made.register(greet)
    return made


def test_tools_keep_the_order_of_registration(registry: BaseToolRegistry) -> None:
    assert registry.tool_names == ["shout", "greet"]
    assert [spec.name for spec in registry] == registry.tool_names
    assert [schema.name for schema in registry.tool_schemas()] == registry.tool_names
    assert len(registry) == 2
    assert "greet" in registry
    assert "done" not in registry
    assert registry.get("done") is None


def test_a_name_registers_once(registry: BaseToolRegistry) -> None:
    with pytest.raises(ValueError, match=r"a tool named 'greet' is registered already; give one"):
        registry.register(greet)


@pytest.mark.parametrize("item", [3, "greet", None, str, [greet]])
def test_what_is_no_tool_is_refused(item: Any) -> None:
    with pytest.raises(TypeError, match=r"is no tool; give a function, something @tool made, or a ToolSpec"):
        BaseToolRegistry().register(item)


def test_the_decorator_registers_and_leaves_a_callable_tool() -> None:
    registry = BaseToolRegistry()

    @registry.tool
    def one(x: int) -> int:
        return x

    @registry.tool(name="two", free=True)
    def other(x: int) -> int:
        return 2 * x

    assert registry.tool_names == ["one", "two"]
    assert (one(1), other(1)) == (1, 2)
    assert registry.get("two") is other


def test_dispatch_validates_and_runs(registry: BaseToolRegistry) -> None:
    result = registry.dispatch(ToolCall("greet", {"name": "Bob"}))
    assert (result.tool, result.data, result.error) == ("greet", "Hello, Bob!", None)
    assert result.duration_ms > 0


def test_dispatch_notes_coercions_before_the_tools_own_warnings() -> None:
    registry = BaseToolRegistry()

    @registry.tool
    def act(x: int, ctx: ToolContext) -> int:
        ctx.warn("mind")
        return x

    result = registry.dispatch(ToolCall("act", {"x": "3"}))
    assert result.data == 3
    assert result.warnings == ("'x': string \"3\" was read as integer 3.", "mind")


def test_dispatch_answers_mistakes_with_a_result(registry: BaseToolRegistry) -> None:
    for call in (ToolCall("gret"), ToolCall("greet", {"nmae": "Bob"}), ToolCall("greet", {"name": 3})):
        assert registry.dispatch(call).error_kind is ErrorKind.VALIDATION


def test_dispatch_runs_an_async_tool_to_its_end_inside_a_running_loop_too() -> None:
    registry = BaseToolRegistry()
    variable = ContextVar("variable", default="unset")

    @registry.tool
    async def act() -> str:
        await asyncio.sleep(0)
        return variable.get()

    async def inside() -> ToolResult:
        return registry.dispatch(ToolCall("act"))

    variable.set("set")
    assert registry.dispatch(ToolCall("act")).data == "set"
    assert asyncio.run(inside()).data == "set"


@patient
@given(st.sampled_from(["act", "raise"]) | TEXT, JSON_OBJECTS | st.fixed_dictionaries({"x": st.none() | TEXT}))
def test_dispatch_never_raises(name: str, args: dict[str, Any]) -> None:
    registry = BaseToolRegistry()
    registry.register(ToolSpec("act", parameters={"x": "any"}, execute=lambda *, x: x))
    registry.register(ToolSpec("raise", parameters={"x": "any"}, execute=lambda *, x: x[0] / 0))
    result = registry.dispatch(ToolCall(name, args))
    assert isinstance(result, ToolResult)
    assert result.tool == name


class TestAsTools:
    def test_a_list_and_a_registry_give_the_same_tools(self, registry: BaseToolRegistry) -> None:
        listed = as_tools([registry.get("shout"), greet], "done")  # type: ignore[list-item]  # it is there
        assert list(listed) == list(as_tools(registry, "done")) == ["shout", "greet", "done"]
        assert list(as_tools((tool(greet),), "done")) == ["greet", "done"]

    def test_the_missing_done_tool_is_supplied_and_returns_the_answer(self) -> None:
        done = as_tools([], "finish")["finish"]
        assert done.parameters == {
            "type": "object",
            "properties": {"answer": {"type": "string"}},
            "required": ["answer"],
        }
        assert done.run({"answer": "7"}, ToolContext()) == "7"

    def test_a_done_tool_of_your_own_stays(self) -> None:
        own = ToolSpec("done", parameters={"n": "int"}, execute=lambda *, n: n)
        assert as_tools([own], "done") == {"done": own}

    def test_the_registry_of_the_caller_does_not_change(self, registry: BaseToolRegistry) -> None:
        as_tools(registry, "done")
        assert "done" not in registry

    def test_none_names_the_fix(self) -> None:
        with pytest.raises(ValueError, match=r"tools=None: give the tools as a list .*; tools=\[\] for none"):
            as_tools(None, "done")

    @pytest.mark.parametrize("tools", ["greet", greet, {"greet": greet}, 3], ids=["str", "function", "dict", "int"])
    def test_anything_else_is_refused(self, tools: Any) -> None:
        with pytest.raises(TypeError, match=r"give a list of functions and ToolSpecs, or a BaseToolRegistry"):
            as_tools(tools, "done")

    def test_two_tools_of_one_name_are_refused(self) -> None:
        with pytest.raises(ValueError, match="a tool named 'greet' is registered already"):
            as_tools([greet, greet], "done")
