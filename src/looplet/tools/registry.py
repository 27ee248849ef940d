"""`BaseToolRegistry`: tools by name. Every form in which a loop takes tools becomes a dict of `ToolSpec`s here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, overload

from looplet._core.validate import validate
from looplet.tools.execute import Unfinished, execute
from looplet.tools.spec import P, R, ToolSpec, tool
from looplet.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from looplet.messages import ToolSchema
    from looplet.tools.context import ToolContext
    from looplet.tools.spec import FunctionTool


class BaseToolRegistry:
    """Tools by name, in the order in which they were registered."""

    def __init__(self) -> None:
        self._tools: dict[str, ToolSpec] = {}

    def register(self, item: ToolSpec | Callable[..., Any]) -> ToolSpec:
        """Add a ToolSpec or a function; a name that is taken is a ValueError."""
        spec = as_spec(item)
        if spec.name in self._tools:
            raise ValueError(f"a tool named {spec.name!r} is registered already; give one of the two another name")
        self._tools[spec.name] = spec
        return spec

    @overload
    def tool(self, function: Callable[P, R], /) -> FunctionTool[P, R]: ...

    @overload
    def tool(
        self,
        *,
        name: str | None = None,
        description: str = "",
        parameters: Mapping[str, Any] | None = None,
        concurrent_safe: bool = False,
        free: bool = False,
    ) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...

    def tool(self, function: Callable[..., Any] | None = None, **settings: Any) -> Any:
        """Decorate a function to make a tool of it and register it; takes what `@tool` takes."""
        if function is None:
            return lambda decorated: self.register(tool(**settings)(decorated))
        return self.register(tool(**settings)(function))

    @property
    def tool_names(self) -> list[str]:
        return list(self._tools)

    def tool_schemas(self) -> list[ToolSchema]:
        """The tools as a model sees them."""
        return [spec.schema for spec in self]

    def get(self, name: str) -> ToolSpec | None:
        return self._tools.get(name)

    def dispatch(self, call: ToolCall, context: ToolContext | None = None) -> ToolResult:
        """Validate and run one call outside a loop; never raises for an Exception. Async tools run to their end."""
        checked = validate(call, self._tools)
        if isinstance(checked, ToolResult):
            return checked
        valid, notes = checked
        result = _wait_for(execute(self._tools[valid.tool], valid, context and context.for_call()))
        return result.replace(warnings=(*notes, *result.warnings)) if notes else result

    def __contains__(self, name: object) -> bool:
        return name in self._tools

    def __iter__(self) -> Iterator[ToolSpec]:
        return iter(self._tools.values())

    def __len__(self) -> int:
        return len(self._tools)


def as_tools(
    tools: BaseToolRegistry | Sequence[ToolSpec | Callable[..., Any]] | None,
    done_tool: str,
    output_schema: dict[str, Any] | None = None,
) -> dict[str, ToolSpec]:
    """The tools of a run by name: those given, and a done tool when none of them is it.

    With `output_schema` the supplied done tool takes an answer of that form and returns it.
    """
    registry = BaseToolRegistry()
    for item in _items(tools):
        registry.register(item)
    if done_tool not in registry:
        registry.register(supplied_done(done_tool, output_schema))
    elif output_schema is not None:
        raise ValueError(f"LoopConfig(output_schema=...) is for the supplied done tool; yours is {done_tool!r} itself")
    return {spec.name: spec for spec in registry}


def supplied_done(name: str, output_schema: dict[str, Any] | None) -> ToolSpec:
    """The tool that completes a run when the user gave none."""
    description = "Finish the task. Give the complete final answer."
    if output_schema is not None and output_schema.get("type") == "object":
        return ToolSpec(name, description, output_schema, lambda **answer: answer, idempotent=True)
    schema = {"answer": output_schema or "str"}
    return ToolSpec(name, description, schema, lambda *, answer: answer, idempotent=True)


def as_spec(item: object) -> ToolSpec:
    if isinstance(item, ToolSpec):
        return item
    if isinstance(item, type) or not callable(item):
        raise TypeError(f"{item!r} is no tool; give a function, something @tool made, or a ToolSpec")
    return tool(item)


def _items(tools: object) -> list[Any]:
    if tools is None:
        raise ValueError("tools=None: give the tools as a list or a BaseToolRegistry; tools=[] for none besides done")
    if isinstance(tools, (list, tuple, BaseToolRegistry)):
        return list(tools)
    raise TypeError(f"tools={tools!r}: give a list of functions and ToolSpecs, or a BaseToolRegistry")


def _wait_for(result: ToolResult | Unfinished) -> ToolResult:
    if isinstance(result, ToolResult):
        return result
    import asyncio  # only an async tool needs these
    from concurrent.futures import ThreadPoolExecutor
    from contextvars import copy_context

    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(_awaited(result))
    with ThreadPoolExecutor(1) as pool:  # this thread's loop is taken
        return pool.submit(copy_context().run, asyncio.run, _awaited(result)).result()


async def _awaited(result: Unfinished) -> ToolResult:
    return await result
