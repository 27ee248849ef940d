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

    from looplet.trace.normalize import Normalizer
    from looplet.trace.read import Trace

TITLE = "looplet trace"  # the first line of every run
_ONE_LINE = 100  # characters of JSON that stay on one line


class Layout:
    """How texts and values are written. `normal` comes first: it takes out what differs from run to run."""

    def __init__(self, normal: Normalizer | None = None) -> None:
        self.normal = normal

    def body(self, text: str, depth: int = 1) -> list[str]:
        """`text` line by line, indented. An empty text has no lines."""
        return _indented(self.text(text), depth) if text else []

    def value(self, value: object) -> list[str]:
        """A result: a text as it is, anything else as JSON."""
        if isinstance(value, str):
            return self.body(value)
        return _indented(pretty_json(self.json(value)), 1)

    def call(self, tool: str, arguments: object) -> str:
        """`search {"query": "x"}`; arguments that are a str are printed as the model wrote them."""
        if isinstance(arguments, str):
            return f"{visible(tool)} {visible(self.text(arguments))}"
        return f"{visible(tool)} {visible(_dump(self.json(arguments)))}"

    def field(self, name: str, value: object) -> list[str]:
        """`name: value`, a longer value below its name; nothing for an empty one."""
        return [] if value in (None, "", {}, [], ()) else self.inline(f"{name}:", self.value(value))

    def inline(self, heading: str, text: str | list[str]) -> list[str]:
        """Heading and text on one line when the text is one line."""
        lines = self.body(text) if isinstance(text, str) else text
        return [f"{heading} {lines[0].strip()}"] if len(lines) == 1 else [heading, *lines]

    def text(self, text: str) -> str:
        return text if self.normal is None else self.normal(text)

    def json(self, value: object) -> Any:
        value = jsonable(value)
        return value if self.normal is None else self.normal.value(value)

    @property
    def is_normal(self) -> bool:
        return self.normal is not None


def _indented(text: str, depth: int) -> list[str]:
    return ["  " * depth + line if line else "" for line in visible(text, keep="\n\t").split("\n")]


def pretty_json(value: object) -> str:
    """JSON on one line when it is short, else one line an item: a changed item is one changed line."""
    value = jsonable(value)
    line = _dump(value)
    if len(line) <= _ONE_LINE or not isinstance(value, (dict, list)):
        return line
    if isinstance(value, list):
        return "[\n" + ",\n".join(f"  {_dump(item)}" for item in value) + "\n]"
    return "{\n" + ",\n".join(f"  {_dump(key)}: {_dump(item)}" for key, item in value.items()) + "\n}"


def set_values(settings: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if value not in (None, {}, "")}


def header_lines(trace: Trace, layout: Layout) -> list[str]:
    """What the run was given. A normal text leaves out what names this one run."""
    header, field = trace.header, layout.field
    began = header.get("t")
    lines = [TITLE]
    if not layout.is_normal:
        lines += field("run", header.get("run_id"))
        if began is not None:
            lines += field("started", datetime.fromtimestamp(began, UTC).isoformat(timespec="seconds"))
        lines += field("model", header.get("model"))
    lines += field("steps at most", header.get("max_steps"))
    lines += field("settings", set_values(header.get("settings", {})))
    lines += field("tools", ", ".join(_signature(tool) for tool in header.get("tools", ())))
    if not layout.is_normal:
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
    properties = tool["parameters"].get("properties")
    return f"{tool['name']}({', '.join(properties if isinstance(properties, dict) else ())})"


def _dump(value: object) -> str:
    return json.dumps(value, ensure_ascii=False)
