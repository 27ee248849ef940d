"""The parameters of a tool: declared in words (`{"name": "str"}`), as JSON Schema, or read off the function."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from looplet._core.schema_refs import rebased
from looplet._record import Record
from looplet.tools.signature import CONTEXT, REQUIRED, Signature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_WORDS: dict[str, dict[str, Any]] = {
    "str": {"type": "string"},
    "int": {"type": "integer"},
    "float": {"type": "number"},
    "bool": {"type": "boolean"},
    "list": {"type": "array"},
    "dict": {"type": "object"},
    "any": {},
    "string": {"type": "string"},
    "integer": {"type": "integer"},
    "number": {"type": "number"},
    "boolean": {"type": "boolean"},
    "array": {"type": "array"},
    "object": {"type": "object"},
}
_TYPES = {kind: kind.__name__ for kind in (str, int, float, bool, list, dict)}
_WORD = r"(?s)(\w+)(\?)?(?:\s*:\s+(.+))?"  # "int", "int?", "int: how many"


_SCHEMA_WORD = (  # what may stand beside `"type": "object"` in a JSON Schema; compiled where it is needed
    "type|title|description|default|examples|deprecated|readOnly|writeOnly|enum|const|properties|required|strict|"
    "additionalProperties|patternProperties|propertyNames|unevaluatedProperties|minProperties|maxProperties|"
    r"dependentRequired|dependentSchemas|dependencies|definitions|allOf|anyOf|oneOf|not|if|then|else|\$.*|x-.*"
)


class Parameters(Record):
    """`schema` is what the model sees, `converts` makes its JSON what the function is annotated with."""

    schema: dict[str, Any]
    converts: dict[str, Callable[[Any], Any]] = {}


def declared(parameters: Mapping[str, Any], tool: str) -> Parameters:
    """From `{name: type word, Python type, JSON Schema or description}`, or from one JSON Schema for all."""
    if not hasattr(parameters, "items"):
        raise TypeError(
            f"tool {tool!r}: parameters is a {type(parameters).__name__}; "
            'give a dict such as {"name": "str"}, a JSON Schema object, or None to read the function'
        )
    if _is_schema(parameters):
        said = {word: value for word, value in parameters.items() if value is not None}  # `"required": null`
        return Parameters({"type": "object", "properties": {}, **said})
    properties: dict[str, Any] = {}
    required: list[str] = []
    converts: dict[str, Callable[[Any], Any]] = {}
    definitions: dict[str, Any] = {}
    for name, given in parameters.items():
        properties[name], optional, convert = _declaration(given, tool, name, definitions)
        if not optional:
            required.append(name)
        if convert is not None:
            converts[name] = convert
    return Parameters(_object(properties, required) | ({"$defs": definitions} if definitions else {}), converts)


def _is_schema(parameters: Mapping[str, Any]) -> bool:
    """Whether this is one JSON Schema, and not parameters of which some are called like words of JSON Schema."""
    properties = parameters.get("properties")
    if isinstance(properties, dict) and all(isinstance(part, (dict, bool)) for part in properties.values()):
        return True
    return (
        parameters.get("type") == "object"
        and properties is None
        and all(re.fullmatch(_SCHEMA_WORD, word) for word in parameters)
    )


def _declaration(
    given: Any, tool: str, name: str, definitions: dict[str, Any]
) -> tuple[dict[str, Any], bool, Callable[[Any], Any] | None]:
    """One parameter: its schema, whether it may be left out, and its conversion.

    What the schema refers to is added to `definitions`: references start at the root of all parameters.
    """
    if isinstance(given, str):
        match = re.fullmatch(_WORD, given.strip())
        if match is None or match.group(1) not in _WORDS:
            return {"description": given}, False, None  # any value: the words do not say which
        word, optional, text = match.groups()
        return _WORDS[word] | ({"description": text.strip()} if text else {}), bool(optional), None
    if isinstance(given, dict):
        return rebased(given, name, f"/properties/{name}", definitions), False, None
    if isinstance(given, type) and given in _TYPES:
        return dict(_WORDS[_TYPES[given]]), False, None
    from looplet.tools.schema import Shapes  # annotations need `typing`'s machinery, words do not

    shapes = Shapes()
    try:
        shape = shapes.of(given)
    except TypeError as error:
        raise TypeError(f"tool {tool!r}, parameter {name!r}: {error}; use a type word such as 'str'") from error
    schema = rebased(shape.schema | {"$defs": shapes.defs}, name, f"/properties/{name}", definitions)
    return schema, {"type": "null"} in schema.get("anyOf", ()), shape.convert


def from_signature(function: Callable[..., Any], signature: Signature | None, tool: str) -> Parameters:
    """From names, annotations, defaults and docstring of the function."""
    if signature is None:
        raise TypeError(
            f'tool {tool!r}: Python does not know the signature of {function!r}; give parameters={{"name": "str"}}'
        )
    from looplet.tools.docstring import split_docstring  # only functions without declared parameters need these
    from looplet.tools.schema import Shapes

    source = annotated_function(function)
    _, texts = split_docstring(getattr(source, "__doc__", None))
    shapes = Shapes()
    properties: dict[str, Any] = {}
    required: list[str] = []
    converts: dict[str, Callable[[Any], Any]] = {}
    for parameter in signature.parameters:
        if parameter.name == CONTEXT:
            continue
        shape = _shape(shapes, source, tool, parameter.name)
        properties[parameter.name] = _described(shape.schema, texts.get(parameter.name), parameter.default)
        if parameter.default is REQUIRED:
            required.append(parameter.name)
        if shape.convert is not None:
            converts[parameter.name] = shape.convert
    schema = _object(properties, required) | {"additionalProperties": signature.open}
    if shapes.defs:
        schema["$defs"] = shapes.defs
    return Parameters(schema, converts)


def description_of(function: Callable[..., Any]) -> str:
    """What the docstring says before its sections."""
    doc = getattr(annotated_function(function), "__doc__", None)
    if not doc:
        return ""
    from looplet.tools.docstring import split_docstring  # a described tool does not need it

    return split_docstring(doc)[0]


def annotated_function(function: Any) -> Any:
    """The plain function inside a bound method, a partial, a decorator or a callable object: it has the annotations."""
    for _ in range(20):  # a cycle of wrappers ends too
        inner = getattr(function, "__wrapped__", None) or getattr(function, "__func__", None)
        inner = inner or (getattr(function, "func", None) if hasattr(function, "keywords") else None)
        if inner is None and not hasattr(function, "__annotations__"):
            inner = vars(type(function)).get("__call__")
        if inner is None:
            break
        function = inner
    return function


def _shape(shapes: Any, source: Any, tool: str, name: str) -> Any:
    """The shape of one parameter. Each is resolved by itself, so that an error can name it."""
    import typing
    from types import SimpleNamespace

    try:
        annotations = getattr(source, "__annotations__", {})
        if name not in annotations:
            return shapes.of(Any)
        alone = SimpleNamespace(__annotations__={name: annotations[name]})
        spaces = getattr(source, "__globals__", {}), _closure(source)
        return shapes.of(typing.get_type_hints(alone, *spaces, include_extras=True)[name])
    except NameError as error:
        problem = f"its annotation cannot be resolved ({error}); define or import the name at the top of the module"
    except TypeError as error:
        problem = f"{error}; annotate it with JSON-like types"
    raise TypeError(f'tool {tool!r}, parameter {name!r}: {problem}, or give parameters={{"{name}": "str"}}')


def _closure(source: Any) -> dict[str, Any]:
    """Names of the enclosing function, as far as the tool refers to them."""
    names = getattr(getattr(source, "__code__", None), "co_freevars", ())
    found: dict[str, Any] = {}
    for name, cell in zip(names, getattr(source, "__closure__", None) or (), strict=False):
        try:
            found[name] = cell.cell_contents
        except ValueError:  # not assigned yet
            continue
    return found


def _described(schema: dict[str, Any], text: str | None, default: Any) -> dict[str, Any]:
    extra: dict[str, Any] = {}
    if text and "description" not in schema:
        extra["description"] = text
    if isinstance(default, (str, int, float)) and type(default) in (str, int, float, bool):
        extra["default"] = default
    return schema | extra


def _object(properties: dict[str, Any], required: list[str]) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": properties}
    return schema | ({"required": required} if required else {})
