"""`DebugHook`: watch a run go by, one readable line an event."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from looplet import events
from looplet._pretty import as_text, pretty_call, shorten, summarize, visible
from looplet.result import status_of

if TYPE_CHECKING:
    from typing import TextIO

    from looplet.events import Event
    from looplet.types import Usage

_TEXT_CHARS = 160


class DebugHook:
    """Print what happens to `file` (standard error when None), with control characters made visible."""

    def __init__(self, file: TextIO | None = None) -> None:
        self._file = file

    def on_event(self, event: Event) -> None:
        line = describe(event)
        if line is not None:
            print(line, file=self._file or sys.stderr, flush=True)


def describe(event: Event) -> str | None:
    """The line for one event; None for one that says nothing new."""
    return _of_the_model(event) or _of_the_tools(event) or _of_the_run(event)


def _of_the_model(event: Event) -> str | None:
    match event:
        case events.ModelCalled():
            return f"request {event.call}: {len(event.prompt.messages)} messages"
        case events.ModelReplied():
            return _reply(event)
        case events.ModelFailed():
            then = "" if event.retry_in is None else f"; again in {event.retry_in:.1f} s"
            return f"request {event.call} failed: {event.kind}: {_short(event.error)}{then}"
    return None


def _of_the_tools(event: Event) -> str | None:
    match event:
        case events.CallStarted():
            return f"call {pretty_call(event.tool_call.tool, event.tool_call.args)}"
        case events.ToolProgress():
            return f"{visible(event.tool)}: {_short(event.message)}"
        case events.StepFinished():
            return event.step.pretty()
    return None


def _of_the_run(event: Event) -> str | None:
    match event:
        case events.RunStarted():
            return f"run {event.run_id} with {visible(event.model)}, {len(event.tools)} tools: {_short(event.task)}"
        case events.RunResumed():
            return f"run {event.run_id} goes on after step {event.step}"
        case events.Compacted():
            return f"compacted: {event.before} messages became {event.after}"
        case events.HookDecided():
            return f"{event.hook}.{event.phase}: {_short(event.decision)}"
        case events.Noticed():
            return f"note: {_short(event.message)}"
        case events.RunFinished():
            return _ending(event)
    return None


def _reply(event: events.ModelReplied) -> str:
    reply = event.reply
    called = ", ".join(visible(call.name) for call in reply.calls)
    said = _short(reply.text) if reply.text.strip() else ""
    content = "; ".join(filter(None, [said, f"calls {called}" if called else ""])) or "(empty)"
    return f"reply {event.call}: {content} ({_tokens(reply.usage)}) [{event.duration_ms:.0f}ms]"


def _ending(event: events.RunFinished) -> str:
    output = f", output: {summarize(event.output)}" if event.output is not None else ""
    ended = f"{visible(event.stop_reason)} ({status_of(event.stop_reason)})"
    return f"ended: {ended}{output} ({_tokens(event.usage)}) [{event.duration_s:.1f}s]"


def _tokens(usage: Usage | None) -> str:
    if usage is None:
        return "usage unknown"
    cost = "" if usage.cost is None else f", cost {usage.cost:.4g}"
    return f"{usage.input_tokens}+{usage.output_tokens} tokens{cost}"


def _short(value: object) -> str:
    return shorten(visible(as_text(value)), _TEXT_CHARS)
