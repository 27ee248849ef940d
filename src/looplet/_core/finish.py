"""How a run begins and ends: the first event, the last answer without tools, and teardown."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._core.find_calls import without_reasoning
from looplet._core.model_turn import begin_turn, request, take
from looplet._core.parse import parse_reply
from looplet._core.prompt import say, settings, task_text
from looplet._core.retry import Attempts
from looplet._core.save import RESUMABLE, save
from looplet._core.tool_turn import answer
from looplet._core.validate import validate
from looplet.effects import emit
from looplet.events import RunFinished, RunResumed, RunStarted
from looplet.messages import Message
from looplet.result import status_of
from looplet.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from looplet._core.parse import ParsedCall
    from looplet.effects import Flow
    from looplet.messages import Reply
    from looplet.state import RunState

_LAST_QUESTION = (
    "You have no tool calls left. Give your best final answer to the task now, as plain text, "
    "from what you know so far."
)


def begin(state: RunState) -> Flow[list[ParsedCall]]:
    """Announce the run. A resumed one goes on where it was: with the calls nobody had executed, or a reply."""
    if state.restored is None:
        yield from started(state)
        return []
    restored, pending = state.restored, state.pending_approval
    step, gated = len(state.steps), gated_tools(state)
    yield from emit(RunResumed(state.run_id, step, restored.history, pending, restored.approval, gated))
    state.pending_approval = None
    if state.steps_left <= 0:  # a smaller budget than before
        state.end("max_steps")
    if state.stop:  # all that was missing is the last line
        return []
    if restored.reply is not None:
        state.restored = restored.replace(reply=None)
        begin_turn(state)
        return (yield from take(state, restored.reply))
    return list(state.unanswered)


def started(state: RunState) -> Flow[None]:
    """Put the task into the conversation and announce the run."""
    state.conversation.append(Message("user", task_text(state.task)))
    config = state.config
    yield from emit(
        RunStarted(
            run_id=state.run_id,
            task=state.task,
            system=config.system_prompt,
            tools=state.tool_schemas,
            max_steps=state.budget,
            settings={
                **settings(config).to_dict(),
                "done_tool": config.done_tool,
                "tool_mode": config.tool_mode,
                "result_chars": config.result_chars,
                "final_answer": config.final_answer,
            },
            model=state.model_name,
            capabilities=state.capabilities,
            labels=state.labels,
            gated=gated_tools(state),
        )
    )
    yield from save(state)


def gated_tools(state: RunState) -> tuple[str, ...]:
    return tuple(name for name, tool in state.tools.items() if tool.needs_approval)


def settle(state: RunState) -> None:
    """Answer the calls that will never run, so that the conversation stays valid for every provider."""
    for parsed in state.unanswered:
        answer(state, parsed.call, "not executed: the run ended first", native=parsed.native)
    state.unanswered = []


def answer_without_tools(state: RunState) -> Flow[None]:
    """At the step cap: one more request, without tools, for the best answer so far. The stop reason stays."""
    if not state.tools_off:  # else a resumed run has come this far before
        settle(state)
        say(state, _LAST_QUESTION)
        state.tools_off = True
    state.stop = None
    state.attempts = state.attempts or Attempts(state.config)
    reply = (state.restored and state.restored.reply) or (yield from request(state))
    state.attempts = None
    state.stop = "max_steps"
    if reply is not None:
        state.output = best_answer(state, reply)
        state.conversation.append(Message("assistant", reply.text if reply.text.strip() else "(empty reply)"))


def best_answer(state: RunState, reply: Reply) -> Any:
    """The reply's text without its thinking; or what it would have called the done tool with, if it tried to."""
    parsed = parse_reply(
        reply,
        state.tools,
        state.config.done_tool,
        text_mode=False,
        next_id=state.next_call_id,
        taken=state.call_ids,
    )
    calls = [each.call for each in parsed.calls if each.call.tool == state.config.done_tool]
    text = without_reasoning(reply.text).strip()
    if state.config.output_schema is not None and not calls:
        calls = [ToolCall(state.config.done_tool, in_form(state.config.output_schema, text))]
    for call in calls:
        valid = validate(call, state.tools)
        if not isinstance(valid, ToolResult):
            return unwrapped(state, valid[0].args)
    return text or None if state.config.output_schema is None else None


def in_form(schema: dict[str, Any], text: str) -> dict[str, Any]:
    """The arguments the done tool would have been called with, if the text is JSON."""
    try:
        data = json.loads(text)
    except ValueError:
        return {}
    return data if schema.get("type") == "object" and isinstance(data, dict) else {"answer": data}


def unwrapped(state: RunState, args: dict[str, Any]) -> Any:
    """What the done tool returns of its arguments: an object as it is, a single answer without its wrapping."""
    schema = state.config.output_schema
    if schema is not None and schema.get("type") == "object":
        return args
    return next(iter(args.values())) if len(args) == 1 else args


def teardown(state: RunState, reason: str, error: str | None, duration_s: float) -> Flow[None]:
    """The last thing a driver runs, once, however the run ended."""
    state.end(reason, error)
    stop = state.stop or reason
    if stop not in RESUMABLE:
        settle(state)
    yield from emit(RunFinished(stop, status_of(stop), state.output, state.usage, tuple(state.errors), duration_s))
