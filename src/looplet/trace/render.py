"""A trace as text: the one renderer behind `trace.txt` and `looplet show`.

Each message, call and result stands once, in order. Headings start at the left margin and everything a model or a tool
wrote is indented, so that no content can pass for a heading. What differs between two equal runs (ids, times, tokens)
stands in the header and in the last section only, so that a diff shows what matters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from looplet._core.prompt import catalogue_line
from looplet._core.to_text import result_text
from looplet._pretty import visible
from looplet.errors import TraceError
from looplet.events import (
    CallStarted,
    Compacted,
    Event,
    HookDecided,
    ModelFailed,
    ModelReplied,
    Noticed,
    RunFinished,
    StepFinished,
)
from looplet.trace.layout import Layout, header_lines, set_values, timing_lines
from looplet.trace.prefix import common_prefix

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from looplet.messages import Message, Prompt, RawCall, ToolSchema
    from looplet.trace.read import Trace
    from looplet.types import Step, ToolCall

_UNCUT = 1 << 30
_SAME_HEAD = 200  # characters by which a shortened result is recognised


def render_trace(trace: Trace, layout: Layout | None = None) -> str:
    """The whole run: a header, then what happened, then how it ended."""
    return as_text(Story(trace, layout or Layout()).lines())


def render_step(trace: Trace, number: int) -> str:
    """One step: the reply it came from, the call, the result."""
    sections = Sections(Layout())
    for event in trace.events:
        if isinstance(event, StepFinished) and event.step.number == number:
            replies = [each for each in trace.exchanges if each.call == event.call and isinstance(each, ModelReplied)]
            return as_text([*(line for reply in replies for line in sections.reply(reply)), *sections.step(event)])
    raise TraceError(f"{trace.dir!r} has no step {number}: it has {len(trace.steps)}, counted from 1")


def render_call(trace: Trace, number: int) -> str:
    """The whole request of model call `number`, and its reply or failure."""
    prompt, layout = trace.prompt(number), Layout()
    lines = [f"[request {number}]", *layout.field("settings", set_values(prompt.settings.to_dict()))]
    for tool in prompt.tools:
        lines += ["", f"[tool {visible(tool.name)}]", *layout.body(tool.description), *layout.value(tool.parameters)]
    if prompt.system:
        lines += ["", "[system]", *layout.body(prompt.system)]
    for index, message in enumerate(prompt.messages):
        lines += ["", f"[messages[{index}] {visible(message.role)}{_of(message)}]", *layout.body(message.content)]
        lines += [f"  {layout.call(call.tool, call.args)}" for call in message.tool_calls]
    for exchange in trace.exchanges:
        if exchange.call == number:
            lines += Sections(layout).exchange(exchange)
            if isinstance(exchange, ModelReplied):
                lines += [f"  {layout.call(call.name, call.arguments)}" for call in exchange.reply.calls]
    return as_text(lines)


class Sections:
    """Each thing that happens in a run, as lines."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def exchange(self, event: ModelReplied | ModelFailed) -> list[str]:
        return self.reply(event) if isinstance(event, ModelReplied) else self.failure(event)

    def reply(self, event: ModelReplied) -> list[str]:
        reply, body = event.reply, self._layout.body
        cut = " cut off at the token limit" if reply.finish_reason == "length" else ""
        lines = ["", f"[reply {event.call}{cut}]"]
        if reply.reasoning:
            lines += ["  thinking:", *body(reply.reasoning, 2)]
        return [*lines, *body(reply.text)] if reply.text or reply.calls else [*lines, "  (empty)"]

    def failure(self, event: ModelFailed) -> list[str]:
        then = "" if event.retry_in is None else f" (asked again after {event.retry_in:.3g} s)"
        return ["", *self._layout.inline(f"[request {event.call} failed]", f"{event.kind}: {event.error}{then}")]

    def step(self, event: StepFinished) -> list[str]:
        call, result, layout = event.step.tool_call, event.step.tool_result, self._layout
        lines = ["", f"[step {event.step.number}] {layout.call(call.tool, call.args)}"]
        if event.asked.args != call.args or event.asked.tool != call.tool:
            lines.append(f"  the model asked for: {layout.call(event.asked.tool, event.asked.args)}")
        if call.reasoning:
            lines += layout.inline("  reasoning:", call.reasoning)
        if result.error is not None:
            kind = f" ({result.error_kind})" if result.error_kind else ""
            lines += ["error" + kind + ":", *layout.body(result.error)]
        if result.error is None or result.data is not None:
            lines += ["result:", *layout.value(result.data)]
        for warning in result.warnings:
            lines += layout.inline("note:", warning)
        return lines


class Story(Sections):
    """Walks the events once and remembers what the reader has seen."""

    def __init__(self, trace: Trace, layout: Layout) -> None:
        super().__init__(layout)
        self._trace = trace
        self._lines: list[str] = []
        self._system = ""
        self._tools: tuple[ToolSchema, ...] = ()
        self._sent: tuple[Message, ...] = ()
        self._shown: set[str] = set()  # message texts
        self._results: list[Step] = []  # steps whose results the next request holds for the first time
        self._open_calls: list[RawCall] = []  # of the latest reply
        self._running: dict[int, ToolCall] = {}

    def lines(self) -> list[str]:
        for event in self._trace.events:
            tell = self._TELLERS.get(type(event))
            if tell:
                tell(self, event)
        self._never_executed()
        if self._trace.finished is None:
            killed = "the process was killed, or the run is still going on"
            why = killed if self._trace.incomplete is None else "the trace is incomplete"
            self._lines += ["", f"ended: not at all ({why})"]
            self._lines += [
                f"  {self._layout.call(call.tool, call.args)} started, no result" for call in self._running.values()
            ]
        if self._trace.notice:
            self._lines += ["", f"notice: {visible(self._trace.notice)}"]
        times = [] if self._layout.is_normal else timing_lines(self._trace.events)
        return [*header_lines(self._trace, self._layout), *self._lines, *times]

    def _exchange(self, event: ModelReplied | ModelFailed) -> None:
        self._never_executed()
        self._request(event.prompt)
        self._lines += self.exchange(event)
        self._results = []
        if isinstance(event, ModelReplied):
            self._open_calls = list(event.reply.calls)
            self._shown.add(event.reply.text)

    def _request(self, prompt: Prompt) -> None:
        """What this request holds that the reader has not seen yet."""
        if prompt.system != self._system:
            heading = "[system, changed]" if self._system else "[system]"
            self._lines += ["", heading, *self._layout.body(prompt.system)]
        if prompt.tools != self._tools:
            words = "\n".join(map(catalogue_line, prompt.tools)) or "(none)"
            self._lines += ["", "[tools, changed]" if self._tools else "[tools]", *self._layout.body(words)]
        self._system, self._tools = prompt.system, prompt.tools
        keep = common_prefix(self._sent, prompt.messages)
        if keep < len(self._sent):
            self._lines += ["", f"[request rebuilt after message {keep}; {len(prompt.messages)} messages in all]"]
        for message in prompt.messages[keep:]:
            self._message(message)
        self._sent = prompt.messages

    def _message(self, message: Message) -> None:
        if message.role == "assistant" and (message.tool_calls or message.content in self._shown):
            return  # the reply and its calls stand above
        text = self._unseen(message)
        if not text:
            return
        again = text in self._shown
        self._shown.add(text)
        self._lines += [
            "",
            f"[{visible(message.role)}{'' if self._layout.is_normal else _of(message)}]{' as above' if again else ''}",
            *self._layout.body("" if again else text),
        ]

    def _unseen(self, message: Message) -> str:
        """The content without the results in it, which stand with their steps."""
        text = message.content
        for step in self._results:
            told = result_text(step.tool_result, _UNCUT)
            if told in text:
                text = text.replace(told, "", 1).removeprefix(f"Result of {step.tool_call.tool}:\n").strip("\n")
            elif len(text) < len(told) and text[:_SAME_HEAD] == told[:_SAME_HEAD]:
                return f"(the model read this result shortened: {len(text):,} of {len(told):,} characters)"
        return text

    def _call_started(self, event: CallStarted) -> None:
        self._running[event.step] = event.tool_call

    def _step_finished(self, event: StepFinished) -> None:
        self._running.pop(event.step.number, None)
        self._open_calls = self._open_calls[1:]
        self._results.append(event.step)
        self._lines += self.step(event)

    def _never_executed(self) -> None:
        running = {call.call_id for call in self._running.values()}
        for call in self._open_calls:
            if call.call_id not in running:
                self._lines += ["", f"[not executed] {self._layout.call(call.name, call.arguments)}"]
        self._open_calls = []

    def _compacted(self, event: Compacted) -> None:
        self._lines += ["", f"[compacted] {event.before} messages to {event.after}"]

    def _hook_decided(self, event: HookDecided) -> None:
        self._lines += [
            "",
            *self._layout.inline(f"[hook {visible(event.hook)}.{visible(event.phase)}]", event.decision),
        ]

    def _noticed(self, event: Noticed) -> None:
        self._lines += ["", *self._layout.inline("[notice]", event.message)]

    def _run_finished(self, event: RunFinished) -> None:
        self._never_executed()
        self._lines += ["", f"ended: {visible(event.stop_reason)} ({visible(event.status)})"]
        for error in event.errors:
            if not any(error.endswith(step.tool_result.error or "\0") for step in self._trace.steps):
                self._lines += self._layout.inline("error:", error)
        steps = self._trace.steps
        if steps and event.output is not None and steps[-1].tool_result.data == event.output:
            self._lines.append(f"output: the result of step {steps[-1].number}")
        elif event.output is not None:
            self._lines += self._layout.field("output", event.output)

    _TELLERS: ClassVar[dict[type[Event], Callable[[Story, Any], None]]] = {
        ModelReplied: _exchange,
        ModelFailed: _exchange,
        CallStarted: _call_started,
        StepFinished: _step_finished,
        Compacted: _compacted,
        HookDecided: _hook_decided,
        Noticed: _noticed,
        RunFinished: _run_finished,
    }


def _of(message: Message) -> str:
    return f" {visible(message.call_id)}" if message.call_id else ""


def as_text(lines: Sequence[str]) -> str:
    return "\n".join(lines).lstrip("\n") + "\n"
