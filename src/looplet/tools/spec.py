"""`ToolSpec`: one function the model may call, checked when it is made. `@tool` makes one of a function."""

from __future__ import annotations

import re
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

from looplet._core.check_schema import takes_only_its_properties
from looplet.messages import ToolSchema
from looplet.tools.parameters import declared, description_of, from_signature
from looplet.tools.signature import CONTEXT, REQUIRED, Signature, read_signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from looplet.tools.context import ToolContext

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what every provider accepts


class ToolSpec:
    """A tool: its name, what the model reads about it, and the function that runs.

    parameters   `{name: type}` with type words ("str", "int?", "list: what to buy"), Python types, JSON Schemas or
                 descriptions; or one JSON Schema object; None reads the function's signature and docstring
    execute      called with the arguments by name; may be async; a parameter named `ctx` receives the `ToolContext`
    concurrent_safe   calls of one turn may run side by side with other such calls
    free         its steps do not count against `max_steps`
    timeout_s    a call that takes longer is abandoned; None leaves it to LoopConfig(tool_timeout_s=)
    needs_approval   an ApprovalHook asks before it runs; without one every call is refused
    idempotent   running a call again does no harm: a resumed run repeats one that was interrupted
    """

    def __init__(
        self,
        name: str,
        description: str = "",
        parameters: Mapping[str, Any] | None = None,
        execute: Callable[..., Any] | None = None,
        concurrent_safe: bool = False,
        free: bool = False,
        timeout_s: float | None = None,
        needs_approval: bool = False,
        idempotent: bool = False,
    ) -> None:
        check_name(name)
        if timeout_s is not None and not (isinstance(timeout_s, (int, float)) and timeout_s > 0):
            raise ValueError(f"tool {name!r}: timeout_s is {timeout_s!r}; use a number of seconds above 0, or None")
        if not callable(execute):
            raise TypeError(
                f"tool {name!r}: execute is {execute!r}; give the function to run, execute=lambda *, x: ..."
            )
        signature = read_signature(execute)
        if parameters is None:
            _check_bound(name, signature)
        read = from_signature(execute, signature, name) if parameters is None else declared(parameters, name)
        self.execute = execute
        self.schema = ToolSchema(name, description or description_of(execute), read.schema)
        self.concurrent_safe = concurrent_safe
        self.free = free
        self.timeout_s = timeout_s
        self.needs_approval = needs_approval
        self.idempotent = idempotent
        self._converts = read.converts
        self._takes_context = signature is not None and CONTEXT in signature.names
        if CONTEXT in read.schema.get("properties", ()):
            self._takes_context = False  # declared: it is the model's to fill
        if signature is not None:
            _check_fit(name, signature, read.schema)

    @property
    def name(self) -> str:
        return self.schema.name

    @property
    def description(self) -> str:
        return self.schema.description

    @property
    def parameters(self) -> dict[str, Any]:
        """The JSON Schema of the arguments."""
        return self.schema.parameters

    def run(self, args: dict[str, Any], context: ToolContext) -> Any:
        """Call the function with validated arguments, converted to what it is annotated with."""
        given = args
        if self._converts:
            given = {name: self._convert(name, value) for name, value in args.items()}
        return self.execute(**given, ctx=context) if self._takes_context else self.execute(**given)

    def _convert(self, name: str, value: Any) -> Any:
        convert = self._converts.get(name)
        return value if convert is None else convert(value)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class FunctionTool(ToolSpec, Generic[P, R]):
    """What `@tool` makes: a ToolSpec that is still callable as the function."""

    __wrapped__: Callable[P, R]
    __name__: str

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.__wrapped__(*args, **kwargs)


@overload
def tool(function: Callable[P, R], /) -> FunctionTool[P, R]: ...


@overload
def tool(
    *,
    name: str | None = None,
    description: str = "",
    parameters: Mapping[str, Any] | None = None,
    concurrent_safe: bool = False,
    free: bool = False,
    timeout_s: float | None = None,
    needs_approval: bool = False,
    idempotent: bool = False,
) -> Callable[[Callable[P, R]], FunctionTool[P, R]]: ...


def tool(function: Callable[..., Any] | None = None, /, *, name: str | None = None, **settings: Any) -> Any:
    """Make a tool of a function: name, description and parameters come from it unless given. See `ToolSpec`."""
    if function is None:
        return lambda decorated: _function_tool(decorated, name, settings)
    return _function_tool(function, name, settings)


def _function_tool(function: Callable[..., Any], name: str | None, settings: dict[str, Any]) -> FunctionTool[..., Any]:
    if not callable(function):
        raise TypeError(f"@tool stands before a function, not before {function!r}; write @tool or @tool(name=...)")
    name = name or getattr(function, "__name__", "")
    if not name or name == "<lambda>":
        raise ValueError(f"{function!r} has no name of its own; use tool(name=...) or ToolSpec(name, ...)")
    made: FunctionTool[..., Any] = FunctionTool(name, execute=function, **settings)
    update_wrapper(made, function, updated=())
    return made


def check_name(name: object) -> None:
    """Refuse a name that some provider would refuse."""
    if not isinstance(name, str) or _NAME.fullmatch(name) is None:
        raise ValueError(f"tool name {name!r}: use 1 to 64 letters, digits, '_' or '-'")


def _check_bound(name: str, signature: Signature | None) -> None:
    """Refuse a method in its class: it has no object yet, and no model could give it one."""
    first = signature.names[0] if signature is not None and signature.names else ""
    if first in ("self", "cls"):
        raise TypeError(
            f"tool {name!r}: its first parameter is {first!r}, so it is a method without its object; "
            f"register the bound method: tool(A().{name})"
        )


def _check_fit(name: str, signature: Signature, schema: Mapping[str, Any]) -> None:
    """Refuse at once a function that cannot take the declared arguments: every call would fail."""
    if signature.positional_only:
        raise TypeError(
            f"tool {name!r}: {', '.join(signature.positional_only)} can only be given by position; "
            "tools are called by name, remove the '/'"
        )
    offered = schema.get("properties", {})
    unknown = [given for given in offered if given not in signature.names]
    if unknown and not signature.open:
        raise TypeError(f"tool {name!r}: parameters declare {unknown[0]!r}, which {_takes(signature)}")
    unfilled = [
        parameter.name
        for parameter in signature.parameters
        if parameter.default is REQUIRED and parameter.name not in offered and parameter.name != CONTEXT
    ]
    if unfilled and takes_only_its_properties(schema):
        raise TypeError(f"tool {name!r}: the function needs {unfilled[0]!r}, which its parameters do not declare")


def _takes(signature: Signature) -> str:
    return f"the function does not take (it takes {', '.join(signature.names) or 'nothing'})"
