"""`MetricsHook`: count what runs do, and how long it takes."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any

from looplet.events import CallFinished, Compacted, ModelFailed, ModelReplied, RunFinished, StepFinished
from looplet.types import ErrorKind, Usage

if TYPE_CHECKING:
    from looplet.events import Event


class MetricsHook:
    """Add up calls, failures, tokens and durations, by tool and for the model. One may serve many runs, also at once.

    `summary()` is a dict of plain numbers:

    runs, steps, compactions, duration_s, stop_reasons {reason: runs}
    model  calls, failures, input_tokens, output_tokens, cached_tokens, cost (None: unknown), duration_ms
    tools  by name: calls (that ran), denied, errors (refusals among them), duration_ms
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: Counter[str] = Counter()
        self._stops: Counter[str] = Counter()
        self._tools: dict[str, Counter[str]] = {}
        self._ms: dict[str, float] = {}  # by tool
        self._usage = Usage()
        self._model_ms = 0.0
        self._duration_s = 0.0

    def on_event(self, event: Event) -> None:
        with self._lock:
            self._count(event)

    def _count(self, event: Event) -> None:
        match event:
            case ModelReplied():
                self._counts["calls"] += 1
                self._usage += event.reply.usage or Usage()
                self._model_ms += event.duration_ms
            case ModelFailed():
                self._counts.update(["calls", "failures"])
            case CallFinished():
                name = event.tool_call.tool
                self._tool(name)["calls"] += 1
                self._ms[name] = self._ms.get(name, 0.0) + event.result.duration_ms
            case StepFinished():
                self._step(event)
            case Compacted():
                self._counts["compactions"] += 1
            case RunFinished():
                self._counts["runs"] += 1
                self._stops[event.stop_reason] += 1
                self._duration_s += event.duration_s

    def _tool(self, name: str) -> Counter[str]:
        return self._tools.setdefault(name, Counter())

    def _step(self, event: StepFinished) -> None:
        result = event.step.tool_result
        counts = self._tool(event.step.tool_call.tool)
        counts["errors"] += result.error is not None
        counts["denied"] += result.error_kind == ErrorKind.PERMISSION_DENIED
        self._counts["steps"] += 1

    def summary(self) -> dict[str, Any]:
        """Everything so far; a run counts as one when it has ended."""
        with self._lock:
            return {
                "runs": self._counts["runs"],
                "steps": self._counts["steps"],
                "compactions": self._counts["compactions"],
                "duration_s": self._duration_s,
                "stop_reasons": dict(self._stops),
                "model": {
                    "calls": self._counts["calls"],
                    "failures": self._counts["failures"],
                    **self._usage.to_dict(),
                    "duration_ms": self._model_ms,
                },
                "tools": {
                    name: {
                        **{key: counts[key] for key in ("calls", "denied", "errors")},
                        "duration_ms": self._ms.get(name, 0.0),
                    }
                    for name, counts in sorted(self._tools.items())
                },
            }
