"""`RunResult`: what a run leaves behind. Evals receive this object; a trace loads into an equal one."""

from __future__ import annotations

from typing import Any, Literal

from looplet._pretty import as_text, shorten, visible
from looplet._record import Record
from looplet.types import Step, Usage

Status = Literal["completed", "paused", "failed", "stopped"]

_STATUS: dict[str, Status] = {
    "done": "completed",
    "waiting_for_approval": "paused",
    "llm_error": "failed",
    "parse_error": "failed",
    "error": "failed",
}


def status_of(stop_reason: str) -> Status:
    """completed: `done`; paused: `waiting_for_approval`; failed: `llm_error`, `parse_error`, `error`; else stopped."""
    return _STATUS.get(stop_reason, "stopped")


class RunResult(Record):
    """One finished run. `output` is what the accepted `done` returned; `duration` is wall time in seconds.

    `errors` are the run's own failures (provider, hook, parse) and each failed step's error, in order, as text.
    `all` holds every run of an agent that ran several loops; `trace_dir` the trace, when one was written.
    """

    stop_reason: str
    task: Any = None
    output: Any = None
    steps: tuple[Step, ...] = ()
    errors: tuple[str, ...] = ()
    usage: Usage = Usage()
    duration: float = 0.0
    artifacts: dict[str, Any] = {}
    trace_dir: str | None = None
    all: tuple[RunResult, ...] = ()

    @property
    def status(self) -> Status:
        return status_of(self.stop_reason)

    @property
    def tool_sequence(self) -> list[str]:
        """Names of the tools called, in order."""
        return [step.tool_call.tool for step in self.steps]

    @property
    def cost(self) -> float | None:
        """Money spent, None while no price is known."""
        return self.usage.cost

    @property
    def text(self) -> str:
        """A readable log: the task, one line a step, and how it ended."""
        lines = [f"task: {shorten(visible(as_text(self.task)), 200)}"]
        lines += [step.pretty() for step in self.steps]
        lines += [f"error: {visible(as_text(error))}" for error in self.errors]
        lines.append(f"ended: {self.stop_reason} ({self.status}); output: {visible(as_text(self.output))}")
        return "\n".join(lines)
