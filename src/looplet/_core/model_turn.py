"""One turn of the model: shape the prompt, send it, and mend what can be mended until a reply holds calls."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._core.compact import compact
from looplet._core.hook_table import ask, impossible
from looplet._core.parse import parse_reply
from looplet._core.prompt import as_text_conversation, build_prompt, say, with_text
from looplet._core.retry import Attempts, delay
from looplet.decisions import Compact, InjectContext, Stop
from looplet.effects import call_model, emit, sleep
from looplet.errors import (
    BackendError,
    BackendTimeout,
    ConnectionFailed,
    ContextOverflow,
    HookError,
    MalformedReply,
    ToolsUnsupported,
)
from looplet.events import ModelCalled, ModelFailed, ModelReplied, Noticed
from looplet.messages import Message, Prompt, Reply

if TYPE_CHECKING:
    from looplet._core.parse import ParsedCall
    from looplet._core.retry import Remedy
    from looplet.effects import Flow
    from looplet.state import RunState

_FREE_TURNS_FACTOR = 4
_PROMPT_ANSWERS = "a Prompt (see ctx.map_text), InjectContext, Compact or Stop"


def ask_model(state: RunState) -> Flow[list[ParsedCall]]:
    """Return the calls of one reply; an empty list means that the run has stopped."""
    state.turn += 1
    if state.turn > _FREE_TURNS_FACTOR * state.budget:  # only reachable with tools that are free of charge
        state.end("max_steps")
    attempts = Attempts(state.config)
    while reply := (yield from request(state, attempts)):
        calls = take(state, reply, attempts)
        if calls:
            return calls
    return []


def request(state: RunState, attempts: Attempts) -> Flow[Reply | None]:
    """Ask until there is a reply; None means that the run has stopped."""
    while not state.stop:
        yield from choose_mode(state)
        prompt = yield from shape_prompt(state)
        if prompt is None:
            break
        reply = yield from send(state, prompt, attempts)
        if reply is not None:
            return reply
    return None


def choose_mode(state: RunState) -> Flow[None]:
    """Native calls where the backend has them; once it turns out that it has not, text from then on."""
    mode = state.config.tool_mode
    native = state.capabilities.native_tools and not state.tools_refused
    text_mode = mode == "text" or (mode == "auto" and not native)
    if text_mode and not state.text_mode:
        state.text_mode = True
        if state.call_number:
            state.conversation = as_text_conversation(state.conversation)
            state.unsent = len(state.conversation)
            yield from emit(Noticed(f"{state.model_name} takes no native tool calls; using the text protocol"))


def shape_prompt(state: RunState) -> Flow[Prompt | None]:
    """Let `pre_prompt` redact, inject, compact or stop. After a Compact every hook is asked again, once."""
    prompt, wants_compaction = yield from ask_pre_prompt(state)
    if wants_compaction and (yield from compact(state)):
        prompt, _ = yield from ask_pre_prompt(state)
    return prompt


def ask_pre_prompt(state: RunState) -> Flow[tuple[Prompt | None, bool]]:
    """Return the prompt after all hooks (None: one of them stopped the run) and whether one wants compaction."""
    prompt, wants_compaction = build_prompt(state), False
    for hook in state.hooks.pre_prompt:
        answer = yield from ask(state, "pre_prompt", hook, prompt)
        if isinstance(answer, Prompt):
            prompt = answer
        elif isinstance(answer, InjectContext):
            prompt = with_text(prompt, answer.text)
        elif isinstance(answer, Compact):
            wants_compaction = True
        elif isinstance(answer, Stop):
            return None, False
        elif isinstance(answer, str):
            raise HookError(
                f"{hook.name}.pre_prompt() answered a str; return InjectContext(text) to add it to the prompt, "
                "or ctx.map_text(function) to change the prompt's own text"
            )
        elif answer is not None:
            raise impossible(state, "pre_prompt", hook, answer, _PROMPT_ANSWERS)
    return prompt, wants_compaction


def send(state: RunState, prompt: Prompt, attempts: Attempts) -> Flow[Reply | None]:
    """Make one request. None means that it failed, and that a remedy was applied or the run stopped."""
    state.call_number += 1
    sent = state.hooks.filter_prompt(prompt)
    state.last_prompt = sent
    state.unsent = len(state.conversation)
    yield from emit(ModelCalled(state.call_number, sent))
    try:
        reply, duration_ms = yield from call_model(sent)
        if not isinstance(reply, Reply):
            raise TypeError(f"chat() returned {type(reply).__name__}; a backend answers with a looplet Reply")
    except Exception as error:
        failure = as_backend_error(error)
        if failure is None:
            error.add_note(f"raised by the model {state.model_name!r} at call {state.call_number}; it was not retried")
            raise
        yield from mend(state, sent, failure, attempts)
        return None
    state.overflowed = False
    state.spend(reply.usage)
    yield from emit(ModelReplied(state.call_number, sent, reply, duration_ms))
    return reply


def as_backend_error(error: Exception) -> BackendError | None:
    """The failure as looplet's own error; None for a programming error, which is nobody's to retry."""
    if isinstance(error, BackendError):
        return error
    text = f"{type(error).__name__}: {error}"  # of a backend of the user's own, in Python's words
    if isinstance(error, TimeoutError):
        return BackendTimeout(text)
    if isinstance(error, ConnectionError) or type(error).__name__ == "gaierror":
        return ConnectionFailed(text)
    return None


def mend(state: RunState, prompt: Prompt, error: BackendError, attempts: Attempts) -> Flow[None]:
    """Choose and apply the remedy for a failed request, or stop the run."""
    remedy = remedy_for(error, state)
    wait = None
    if remedy and attempts.take(remedy):
        wait = delay(error, attempts.used("retry"), state.run_id) if remedy == "retry" else 0.0
    yield from emit(ModelFailed(state.call_number, prompt, type(error).__name__, str(error), wait, details_of(error)))
    if wait is None or remedy is None:
        state.end("parse_error" if remedy == "repair" else "llm_error", f"{type(error).__name__}: {error}")
    elif remedy == "retry":
        yield from sleep(wait)
    elif remedy == "text_mode":
        state.tools_refused = True
    elif isinstance(error, MalformedReply):
        state.conversation.append(Message("assistant", error.text if error.text.strip() else "(unreadable reply)"))
        say(state, f"Your last reply could not be read: {error}")
    elif remedy == "compact":
        state.overflowed = True
        if not (yield from compact(state)):
            state.end("llm_error", f"{type(error).__name__}: {error} (nothing is left that could be dropped)")


def remedy_for(error: BackendError, state: RunState) -> Remedy | None:
    """What could help against this failure: retry, repair, compact, text_mode, or nothing."""
    if isinstance(error, ContextOverflow):
        return "compact"
    if isinstance(error, MalformedReply):
        return "repair"
    if isinstance(error, ToolsUnsupported):
        return "text_mode" if state.config.tool_mode == "auto" and not state.text_mode else None
    return "retry" if error.retriable else None


def details_of(error: BackendError) -> dict[str, Any]:
    """What a replay needs to raise this error again."""
    details: dict[str, Any] = {
        "status": error.status,
        "retry_after": error.retry_after,
        "request_id": error.request_id,
        "retriable": error.retriable,
    }
    return details | {"text": error.text} if isinstance(error, MalformedReply) else details


def take(state: RunState, reply: Reply, attempts: Attempts) -> list[ParsedCall]:
    """Add the reply to the conversation and return its calls; without any, tell the model what was missing."""
    parsed = parse_reply(
        reply,
        state.tools,
        state.config.done_tool,
        text_mode=state.text_mode,
        next_id=state.next_call_id,
        taken=state.call_ids,
    )
    state.conversation.append(parsed.message)
    if parsed.complaint is not None:
        if attempts.take("repair"):
            say(state, parsed.complaint)
        else:
            state.end("parse_error", parsed.complaint)
    return list(parsed.calls)
