"""Checkpoints: where a run stands, as data, and going on from there in another process.

A journal that resumes needs what the events do not say: the conversation as the core holds it, and the counters. It is
saved with every step, and after each change between steps; what happened after the last save is in the events, and is
taken up again by `recovered` (calls that had started) and `Restored.reply` (a reply nobody had looked at yet).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._core.parse import ParsedCall
from looplet._core.retry import Attempts
from looplet._core.validate import validate
from looplet._record import Record
from looplet.effects import Decided, emit
from looplet.events import (
    CallFinished,
    CallStarted,
    Checkpoint,
    ModelFailed,
    ModelReplied,
    RunFinished,
    Saved,
    StepFinished,
)
from looplet.types import ErrorKind, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looplet.effects import Flow
    from looplet.events import Event
    from looplet.messages import Reply
    from looplet.state import RunState

_COUNTERS = (
    "unsent",
    "turn",
    "id_count",
    "free_steps",
    "text_mode",
    "tools_refused",
    "overflowed",
    "executed",
    "tools_off",
)
# A run that ended so may go on later; its unexecuted calls stay open in the journal.
RESUMABLE = frozenset({"closed", "cancelled", "error", "llm_error", "waiting_for_approval"})
INTERRUPTED = (
    "interrupted: the run was cut off while this call was running; it may or may not have had its effect. "
    "Look before you repeat it"
)


class Restored(Record):
    """What a resumed run takes up: its history, calls that had started, and a reply that was not looked at.

    `approval` answers the call the run was waiting with.
    """

    history: tuple[Event, ...]
    started: dict[int, CallStarted]
    finished: dict[int, CallFinished]
    reply: Reply | None = None
    approval: Any = None


def checkpoint(state: RunState) -> Checkpoint | None:
    """Where the run stands; None when no journal keeps checkpoints."""
    if not state.hooks.checkpoints:
        return None
    ended = "max_steps" if state.tools_off else state.stop  # its last question is asked after the run has stopped
    facts: dict[str, Any] = {name: getattr(state, name) for name in _COUNTERS}
    facts |= {
        "usage": state.usage.to_dict(),
        "spent": state.spent.to_dict(),
        "attempts": state.attempts and state.attempts.to_dict(),
        "pending": state.pending_approval and state.pending_approval.to_dict(),
        "budget": state.budget,
        "ended": ended and {"reason": ended, "errors": list(state.errors)},
        "unanswered": [
            {"call": each.call.to_dict(), "native": each.native, "problem": each.problem} for each in state.unanswered
        ],
    }
    return Checkpoint(tuple(state.conversation), facts)


def save(state: RunState) -> Flow[None]:
    """Tell the journals where the run stands between two steps."""
    saved = checkpoint(state)
    if saved is not None:
        yield from emit(Saved(saved))


def restore(state: RunState, history: Sequence[Event], approval: Any) -> None:
    """Put `state` where the events of an earlier process left it. They hold at least one checkpoint."""
    last = max(index for index, event in enumerate(history) if checkpoint_of(event) is not None)
    saved = checkpoint_of(history[last])
    assert saved is not None, "chosen for it"  # noqa: S101  # for the type checker
    restore_facts(state, saved)
    for event in history:
        restore_event(state, event)
    state.committed = len(state.steps)
    for event in history[last + 1 :]:
        if isinstance(event, ModelReplied):
            state.spend(event.reply.usage)
    ended = saved.facts["ended"]
    if ended is not None and ended["reason"] not in RESUMABLE:
        end_again(state, **ended)
    if ended is not None or isinstance(history[-1], RunFinished):  # it is given another chance: its troubles are over
        state.overflowed, state.attempts = False, None
    state.restored = take_up(state, history, last, approval)
    if any(is_pending(state, event) for event in state.restored.started.values()):
        state.pending_approval = None  # it was approved, and began


def restore_facts(state: RunState, saved: Checkpoint) -> None:
    facts = saved.facts
    for name in _COUNTERS:
        setattr(state, name, facts[name])
    state.conversation = list(saved.conversation)
    state.call_ids = {call.call_id for message in saved.conversation for call in message.tool_calls}
    state.usage, state.spent = Usage.from_dict(facts["usage"]), Usage.from_dict(facts["spent"])
    state.attempts = facts["attempts"] and Attempts(state.config, facts["attempts"])
    state.pending_approval = facts["pending"] and ToolCall.from_dict(facts["pending"])
    state.unanswered = [
        ParsedCall(ToolCall.from_dict(each["call"]), each["native"], each["problem"]) for each in facts["unanswered"]
    ]


def restore_event(state: RunState, event: Event) -> None:
    """What the events say themselves: the steps, their errors, the latest request."""
    if isinstance(event, StepFinished):
        state.steps.append(event.step)
        state.call_ids.add(event.asked.call_id)  # also of turns that a compaction dropped
        if event.step.tool_result.error is not None:
            state.errors.append(f"{event.step.tool_call.tool}: {event.step.tool_result.error}")
    elif isinstance(event, (ModelReplied, ModelFailed)):
        state.call_number, state.last_prompt = event.call, event.prompt


def end_again(state: RunState, reason: str, errors: list[str]) -> None:
    """The process died between the step that ended the run and the run's last line."""
    state.stop, state.errors = reason, errors
    if reason == "done":
        state.output = state.steps[-1].tool_result.data


def take_up(state: RunState, history: Sequence[Event], last: int, approval: Any) -> Restored:
    """What was begun and not committed, and a reply after the `last` checkpoint, told by the events in their order."""
    started: dict[int, CallStarted] = {}
    finished: dict[int, CallFinished] = {}
    reply = None
    for index, event in enumerate(history):
        if isinstance(event, CallStarted):
            started[event.step] = event
            finished.pop(event.step, None)
        elif isinstance(event, CallFinished):
            finished[event.step] = event
        elif isinstance(event, ModelReplied) and index > last and not event.purpose:
            reply = event.reply
        saved = checkpoint_of(event)
        if saved is not None and saved.facts["pending"] is not None:  # waiting for approval: in effect, not begun
            waiting = saved.facts["pending"]["call_id"]
            started = {step: each for step, each in started.items() if each.asked.call_id != waiting}
    open_calls = {step: each for step, each in started.items() if step > state.committed}
    return Restored(tuple(history), open_calls, finished, reply, approval)


def is_pending(state: RunState, event: CallStarted) -> bool:
    return state.pending_approval is not None and event.asked.call_id == state.pending_approval.call_id


def budget_of(history: Sequence[Event]) -> int | None:
    """The budget the run had last."""
    saved = [checkpoint for event in history if (checkpoint := checkpoint_of(event)) is not None]
    budget: int | None = saved[-1].facts.get("budget") if saved else None
    return budget


def checkpoint_of(event: Event) -> Checkpoint | None:
    return event.checkpoint if isinstance(event, (ModelFailed, Saved, StepFinished)) else None


def recovered(state: RunState, asked: Decided) -> Decided | None:
    """The decision about a call an earlier process had started; None for one that has not begun.

    A call with a result is never run again. One without is reported as interrupted, unless its tool is idempotent.
    """
    restored: Restored | None = state.restored
    started = restored.started.get(asked.step) if restored else None
    if restored is None or started is None:
        return None
    valid = validate(asked.call, state.tools)
    notes = () if isinstance(valid, ToolResult) or valid[0].args != started.tool_call.args else valid[1]
    decision = asked.replace(call=started.tool_call, notes=notes, approved=started.approved)
    finished = restored.finished.get(asked.step)
    if finished is not None:
        return decision.replace(result=finished.result, known=True)
    tool = state.tools.get(started.tool_call.tool)
    if tool is not None and tool.idempotent:
        return decision
    return decision.replace(
        result=ToolResult(started.tool_call.tool, error=INTERRUPTED, error_kind=ErrorKind.INTERRUPTED)
    )
