"""The model that `coding_agent --mock` plays: it reads what the tools answer, and repairs what it knows to be wrong."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from looplet import ToolCall
from looplet.examples.coding.broken_repository import TEST_COMMAND
from looplet.examples.common import answered

if TYPE_CHECKING:
    from looplet import Prompt

REPAIRS = {
    "sum(prices) * discount / 100": "sum(prices) * (100 - discount) / 100",
    "stock.get(item, 0) > wanted": "stock.get(item, 0) >= wanted",
}


def scripted_model(prompt: Prompt) -> ToolCall:
    """Run the tests; find, read and repair what the first failing one is about; begin again."""
    results = answered(prompt)
    if not results:
        return ToolCall("think", {"thought": "First see which tests fail, then look at the code they are about."})
    call, text = results[-1]
    match call.tool:
        case "think" | "edit":
            return ToolCall("bash", {"command": TEST_COMMAND})
        case "bash":
            return after_tests(text, sum(call.tool == "edit" for call, _ in results))
        case "grep" if text.startswith('["'):
            return ToolCall("read", {"path": json.loads(text)[0].partition(":")[0]})
        case "read":
            return repair(call.args["path"], text)
    return give_up(f"{call.tool} did not help: {text}")


def after_tests(text: str, edits: int) -> ToolCall:
    if text.startswith("exit status 0"):
        return ToolCall("done", {"summary": f"The tests pass; it took {edits} edits."})
    failing = re.search(r"^(?:FAIL|ERROR): test_(\w+)", text, re.MULTILINE)
    if failing is None:
        return give_up("the tests do not run")
    return ToolCall("grep", {"pattern": rf"def {failing[1]}\(", "files": "*.py"})


def repair(path: str, text: str) -> ToolCall:
    for wrong, right in REPAIRS.items():
        if wrong in text:
            return ToolCall("edit", {"path": path, "old": wrong, "new": right})
    return give_up(f"I see nothing wrong in {path}")


def give_up(why: str) -> ToolCall:
    return ToolCall("done", {"summary": f"I could not repair it: {why}"})
