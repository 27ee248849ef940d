"""How single values look in the text form of a trace: indented bodies, JSON, the header, the table of times."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from looplet._pretty import visible
from looplet.events import Event, ModelFailed, ModelReplied, RunFinished, StepFinished
from looplet.trace.jsonable import jsonable

if TYPE_CHECKING:
    from collections.abc import Iterable

    from looplet.trace.read import Trace

_ONE_LINE = 100  # characters of JSON that stay on one line


def body(text: str, depth: int = 1) -> list[str]:
    """`text` line by line, indented. An empty text has no lines."""
    return ["  " * depth + line if line else "" for line in visible(text, keep="\n\t").split("\n")] if text else []


def pretty_json(value: object) -> str:
    """JSON on one line when it is short, else one line an item: a changed item is one changed line."""
    value = jsonable(value)
    line = _dump(value)
    if len(line) <= _ONE_LINE or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"  {_dump(item)}" for item in value) + "\n]"
    return "{\n" + ",\n".join(f"  {_dump(key)}: {_dump(item)}" for key, item in value.items()) + "\n}"


def call_line(tool: str, arguments: object) -> str:
    """`search {"query": "x"}`; arguments that are a str are printed as the model wrote them."""
    shown = arguments if isinstance(arguments, str) else _dump(jsonable(arguments))
    return f"{visible(tool)} {visible(shown)}"


def field(name: str, value: object) -> list[str]:
    """`name: value`, a longer value below its name; nothing for an empty one."""
    if value in (None, "", {}, [], ()):
        return []
    text = value if isinstance(value, str) else pretty_json(value)
    lines = body(text)
    return [f"{name}: {lines[0].strip()}"] if len(lines) == 1 else [f"{name}:", *lines]


def set_values(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value not in (None, {}, "")}


def header_lines(trace: Trace) -> list[str]:
    header = trace.header
    began = header.get("t")
    lines = ["looplet trace"]
    lines += field("run", header.get("run_id"))
    if isinstance(began, (int, float)):
        lines += field("started", datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"))
    lines += field("model", header.get("model"))
    lines += field("steps at most", header.get("max_steps"))
    lines += field("settings", set_values(header.get("settings", {})))
    lines += field("tools", ", ".join(_signature(tool) for tool in header.get("tools", ())))
    lines += field("labels", header.get("labels"))
    lines += field("redactor", header.get("redactor"))
    if not trace.exchanges:  # else the task stands in the first message
        lines += field("task", header.get("task"))
    return lines


def timing_lines(events: Iterable[Event]) -> list[str]:
    """One line a request and a step, all that differs from run to run."""
    lines = ["", "times"]
    for event in events:
        if isinstance(event, ModelReplied):
            usage = event.reply.usage
            tokens = f"  {usage.input_tokens} in, {usage.output_tokens} out" if usage else ""
            lines.append(f"  reply {event.call}: {event.duration_ms:.0f} ms{tokens}")
        elif isinstance(event, ModelFailed):
            lines.append(f"  request {event.call}: failed")
        elif isinstance(event, StepFinished):
            lines.append(f"  step {event.step.number}: {event.step.tool_result.duration_ms:.0f} ms")
        elif isinstance(event, RunFinished):
            cost = "" if event.usage.cost is None else f"  cost {event.usage.cost:.6g}"
            tokens = f"  {event.usage.input_tokens} in, {event.usage.output_tokens} out"
            lines.append(f"  run: {event.duration_s:.3f} s{tokens}{cost}")
    return lines if len(lines) > 2 else []


def _signature(tool: dict[str, Any]) -> str:
    return f"{tool.get('name')}({', '.join(tool.get('parameters', {}).get('properties', {}))})"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
