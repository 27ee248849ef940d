"""One readable line a step. Nothing a model or tool wrote may reach the terminal as a control sequence."""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from looplet.types import Step

_ARGUMENT_CHARS = 40
_VALUE_CHARS = 80
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
    if isinstance(data, dict):
        if len(data) == 1:
            return summarize(next(iter(data.values())))
        return _count(len(data), "key")
    if isinstance(data, (list, tuple, set, frozenset)):
        return _count(len(data), "item")
    text = data if isinstance(data, str) else _safe_repr(data)
    return shorten(visible(text), _VALUE_CHARS)


def pretty_call(tool: str, args: dict[str, Any]) -> str:
    """`search(query='…', limit=3)`, each argument shortened."""
    shown = ", ".join(f"{visible(str(name))}={_argument(value)}" for name, value in args.items())
    return f"{visible(tool)}({shown})"


def pretty_step(step: Step) -> str:
    result = step.tool_result
    mark, outcome = "✓", summarize(result.data)
    if result.error is not None:
        mark, outcome = "✗", f"ERROR: {shorten(visible(result.error), 2 * _VALUE_CHARS)}"
    elif isinstance(result.data, dict) and result.data.get("needs_approval") is True:
        mark, outcome = "⏸", "awaiting approval"
    call = pretty_call(step.tool_call.tool, step.tool_call.args)
    return f"#{step.number} {mark} {call} → {outcome} [{result.duration_ms:.0f}ms]"


def _argument(value: Any) -> str:
    if isinstance(value, str):
        return visible(repr(shorten(value, _ARGUMENT_CHARS)))
    return shorten(visible(_safe_repr(value)), _ARGUMENT_CHARS)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _safe_repr(value: Any) -> str:
    """`repr()` of a stranger's object may raise; a log line may not."""
    try:
        return repr(value)
    except Exception as error:  # noqa: BLE001  # boundary: a tool's own __repr__
        return f"<{type(value).__name__}, repr failed: {type(error).__name__}>"
