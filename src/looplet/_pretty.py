"""One readable line a step. Nothing a model or tool wrote may reach the terminal as a control sequence."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.types import Step

_ARGUMENT_CHARS = 40
_VALUE_CHARS = 80
_UNWRAPPINGS = 5  # one-key dicts inside each other; a dict may hold itself
# Cc controls, Cf invisible format characters (bidi overrides among them), Cs lone surrogates, Zl/Zp line separators
_UNPRINTABLE = {"Cc", "Cf", "Cs", "Zl", "Zp"}


def visible(text: str, keep: str = "") -> str:
    """Replace control characters, terminal escapes, bidi overrides and lone surrogates by `\\x1b`-style escapes.

    Characters in `keep` (a newline, say) pass through.
    """
    if text.isascii() and text.isprintable():
        return text
    return "".join(
        char if char in keep or unicodedata.category(char) not in _UNPRINTABLE else _escape(char) for char in text
    )


def _escape(char: str) -> str:
    return char.encode("unicode_escape", "surrogatepass").decode("ascii")


def shorten(text: str, limit: int) -> str:
    """Cut `text` to `limit` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def summarize(data: Any) -> str:
    """A result in a few words: a list as `N items`, a one-key dict as its value, another dict as `N keys`."""
    try:
        return _summary(data)
    except Exception as error:  # noqa: BLE001  # boundary: a container of the tool's own, any method of which may raise
        return visible(f"<{type(data).__name__}, unreadable: {type(error).__name__}>")


def _summary(data: Any) -> str:
    for _ in range(_UNWRAPPINGS):
        if not isinstance(data, dict) or len(data) != 1:
            break
        data = next(iter(data.values()))
    if isinstance(data, dict):
        return _count(len(data), "key")
    if isinstance(data, (list, tuple, set, frozenset)):
        return _count(len(data), "item")
    text = data if isinstance(data, str) else _safe(repr, data)
    return shorten(visible(text), _VALUE_CHARS)


def pretty_call(tool: str, args: dict[str, Any]) -> str:
    """`search(query='…', limit=3)`, each argument shortened."""
    shown = ", ".join(f"{visible(as_text(name))}={_argument(value)}" for name, value in args.items())
    return f"{visible(tool)}({shown})"


def pretty_step(step: Step) -> str:
    result = step.tool_result
    mark, outcome = "✓", summarize(result.data)
    if result.error is not None:
        mark, outcome = "✗", f"ERROR: {shorten(visible(as_text(result.error)), 2 * _VALUE_CHARS)}"
    elif type(result.data) is dict and result.data.get("needs_approval") is True:
        mark, outcome = "⏸", "awaiting approval"
    call = pretty_call(step.tool_call.tool, step.tool_call.args)
    return f"#{step.number} {mark} {call} → {outcome} [{result.duration_ms:.0f}ms]"


def _argument(value: Any) -> str:
    if isinstance(value, str):
        return visible(repr(shorten(value, _ARGUMENT_CHARS)))
    return shorten(visible(_safe(repr, value)), _ARGUMENT_CHARS)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def as_text(value: object) -> str:
    """`str(value)`, or what went wrong with it."""
    return _safe(str, value)


def _safe(write: Callable[[Any], str], value: object) -> str:
    """`repr()` and `str()` of a stranger's object may raise; a log line may not."""
    try:
        return write(value)
    except Exception as error:  # noqa: BLE001  # boundary: a tool's own __repr__ or __str__
        return f"<{type(value).__name__}, {write.__name__} failed: {type(error).__name__}>"
