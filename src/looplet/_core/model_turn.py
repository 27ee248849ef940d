"""One turn of the model: shape the prompt, send it, and mend what can be mended until a reply holds calls."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._core.compact import compact
from looplet._core.exchange import exchange, failed
from looplet._core.hook_table import ask, impossible
from looplet._core.parse import parse_reply
from looplet._core.prompt import as_text_conversation, build_prompt, say, with_text
from looplet._core.retry import Attempts, delay
from looplet._core.save import save
from looplet.decisions import Compact, InjectContext, Stop
from looplet.effects import emit, sleep
from looplet.errors import (
    BackendError,
    Cancelled,
    ContextOverflow,
    HookError,
    MalformedReply,
    ToolsUnsupported,
)
from looplet.events import Noticed
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
    begin_turn(state)
    if state.turn > _FREE_TURNS_FACTOR * state.budget:  # only reachable with tools that are free of charge
        state.end("max_steps")
    while reply := (yield from request(state)):
        calls = yield from take(state, reply)
        if calls:
            return calls
    return []


def begin_turn(state: RunState) -> None:
    """Count a new turn; a resumed run may be within one already."""
    if state.attempts is None:
        state.turn += 1
        state.attempts = Attempts(state.config)


def request(state: RunState) -> Flow[Reply | None]:
    """Ask until there is a reply; None means that the run has stopped."""
    while not state.stop:
        if state.cancelled:
            state.end("cancelled")
            break
        try:
            yield from choose_mode(state)
            prompt = yield from shape_prompt(state)
            reply = None if prompt is None else (yield from send(state, prompt))
        except Cancelled:
            state.end("cancelled")
            break
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
        yield from save(state)


def shape_prompt(state: RunState) -> Flow[Prompt | None]:
    """Let `pre_prompt` redact, inject, compact or stop; None: the run has stopped.

    After a compaction every hook is asked again, once. A prompt the provider found too long is compacted in any case,
    by the strategy a hook names or the built-in one.
    """
    prompt, wanted = yield from ask_pre_prompt(state)
    if prompt is None or not (wanted or state.overflowed):
        return prompt
    compacted = yield from compact(state, wanted.strategy if wanted else None)
    if not compacted and state.overflowed and wanted and wanted.strategy:
        compacted = yield from compact(state)
    if compacted:
        prompt, _ = yield from ask_pre_prompt(state)
    elif state.overflowed:
        state.end(
            "llm_error", "the prompt is longer than the context window, and nothing is left that could be dropped"
        )
        return None
    return prompt


def ask_pre_prompt(state: RunState) -> Flow[tuple[Prompt | None, Compact | None]]:
    """Return the prompt after all hooks (None: one of them stopped the run), and the first wish for compaction."""
    prompt, wanted = build_prompt(state), None
    for hook in state.hooks.pre_prompt:
        answer = yield from ask(state, "pre_prompt", hook, prompt)
        if isinstance(answer, Prompt):
            prompt = answer
        elif isinstance(answer, InjectContext):
            prompt = with_text(prompt, answer.text)
        elif isinstance(answer, Compact):
            wanted = wanted or answer
        elif isinstance(answer, Stop):
            return None, None
        elif isinstance(answer, str):
            raise HookError(
                f"{hook.name}.pre_prompt() answered a str: return InjectContext(text) to add it to the prompt, "
                "or ctx.map_text(function) to change the prompt's own text"
            )
        elif answer is not None:
            raise impossible(state, "pre_prompt", hook, answer, _PROMPT_ANSWERS)
    return prompt, wanted


def send(state: RunState, prompt: Prompt) -> Flow[Reply | None]:
    """Make one request. None means that it failed, and that a remedy was applied or the run stopped."""
    try:
        reply = yield from exchange(state, prompt)
    except BackendError as error:
        yield from mend(state, error)
        return None
    return reply


def mend(state: RunState, error: BackendError) -> Flow[None]:
    """Choose and apply the remedy for a failed request, or stop the run."""
    remedy = remedy_for(error, state)
    wait = None
    if remedy and state.attempts.take(remedy):
        wait = delay(error, state.attempts.used("retry"), state.run_id) if remedy == "retry" else 0.0
    if wait is None or remedy is None:
        state.end("parse_error" if remedy == "repair" else "llm_error", f"{type(error).__name__}: {error}")
    elif remedy == "text_mode":
        state.tools_refused = True
    elif isinstance(error, MalformedReply):
        written = error.text if error.text.strip() else "(unreadable reply)"
        state.conversation.append(Message("assistant", written))
        say(state, f"Your last reply could not be read: {error}")
    elif remedy == "compact":
        state.overflowed = True  # shape_prompt compacts before the next attempt
    yield from emit(failed(state, error, wait))
    if remedy == "retry" and wait is not None:
        yield from sleep(wait)


def remedy_for(error: BackendError, state: RunState) -> Remedy | None:
    """What could help against this failure: retry, repair, compact, text_mode, or nothing."""
    if isinstance(error, ContextOverflow):
        return "compact"
    if isinstance(error, MalformedReply):
        return "repair"
    if isinstance(error, ToolsUnsupported):
        return "text_mode" if state.config.tool_mode == "auto" and not state.text_mode else None
    return "retry" if error.retriable else None


def take(state: RunState, reply: Reply) -> Flow[list[ParsedCall]]:
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
    state.overflowed = False
    if parsed.complaint is not None:
        if state.attempts.take("repair"):
            say(state, parsed.complaint)
        else:
            state.end("parse_error", parsed.complaint)
    state.unanswered = list(parsed.calls)
    if parsed.calls:
        state.attempts = None  # the turn of the model is over
    yield from save(state)
    return list(parsed.calls)
