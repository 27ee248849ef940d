"""How a run begins and ends: the first event, the last answer without tools, and teardown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._core.find_calls import without_reasoning
from looplet._core.model_turn import request
from looplet._core.parse import parse_reply
from looplet._core.prompt import say, settings, task_text
from looplet._core.retry import Attempts
from looplet._core.tool_turn import answer
from looplet.effects import emit
from looplet.events import RunFinished, RunStarted
from looplet.messages import Message
from looplet.result import status_of

if TYPE_CHECKING:
    from looplet.effects import Flow
    from looplet.messages import Reply
    from looplet.state import RunState

# A run that ended so may go on later; its unexecuted calls stay open in the journal.
RESUMABLE = frozenset({"closed", "cancelled", "error", "llm_error", "waiting_for_approval"})

_LAST_QUESTION = (
    "You have no tool calls left. Give your best final answer to the task now, as plain text, "
    "from what you know so far."
)


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
        )
    )


def settle(state: RunState) -> None:
    """Answer the calls that will never run, so that the conversation stays valid for every provider."""
    for parsed in state.unanswered:
        answer(state, parsed.call, "not executed: the run ended first", native=parsed.native)
    state.unanswered = []


def answer_without_tools(state: RunState) -> Flow[None]:
    """At the step cap: one more request, without tools, for the best answer so far. The stop reason stays."""
    settle(state)
    say(state, _LAST_QUESTION)
    state.tools_off, state.stop = True, None
    reply = yield from request(state, Attempts(state.config))
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
    for call in (each.call for each in parsed.calls):
        if call.tool == state.config.done_tool and call.args:
            return next(iter(call.args.values())) if len(call.args) == 1 else call.args
    return without_reasoning(reply.text).strip() or None


def teardown(state: RunState, reason: str, error: str | None, duration_s: float) -> Flow[None]:
    """The last thing a driver runs, once, however the run ended."""
    state.end(reason, error)
    stop = state.stop or reason
    if stop not in RESUMABLE:
        settle(state)
    yield from emit(RunFinished(stop, status_of(stop), state.output, state.usage, tuple(state.errors), duration_s))
