"""The model that `--mock` plays. It works from the newest result alone, so that it survives compaction and resuming."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet import ToolCall
from looplet.examples.common import answered

if TYPE_CHECKING:
    from looplet import Prompt


def scripted_model(prompt: Prompt) -> ToolCall:
    results = answered(prompt)
    if not results:
        return ToolCall("show_rows", {"first": 1})
    call, text = results[-1]
    if text.startswith("ERROR (permission_denied)"):
        return ToolCall("done", {"answer": "The columns are tidy; rows stayed that nobody agreed to delete."})
    if call.tool == "show_rows" and (following := json.loads(text)["next"]):
        return ToolCall("show_rows", {"first": following})
    if call.tool == "find_problems":
        return solve(json.loads(text))
    return ToolCall("find_problems")


def solve(problems: dict[str, Any]) -> ToolCall:
    """The next thing to do about what is wrong with the table."""
    for column, cells in problems["untidy"].items():
        if cells:
            return ToolCall("normalize", {"column": column})
    for problem, reason in (("duplicates", "they repeat other rows"), ("without_email", "nobody can be reached")):
        if problems[problem]:
            return ToolCall("delete_rows", {"ids": problems[problem], "reason": reason})
    return ToolCall("done", {"answer": f"The table is clean; it has {problems['rows']} rows."})
