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
from looplet.events import HookDecided, ModelCalled, ModelFailed, ModelReplied, Noticed
from looplet.messages import Message, Prompt

if TYPE_CHECKING:
    from looplet._core.parse import ParsedCall
    from looplet.effects import Flow
    from looplet.messages import Reply
    from looplet.state import RunState

_FREE_TURNS_FACTOR = 4


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
    native = state.capabilities().native_tools and not state.tools_refused
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
    prompt, wants_compaction, step = build_prompt(state), False, len(state.steps) + 1
    for hook in state.hooks.pre_prompt:
        answer = yield from ask(hook, "pre_prompt", step, state.view, state.log, prompt, step)
        if isinstance(answer, Prompt):
            prompt = answer
        elif isinstance(answer, InjectContext):
            prompt = with_text(prompt, answer.text)
        elif isinstance(answer, Compact):
            wants_compaction = True
        elif isinstance(answer, Stop):
            state.end(answer.reason)
            yield from emit(HookDecided(hook.name, "pre_prompt", f"stop: {answer.reason}"))
            return None, False
        elif isinstance(answer, str):
            raise HookError(
                f"{hook.name}.pre_prompt() answered a str: return InjectContext(text) to add it to the prompt, "
                "or ctx.map_text(function) to change the prompt's own text"
            )
        elif answer is not None:
            raise impossible(hook, "pre_prompt", answer, "a Prompt (see ctx.map_text), InjectContext, Compact or Stop")
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
    except BackendError as error:
        yield from mend(state, sent, error, attempts)
        return None
    except (ConnectionError, TimeoutError) as error:  # a backend of the user's own, in Python's words
        kind = BackendTimeout if isinstance(error, TimeoutError) else ConnectionFailed
        yield from mend(state, sent, kind(f"{type(error).__name__}: {error}"), attempts)
        return None
    except Exception as error:
        error.add_note(f"raised by the model {state.model_name!r} at call {state.call_number}; it was not retried")
        raise
    state.overflowed = False
    state.spend(reply.usage)
    yield from emit(ModelReplied(state.call_number, sent, reply, duration_ms))
    return reply


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
        state.conversation.append(Message("assistant", error.text or "(unreadable reply)"))
        say(state, f"Your last reply could not be read: {error}")
    elif remedy == "compact":
        state.overflowed = True
        if not (yield from compact(state)):
            state.end("llm_error", f"{type(error).__name__}: {error} (nothing is left that could be dropped)")


def remedy_for(error: BackendError, state: RunState) -> str | None:
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
        with_fresh_ids(state, reply),
        state.tools,
        state.config.done_tool,
        text_mode=state.text_mode,
        next_id=state.next_call_id,
    )
    state.conversation.append(parsed.message)
    state.call_ids.update(call.call_id for call in parsed.message.tool_calls)
    if parsed.complaint is not None:
        if attempts.take("repair"):
            say(state, parsed.complaint)
        else:
            state.end("parse_error", parsed.complaint)
    return list(parsed.calls)


def with_fresh_ids(state: RunState, reply: Reply) -> Reply:
    """Take the id from every call that repeats one of an earlier turn; parsing gives it a new one."""
    if not any(call.call_id in state.call_ids for call in reply.calls):
        return reply
    return reply.replace(
        calls=tuple(call.replace(call_id="") if call.call_id in state.call_ids else call for call in reply.calls)
    )
