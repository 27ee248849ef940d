"""Check a call before it runs: does the tool exist, do the arguments fit its schema. The model reads the answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._core.check_schema import Check
from looplet._core.schema_words import did_you_mean, signature
from looplet._core.to_text import to_text
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from collections.abc import Mapping

    from looplet.protocols import Tool

_SHOWN = 300
_PROBLEMS_SHOWN = 8


def validate(call: ToolCall, tools: Mapping[str, Tool]) -> tuple[ToolCall, tuple[str, ...]] | ToolResult:
    """Return the call, its arguments coerced where nothing is lost, with a note on each coercion; or the refusal.

    Never raises; what a schema says beyond the subset in `check_schema` is not checked.
    """
    tool = tools.get(call.tool)
    if tool is None:
        return _refusal(call, _unknown_tool(call.tool, tools))
    schema = tool.schema.parameters
    check = Check(schema)
    args = check.arguments(call.args)
    if check.problems:
        return _refusal(call, _mismatch(call, schema, check.problems))
    return (call if args is call.args else call.replace(args=args)), tuple(check.notes)


def _refusal(call: ToolCall, error: str) -> ToolResult:
    return ToolResult(call.tool, error=error, error_kind=ErrorKind.VALIDATION)


def _unknown_tool(name: str, tools: Mapping[str, Tool]) -> str:
    return f"There is no tool {name!r}.{did_you_mean(name, tools)} The tools are: {', '.join(tools) or '(none)'}."


def _mismatch(call: ToolCall, schema: dict[str, Any], problems: list[str]) -> str:
    """One line: people read it in the log of a run, too."""
    shown = problems[:_PROBLEMS_SHOWN]
    if len(problems) > len(shown):
        shown.append(f"And {len(problems) - len(shown)} more")
    sentences = " ".join(problem if problem.endswith((".", "?")) else f"{problem}." for problem in shown)
    return f"{call.tool} was not run. {sentences} Expected: {signature(schema)}. Given: {to_text(call.args, _SHOWN)}"
