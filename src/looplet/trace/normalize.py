"""Take out of a trace what differs between two runs that did the same: a snapshot is what stays.

Left out altogether are run id, start, model, labels, tokens and times of the run itself. In texts and values a UUID
becomes `<uuid>`, a date with a time `<time>`, an object's address `<address>`, a loopback port `<port>`, and each path
that the caller names its placeholder.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from looplet.events import Event, RunFinished, StepFinished
from looplet.result import RunResult
from looplet.trace.jsonable import told_apart
from looplet.trace.layout import Layout
from looplet.trace.paths import Paths
from looplet.trace.read import Trace
from looplet.trace.render import render_trace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_PATTERNS = (
    (r"\b[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}\b", "<uuid>"),
    # a date with a time, as ISO 8601, RFC 3339 and SQL write it
    (r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?: ?Z\b| ?[+-]\d\d:?\d\d\b)?", "<time>"),
    (r"\b0x[0-9a-fA-F]{6,16}\b", "<address>"),
    (r"(?<=\b127\.0\.0\.1:)\d{4,5}\b|(?<=\blocalhost:)\d{4,5}\b|(?<=\[::1\]:)\d{4,5}\b", "<port>"),
)


class Normalizer:
    """Called with a text, answers the normal one; `value` does the same for JSON values.

    paths      concrete paths and what to write for them; the longest is looked for first
    volatile   names of JSON keys, call arguments included, whose values differ from run to run; `<name>` is written
    """

    def __init__(self, paths: Mapping[str, str] | None = None, volatile: Sequence[str] = ()) -> None:
        self._patterns = [(re.compile(pattern), to) for pattern, to in _PATTERNS]
        self._volatile = frozenset(volatile)
        self._paths = Paths({path: to for path, to in (paths or {}).items() if path.strip("/")})
        names = "|".join(re.escape(json.dumps(name, ensure_ascii=False)) for name in sorted(self._volatile))
        # JSON that stands in a text, as small models write their calls; a value of several parts stays
        self._in_text = re.compile(rf'({names})(\s*:\s*)("(?:[^"\\]|\\.)*"|[^\s"{{}}\[\],]+)') if names else None

    def __call__(self, text: str) -> str:
        text = self._paths(text)
        for pattern, to in self._patterns:
            text = pattern.sub(to, text)
        return self._in_text.sub(self._placeholder, text) if self._in_text is not None else text

    def value(self, value: Any) -> Any:
        """A JSON value with every string in it normal, and `<name>` for the value of each volatile key."""
        if isinstance(value, str):
            return self(value)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        if isinstance(value, dict):
            items = [f"<{key}>" if key in self._volatile else self.value(item) for key, item in value.items()]
            return dict(zip(told_apart(map(self, value)), items, strict=True))
        return value

    @staticmethod
    def _placeholder(match: re.Match[str]) -> str:
        return f'{match[1]}{match[2]}"<{json.loads(match[1])}>"'


def normal_text(source: Trace | RunResult, normalizer: Normalizer) -> str:
    """The text of a run that a snapshot holds. A result without its trace has no prompts to show."""
    trace = source if isinstance(source, Trace) else trace_of(source)
    return render_trace(trace, Layout(normalizer))


def trace_of(result: RunResult) -> Trace:
    """What can be shown of a result by itself: its task, its steps and its end."""
    steps: list[Event] = [StepFinished(step, step.tool_call, 0) for step in result.steps]
    end = RunFinished(result.stop_reason, result.status, result.output, result.usage, result.errors, result.duration)
    return Trace("", {"task": result.task}, (), (*steps, end))
