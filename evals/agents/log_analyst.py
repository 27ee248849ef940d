"""A log analyst: searches the log files it is given and leaves its findings in report.json."""

from __future__ import annotations

import json
import re
from collections import Counter
from typing import TYPE_CHECKING, Any

from looplet import Prompt, Run, ToolCall, ToolValidationError, composable_loop, tool

if TYPE_CHECKING:
    from pathlib import Path

    from looplet import ToolSpec

INSTRUCTIONS = """You analyse log files. Lines read: time level service message.
List the files, search each of them, then write the report:
- service: the service with the most ERROR lines, or null when there are none
- errors: how many ERROR lines that service has
- first: the time of its first ERROR line, or null
- cause: the message of that service's last WARN line before its first error, or null
Then call done."""

MOST_MATCHES = 50


def agent(task: Any, llm: Any, workdir: Path) -> Run:
    return composable_loop(llm=llm, task=task, tools=tools(workdir), system_prompt=INSTRUCTIONS, max_steps=12)


def tools(workdir: Path) -> list[ToolSpec]:
    @tool
    def list_files() -> list[str]:
        """Name the log files."""
        return sorted(path.name for path in workdir.glob("*.log"))

    @tool
    def search(file: str, pattern: str) -> dict[str, Any]:
        """Find the lines of a file that match a regular expression, in order."""
        path = workdir / file
        if path.parent != workdir or not path.is_file():
            raise ToolValidationError(f"there is no log file {file!r}; see list_files")
        lines = [line for line in path.read_text(encoding="utf-8").splitlines() if re.search(pattern, line)]
        return {"matches": len(lines), "lines": lines[:MOST_MATCHES]}

    @tool
    def write_report(service: str | None, errors: int, first: str | None, cause: str | None) -> str:
        """Write report.json."""
        report = {"service": service, "errors": errors, "first": first, "cause": cause}
        (workdir / "report.json").write_text(json.dumps(report), encoding="utf-8")
        return "written"

    return [list_files, search, write_report]


def scripted_model(prompt: Prompt) -> ToolCall:
    """Work from what the tools answered: other log lines give another report."""
    calls = {call.call_id: call for message in prompt.messages for call in message.tool_calls}
    results = [(calls[message.call_id], message.content) for message in prompt.messages if message.role == "tool"]
    if not results:
        return ToolCall("list_files")
    files = json.loads(results[0][1])
    found = [json.loads(text)["lines"] for call, text in results if call.tool == "search"]
    if len(found) < len(files):
        return ToolCall("search", {"file": files[len(found)], "pattern": " (ERROR|WARN) "})
    if results[-1][0].tool != "write_report":
        return ToolCall("write_report", findings([line for lines in found for line in lines]))
    report = results[-1][0].args
    return ToolCall("done", {"answer": f"{report['service']} has {report['errors']} errors: {report['cause']}"})


def findings(lines: list[str]) -> dict[str, Any]:
    parsed = sorted(line.split(" ", 3) for line in lines)
    errors = Counter(service for _, level, service, _ in parsed if level == "ERROR")
    if not errors:
        return {"service": None, "errors": 0, "first": None, "cause": None}
    service, count = errors.most_common(1)[0]
    first = next(time for time, level, name, _ in parsed if (level, name) == ("ERROR", service))
    warnings = [text for time, level, name, text in parsed if (level, name) == ("WARN", service) and time < first]
    return {"service": service, "errors": count, "first": first, "cause": warnings[-1] if warnings else None}
