"""Read the parameters of a function, from its code object where that suffices: `inspect` costs 10 ms to import."""

from __future__ import annotations

from types import FunctionType, MethodType
from typing import TYPE_CHECKING, Any

from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Callable

CONTEXT = "ctx"  # a parameter of this name receives the ToolContext and is no argument of the tool

REQUIRED = object()
_VARKEYWORDS = 0x08  # CO_VARKEYWORDS, a flag of code objects


class Parameter(Record):
    name: str
    default: Any = REQUIRED


class Signature(Record):
    """The parameters that can be given by name. `open` is True for a function that takes `**anything`."""

    parameters: tuple[Parameter, ...]
    open: bool = False
    positional_only: tuple[str, ...] = ()

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(parameter.name for parameter in self.parameters)


def read_signature(function: Callable[..., Any]) -> Signature | None:
    """The signature, or None when Python does not know it (some built-in functions)."""
    plain, bound = function, False
    if type(plain) is MethodType:
        plain, bound = plain.__func__, True
    if type(plain) is not FunctionType or hasattr(plain, "__wrapped__") or hasattr(plain, "__signature__"):
        return _inspected(function)
    code, defaults = plain.__code__, plain.__defaults__ or ()
    positional = code.co_varnames[: code.co_argcount]
    given = dict(zip(positional[len(positional) - len(defaults) :], defaults, strict=True))
    given |= plain.__kwdefaults__ or {}
    names = code.co_varnames[bound : code.co_argcount + code.co_kwonlyargcount]
    return Signature(
        tuple(Parameter(name, given.get(name, REQUIRED)) for name in names),
        bool(code.co_flags & _VARKEYWORDS),
        names[: code.co_posonlyargcount - bound] if code.co_posonlyargcount else (),
    )


def _inspected(function: Callable[..., Any]) -> Signature | None:
    """Callable objects, partials, decorated and built-in functions."""
    import inspect  # only these need it

    try:
        found = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None
    named = [one for one in found if one.kind not in (one.VAR_POSITIONAL, one.VAR_KEYWORD)]
    return Signature(
        tuple(Parameter(one.name, REQUIRED if one.default is one.empty else one.default) for one in named),
        any(one.kind is one.VAR_KEYWORD for one in found),
        tuple(one.name for one in named if one.kind is one.POSITIONAL_ONLY),
    )
