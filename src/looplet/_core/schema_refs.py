"""References inside a JSON Schema: follow one, and move a schema into a larger one without breaking any."""

from __future__ import annotations

from typing import Any

_DEFINITIONS = ("$defs", "definitions")


def lookup(root: Any, reference: Any) -> Any:
    """The part of `root` that `#/$defs/Name` points to; True, which allows everything, when there is none."""
    if not isinstance(reference, str) or not reference.startswith("#"):
        return True
    for part in reference[1:].split("/")[1:]:
        name = part.replace("~1", "/").replace("~0", "~")
        if not isinstance(root, dict) or name not in root:
            return True
        root = root[name]
    return root


def rebased(schema: dict[str, Any], owner: str, at: str, definitions: dict[str, Any]) -> dict[str, Any]:
    """`schema` for the place `at` (`/properties/args`) of a larger one.

    Its definitions go to `definitions`, which becomes the `$defs` of the larger one, as `OWNER.Name`: servers that
    compile a schema look for definitions at its root. Every reference follows.
    """

    def moved(value: Any) -> Any:
        if isinstance(value, list):
            return [moved(item) for item in value]
        if not isinstance(value, dict):
            return value
        return {
            key: _moved_reference(item, owner, at) if key == "$ref" and isinstance(item, str) else moved(item)
            for key, item in value.items()
        }

    kept = dict(schema)
    for word in _DEFINITIONS:
        if isinstance(own := kept.get(word), dict):
            definitions.update({f"{owner}.{name}": moved(definition) for name, definition in own.items()})
            del kept[word]
    result: dict[str, Any] = moved(kept)
    return result


def _moved_reference(reference: str, owner: str, at: str) -> str:
    for word in _DEFINITIONS:
        prefix = f"#/{word}/"
        if reference.startswith(prefix):
            return f"#/$defs/{owner}.{reference.removeprefix(prefix)}"
    if reference == "#" or reference.startswith("#/"):
        return f"#{at}{reference[1:]}"
    return reference  # to an anchor or another document
