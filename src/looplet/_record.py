"""Frozen, slotted value classes at a third of the import cost of `dataclasses`.

`import looplet` defines some fifty value types. As frozen slotted dataclasses they cost more than the whole import
budget (docs/benchmarks.md), so `Record` does the part we need: fields from annotations, defaults, equality,
`replace()`, pickling. `__init__` is compiled the first time a class is instantiated, and only then; it calls
`__post_init__` where a class has one.
"""

from __future__ import annotations

from operator import is_
from typing import TYPE_CHECKING, Any, ClassVar, dataclass_transform

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Self

_MISSING = object()
_PLAIN = frozenset({str, int, float, bool, type(None)})  # of which no copy is made


@dataclass_transform(frozen_default=True)
class _RecordType(type):
    """Turn the annotations of a class body into slots, and its defaults into constructor defaults."""

    def __new__(mcls, name: str, bases: tuple[type, ...], namespace: dict[str, Any]) -> _RecordType:
        own = [
            field
            for field, kind in namespace.get("__annotations__", {}).items()
            if not str(kind).startswith("ClassVar")
        ]
        fields: list[str] = []
        defaults: dict[str, Any] = {}
        for base in bases:
            fields += [field for field in getattr(base, "_fields", ()) if field not in fields]
            defaults |= getattr(base, "_defaults", {})
        defaults |= {field: namespace.pop(field) for field in own if field in namespace}
        namespace["__slots__"] = tuple(field for field in own if field not in fields)
        namespace["_fields"] = (*fields, *namespace["__slots__"])
        namespace["_defaults"] = defaults
        namespace["__match_args__"] = namespace["_fields"]
        namespace["__init__"] = _first_init
        return super().__new__(mcls, name, bases, namespace)


def _first_init(self: Record, *args: Any, **kwargs: Any) -> None:
    """Stands in until the class is first instantiated, then makes way for the compiled `__init__`."""
    cls: Any = type(self)
    cls.__init__ = _compile_init(cls)
    cls.__init__(self, *args, **kwargs)


def _compile_init(cls: Any) -> Callable[..., None]:
    scope: dict[str, Any] = {}
    parameters, body = [], []
    for field in cls._fields:
        default = cls._defaults.get(field, _MISSING)
        scope[f"set_{field}"] = getattr(cls, field).__set__
        value = field
        if default is _MISSING:
            parameters.append(field)
        else:
            scope[f"default_{field}"] = default
            parameters.append(f"{field}=default_{field}")
            if type(default) in (dict, list):  # never share a mutable default
                value = f"({field} if {field} is not default_{field} else default_{field}.copy())"
        body.append(f"    set_{field}(self, {value})")
    if hasattr(cls, "__post_init__"):
        body.append("    self.__post_init__()")
    source = f"def __init__(self, {', '.join(parameters)}):\n" + "\n".join(body or ["    pass"])
    exec(source, scope)  # noqa: S102  # the field names are identifiers of a class body
    init: Callable[..., None] = scope["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def compile_inits(kind: type[Record] | None = None) -> Iterator[None]:
    """Compile now, a class a step, what all known ones below `kind` would compile when they are first instantiated.

    Many threads that begin at once would each do it, and hold up each other.
    """
    for cls in (kind or Record).__subclasses__():
        if cls.__init__ is _first_init:
            cls.__init__ = _compile_init(cls)  # type: ignore[method-assign]  # as `_first_init` does
            yield
        yield from compile_inits(cls)


class Record(metaclass=_RecordType):
    """A frozen value: compares by type and fields, prints its fields, copies with `replace()`."""

    _fields: ClassVar[tuple[str, ...]]
    _defaults: ClassVar[dict[str, Any]]

    def replace(self, **changes: Any) -> Self:
        """Return a copy with some fields changed; an unknown field is a TypeError."""
        return type(self)(**{field: getattr(self, field) for field in self._fields} | changes)

    __replace__ = replace

    def _values(self) -> tuple[Any, ...]:
        return tuple(getattr(self, field) for field in self._fields)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; make a changed copy with .replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{type(self).__name__} is frozen; {name!r} cannot be deleted")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return self is other or self._values() == other._values()

    def __hash__(self) -> int:
        return hash((type(self), *self._values()))

    def __repr__(self) -> str:
        shown = ", ".join(f"{field}={getattr(self, field)!r}" for field in self._fields)
        return f"{type(self).__name__}({shown})"

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        """The same object unless something in it can change."""
        from copy import deepcopy  # which is loaded: it asked for this

        values = self._values()
        copies = [value if type(value) in _PLAIN else deepcopy(value, memo) for value in values]
        return self if all(map(is_, copies, values)) else type(self)(*copies)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), self._values()
