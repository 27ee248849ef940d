"""What happened, in order: frozen events for `on_event` watchers and for journals. Nobody answers an event.

Numbers count from 1: `call` numbers requests to the model over the whole run (retries included), `step` numbers steps.
"""

from __future__ import annotations

from typing import Any

from looplet._record import Record
from looplet.messages import Capabilities, Message, Prompt, Reply, ToolSchema
from looplet.types import Step, ToolCall, ToolResult, Usage


class Event(Record):
    """Base of all events."""


class Checkpoint(Record):
    """Where a run stands, for a journal to resume from: the conversation, and the rest as JSON-shaped `facts`."""

    conversation: tuple[Message, ...]
    facts: dict[str, Any]


class RunStarted(Event):
    """First event. `settings` are the LoopConfig values that shape requests; `labels` say who asked for the run.

    `gated` names the tools that need approval.
    """

    run_id: str
    task: Any
    system: str
    tools: tuple[ToolSchema, ...]
    max_steps: int
    settings: dict[str, Any]
    model: str
    capabilities: Capabilities
    labels: dict[str, Any] = {}
    gated: tuple[str, ...] = ()


class ModelCalled(Event):
    """A request is about to be sent."""

    call: int
    prompt: Prompt


class ModelChunk(Event):
    """A piece of reply `call` as it is generated (`LoopConfig(stream=True)`). For watchers only.

    `reasoning` marks thinking text. A model that cannot stream gives its whole text as one piece.
    """

    call: int
    text: str
    reasoning: bool = False


class ModelReplied(Event):
    """The model answered request `call`; `prompt` is exactly what was sent.

    `purpose` is "compact" for the question of a compaction strategy, else empty.
    """

    call: int
    prompt: Prompt
    reply: Reply
    duration_ms: float = 0.0
    purpose: str = ""


class ModelFailed(Event):
    """Request `call` failed with `error` (class name in `kind`).

    `retry_in` is seconds until the next attempt, None for none.

    `details` are the fields a replay needs to raise the same error again. `checkpoint`: see StepFinished.
    """

    call: int
    prompt: Prompt
    kind: str
    error: str
    retry_in: float | None = None
    details: dict[str, Any] = {}
    checkpoint: Checkpoint | None = None


class CallStarted(Event):
    """A tool call is about to execute. `asked` is the call as the model wrote it, `tool_call` what runs."""

    step: int
    tool_call: ToolCall
    asked: ToolCall
    approved: bool = False


class CallFinished(Event):
    """A tool call has a result (before `post_dispatch` looked at it)."""

    step: int
    tool_call: ToolCall
    result: ToolResult


class ToolProgress(Event):
    """A running tool said how far it is (`ctx.progress(message)`). For watchers only; traces do not keep it."""

    tool: str
    message: str


class StepFinished(Event):
    """The step is final; the next thing that happens is that your `for` receives it.

    `asked` is the call as the model wrote it; `call` the model request it came from. `checkpoint` is None unless a
    CheckpointHook keeps the run.
    """

    step: Step
    asked: ToolCall
    call: int
    checkpoint: Checkpoint | None = None


class Saved(Event):
    """A checkpoint between two steps: a reply was taken in, a request failed, the conversation was shortened."""

    checkpoint: Checkpoint


class RunResumed(Event):
    """A run goes on that an earlier process began. `history` are its events so far.

    `pending` is the call that waits for an approval, `approval` the answer given with `Resume(dir, answer)`.
    """

    run_id: str
    step: int
    history: tuple[Event, ...] = ()
    pending: ToolCall | None = None
    approval: Any = None
    gated: tuple[str, ...] = ()


class Compacted(Event):
    """The conversation was shortened: messages before and after, and what was dropped."""

    before: int
    after: int
    dropped: tuple[str, ...] = ()


class HookDecided(Event):
    """A hook changed the course: its name, the phase, and what it answered."""

    hook: str
    phase: str
    decision: str


class Noticed(Event):
    """Something a person should know that stops nothing, such as a fallback to text mode."""

    message: str


class RunFinished(Event):
    """Last event, exactly once for each process that drives the run. `duration_s` is wall time in seconds."""

    stop_reason: str
    status: str
    output: Any
    usage: Usage
    errors: tuple[str, ...] = ()
    duration_s: float = 0.0
