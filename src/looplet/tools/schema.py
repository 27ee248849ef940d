"""JSON Schema from Python annotations, and the way back: validated JSON made into what the annotation promises."""

from __future__ import annotations

import typing
from collections import abc
from enum import Enum
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Any

from looplet._core.check_schema import Check
from looplet._record import Record
from looplet.errors import ToolValidationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    Convert = Callable[[Any], Any]

_SIMPLE: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    int: {"type": "integer"},
    float: {"type": "number"},
    bool: {"type": "boolean"},
    None: {"type": "null"},
    NoneType: {"type": "null"},
    Any: {},
    object: {},
}
_ARRAYS: dict[Any, Any] = {
    list: None,
    tuple: tuple,
    set: set,
    frozenset: frozenset,
    abc.Sequence: None,
    abc.MutableSequence: None,
    abc.Iterable: None,
    abc.Collection: None,
    abc.Set: set,
}
_OBJECTS = (dict, abc.Mapping, abc.MutableMapping)


class Shape(Record):
    """A JSON Schema, and how a value that fits it becomes the annotated type (None: it is already)."""

    schema: dict[str, Any]
    convert: Convert | None = None


class SchemaError(TypeError):
    """An annotation has no JSON Schema; the text starts with the annotation and is completed by who knows its place."""


class Shapes:
    """Shapes of the annotations of one tool. `defs` holds the types that contain themselves."""

    def __init__(self) -> None:
        self.defs: dict[str, Any] = {}
        self._names: dict[Any, str] = {}  # in `defs`; "" for a class that is being read and not yet known to recur
        self._recursive: dict[Any, Shape] = {}

    def of(self, annotation: Any) -> Shape:
        origin, args = typing.get_origin(annotation), typing.get_args(annotation)
        if origin is None and isinstance(annotation, abc.Hashable) and annotation in _SIMPLE:
            return Shape(dict(_SIMPLE[annotation]))
        if origin is typing.Annotated:
            return self._annotated(annotation)
        if origin is typing.Literal:
            return Shape(_enumeration(args, annotation))
        if origin in (typing.Union, UnionType):
            return self._union(args)
        if origin in (typing.Required, typing.NotRequired, typing.Final):
            return self.of(args[0])
        if (origin or annotation) in _ARRAYS:
            return self._array(origin or annotation, args)
        if (origin or annotation) in _OBJECTS:
            return self._mapping(args, annotation)
        return self._named(annotation)

    def _named(self, annotation: Any) -> Shape:
        for attribute in ("__supertype__", "__value__"):  # NewType, `type X = ...`
            if hasattr(annotation, attribute):
                return self.of(getattr(annotation, attribute))
        if isinstance(annotation, type):
            if issubclass(annotation, Enum):
                return _enum(annotation)
            if typing.is_typeddict(annotation):
                return self._once(annotation, self._typed_dict)
            if hasattr(annotation, "__dataclass_fields__"):
                return self._once(annotation, self._dataclass)
        raise SchemaError(f"{annotation!r} has no JSON Schema")

    def _annotated(self, annotation: Any) -> Shape:
        """A str in the metadata is the description, a dict further schema: `Annotated[int, {"minimum": 1}]`."""
        shape = self.of(annotation.__origin__)
        extra: dict[str, Any] = {}
        for item in annotation.__metadata__:
            if isinstance(item, str):
                extra["description"] = item
            elif isinstance(item, dict):
                extra |= item
        return shape.replace(schema=shape.schema | extra)

    def _union(self, args: Iterable[Any]) -> Shape:
        shapes = [self.of(arg) for arg in args]
        schema = {"anyOf": [shape.schema for shape in shapes]}
        if all(shape.convert is None for shape in shapes):
            return Shape(schema)

        def convert(value: Any) -> Any:
            for shape in shapes:
                if self._fits(value, shape.schema):
                    return shape.convert(value) if shape.convert else value
            return value

        return Shape(schema, convert)

    def _fits(self, value: Any, schema: dict[str, Any]) -> bool:
        check = Check({"$defs": self.defs})
        check.fit(value, schema, "")
        return not check.problems and not check.notes

    def _array(self, kind: Any, args: tuple[Any, ...]) -> Shape:
        build = _ARRAYS[kind]
        if kind is tuple and args and args[-1] is not Ellipsis:
            return self._fixed_tuple(args)
        item = self.of(args[0]) if args else Shape({})
        schema: dict[str, Any] = {"type": "array"}
        if item.schema:
            schema["items"] = item.schema
        each = item.convert
        if each is None:
            return Shape(schema, build)
        return Shape(schema, lambda values: (build or list)(each(value) for value in values))

    def _fixed_tuple(self, args: tuple[Any, ...]) -> Shape:
        shapes = [self.of(arg) for arg in args]
        options: list[Any] = []
        options += (shape.schema for shape in shapes if shape.schema not in options)
        items = options[0] if len(options) == 1 else {"anyOf": options}
        schema = {"type": "array", "items": items, "minItems": len(args), "maxItems": len(args)}
        return Shape(schema, lambda values: tuple(map(_apply, shapes, values)))

    def _mapping(self, args: tuple[Any, ...], annotation: Any) -> Shape:
        if args and args[0] not in (str, Any):
            raise SchemaError(f"{annotation!r} has keys that are not str, which JSON cannot hold")
        item = self.of(args[1]) if args else Shape({})
        schema: dict[str, Any] = {"type": "object"}
        if item.schema:
            schema["additionalProperties"] = item.schema
        if item.convert is None:
            return Shape(schema)
        return Shape(schema, lambda values: {name: _apply(item, value) for name, value in values.items()})

    def _once(self, kind: Any, build: Callable[[Any], Shape]) -> Shape:
        """Build the shape of a class; where it contains itself, refer to it."""
        if kind in self._names:
            name = self._names[kind] = self._names[kind] or _free_name(kind.__name__, self.defs)
            self.defs.setdefault(name, {})
            return Shape({"$ref": f"#/$defs/{name}"}, lambda value: _apply(self._recursive[kind], value))
        self._names[kind] = ""
        shape = build(kind)
        name = self._names[kind]
        if not name:
            del self._names[kind]
            return shape
        self.defs[name] = shape.schema
        self._recursive[kind] = shape
        return shape.replace(schema={"$ref": f"#/$defs/{name}"})

    def _typed_dict(self, kind: Any) -> Shape:
        hints = _class_hints(kind)
        shapes = {name: self.of(hint) for name, hint in hints.items()}
        required = [name for name, hint in hints.items() if _is_required(kind, name, hint)]
        convert = _convert_members(shapes) if any(shape.convert for shape in shapes.values()) else None
        return Shape(object_schema(shapes, required), convert)

    def _dataclass(self, kind: Any) -> Shape:
        import dataclasses  # loaded already, the tool's own module made one

        hints = _class_hints(kind)
        fields = [field for field in dataclasses.fields(kind) if field.init]
        shapes = {field.name: self.of(hints[field.name]) for field in fields}
        missing = dataclasses.MISSING
        required = [field.name for field in fields if field.default is missing and field.default_factory is missing]
        members = _convert_members(shapes)

        def convert(value: Any) -> Any:
            try:
                return kind(**members(value))
            except (TypeError, ValueError) as error:  # its own __post_init__ refuses these values
                raise ToolValidationError(f"{kind.__name__}: {error}") from error

        return Shape(object_schema(shapes, required), convert)


def object_schema(shapes: Mapping[str, Shape], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {name: shape.schema for name, shape in shapes.items()}}
    return schema | ({"required": required} if required else {}) | {"additionalProperties": False}


def _apply(shape: Shape, value: Any) -> Any:
    return value if shape.convert is None else shape.convert(value)


def _convert_members(shapes: Mapping[str, Shape]) -> Convert:
    return lambda value: {name: _apply(shapes[name], item) for name, item in value.items()}


def _enum(kind: type[Enum]) -> Shape:
    """Members by value, or by name where a value is no JSON."""
    values = [member.value for member in kind]
    if all(isinstance(value, (str, int, float)) for value in values):
        return Shape(_enumeration(values, kind), kind)
    return Shape(_enumeration([member.name for member in kind], kind), lambda name: kind[name])


def _enumeration(values: Iterable[Any], annotation: Any) -> dict[str, Any]:
    listed = list(values)
    if not all(value is None or isinstance(value, (str, int, float)) for value in listed):
        raise SchemaError(f"{annotation!r} holds values that JSON cannot")
    kinds = {_SIMPLE[type(value)]["type"] if type(value) in _SIMPLE else "" for value in listed}
    kind = {"type": kinds.pop()} if len(kinds) == 1 and "" not in kinds else {}
    return kind | {"enum": listed}


def _class_hints(kind: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(kind, include_extras=True)
    except NameError as error:
        raise SchemaError(f"{kind.__name__} has an annotation that cannot be resolved ({error})") from error


def _is_required(kind: Any, name: str, hint: Any) -> bool:
    """`__required_keys__` misses markers in annotations that were strings when the class was made."""
    marker = typing.get_origin(hint)
    if marker in (typing.Required, typing.NotRequired):
        return marker is typing.Required
    return name in kind.__required_keys__


def _free_name(name: str, taken: Mapping[str, Any]) -> str:
    while name in taken:
        name += "_"
    return name
