"""`TracingHook`: spans of a run, its model calls and its tool calls, named by the GenAI semantic conventions.

OpenTelemetry is not imported here. Whoever passes one of its tracers has loaded it; from there come the two things a
tracer does not offer by itself: a context that makes a span the parent of another, and the words for kind and status.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, Protocol

from looplet.events import (
    CallFinished,
    CallStarted,
    ModelCalled,
    ModelFailed,
    ModelReplied,
    RunFinished,
    RunResumed,
    RunStarted,
    StepFinished,
)
from looplet.result import status_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.events import Event
    from looplet.messages import Reply
    from looplet.types import ToolCall, Usage

_API = "opentelemetry.trace"


class SpanLike(Protocol):
    """What is used of a span."""

    def set_attribute(self, key: str, value: Any) -> object: ...

    def set_status(self, status: Any) -> object: ...

    def end(self) -> object: ...


class Tracer(Protocol):
    """What is used of a tracer: `start_span` as OpenTelemetry has it."""

    @property  # so that a type checker asks for no particular parameters; a plain method fits it, too
    def start_span(self) -> Callable[..., SpanLike]: ...


class Span:
    """A span as `TracingHook.spans` keeps it when there is no tracer; times are seconds since the epoch."""

    def __init__(self, name: str, parent: Span | None, attributes: dict[str, Any]) -> None:
        self.name = name
        self.parent = parent
        self.attributes = attributes
        self.start = time.time()
        self._began = time.perf_counter()  # the clock may be set while the span lasts
        self.end_time: float | None = None

    def set_attribute(self, key: str, value: Any) -> None:
        self.attributes[key] = value

    def set_status(self, status: Any) -> None:
        """The attribute `error.type` says it already."""

    def end(self) -> None:
        self.end_time = self.start + time.perf_counter() - self._began


class _Recorder:
    """The tracer that stands in when there is none: its context is the parent itself."""

    def __init__(self) -> None:
        self.spans: list[Span] = []

    def start_span(self, name: str, context: Any = None, **options: Any) -> Span:
        span = Span(name, context, options["attributes"])
        self.spans.append(span)
        return span


class TracingHook:
    """Make a span of each run, and in it one of each model call and each tool call.

    tracer    an OpenTelemetry tracer, or anything with its `start_span`; None keeps the spans in `spans`
    provider  the value of `gen_ai.provider.name`, such as "openai"; left out when empty
    agent     the value of `gen_ai.agent.name`

    Prompts and results are not recorded: they may hold secrets, and a trace directory holds them anyway. Give every
    run a hook of its own where runs overlap.
    """

    def __init__(self, tracer: Tracer | None = None, *, provider: str = "", agent: str = "") -> None:
        recorder = _Recorder()
        self.spans = recorder.spans
        self._tracer: Tracer = recorder if tracer is None else tracer
        self._recording = tracer is None
        self._provider = {"gen_ai.provider.name": provider} if provider else {}
        self._agent = agent
        self._begin_run()

    def _begin_run(self) -> None:
        self._run: SpanLike | None = None
        self._model: dict[str, Any] = {}
        self._chat: SpanLike | None = None
        self._calls: dict[str, SpanLike] = {}  # running, by call id
        self._ran: set[str] = set()

    def on_event(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._start_run(event)
            case RunResumed():  # a span of its own: the process that began the run has ended its one
                for began in event.history:
                    if isinstance(began, RunStarted):
                        self._start_run(began)
                        break
            case RunFinished():
                self._end_run(event)
            case ModelCalled():
                self._chat = self._start_chat(event)
            case ModelReplied() if self._chat:
                _describe_reply(self._chat, event.reply)
                self._end(self._chat)
            case ModelFailed() if self._chat:
                self._end(self._chat, event.kind, event.error)
            case _:
                self._watch_call(event)

    def _watch_call(self, event: Event) -> None:
        match event:
            case CallStarted():
                self._ran.add(event.tool_call.call_id)
                self._calls[event.tool_call.call_id] = self._start_call(event.tool_call)
            case CallFinished() if event.tool_call.call_id in self._calls:
                result = event.result
                self._end(self._calls.pop(event.tool_call.call_id), result.error_kind, result.error)
            case StepFinished() if event.asked.call_id not in self._ran and not event.step.tool_result.ok:
                result = event.step.tool_result  # refused: it never started, and is worth seeing all the same
                self._end(self._start_call(event.step.tool_call), result.error_kind, result.error)

    def _start_run(self, event: RunStarted) -> None:
        self._begin_run()
        self._model = {"gen_ai.request.model": event.model} | self._provider
        attributes = {"gen_ai.operation.name": "invoke_agent", "looplet.run_id": event.run_id} | self._model
        if self._agent:
            attributes["gen_ai.agent.name"] = self._agent
        self._run = self._start(f"invoke_agent {self._agent}".strip(), "INTERNAL", attributes)

    def _start_chat(self, event: ModelCalled) -> SpanLike:
        settings = event.prompt.settings
        wanted = {
            "gen_ai.request.temperature": settings.temperature,
            "gen_ai.request.max_tokens": settings.max_tokens,
        }
        attributes = {key: value for key, value in wanted.items() if value is not None}
        name = f"chat {self._model.get('gen_ai.request.model', '')}".strip()
        return self._start(name, "CLIENT", {"gen_ai.operation.name": "chat"} | self._model | attributes)

    def _start_call(self, call: ToolCall) -> SpanLike:
        attributes = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.tool,
            "gen_ai.tool.call.id": call.call_id,
            "gen_ai.tool.type": "function",
        }
        return self._start(f"execute_tool {call.tool}", "INTERNAL", attributes)

    def _start(self, name: str, kind: str, attributes: dict[str, Any]) -> SpanLike:
        """Start a span below that of the run; the run's own goes below whatever span is current."""
        api = self._api()
        options = {"attributes": attributes} | ({"kind": api.SpanKind[kind]} if api else {})
        if self._run is None:
            return self._tracer.start_span(name, **options)
        context = api.set_span_in_context(self._run) if api else self._run
        return self._tracer.start_span(name, context=context, **options)

    def _end(self, span: SpanLike, kind: str | None = None, error: str | None = None) -> None:
        if kind is not None or error is not None:
            span.set_attribute("error.type", str(kind or "_OTHER"))
            if api := self._api():
                span.set_status(api.Status(api.StatusCode.ERROR, error))
        span.end()
        if span is self._chat:
            self._chat = None

    def _end_run(self, event: RunFinished) -> None:
        for left in [*self._calls.values(), *filter(None, [self._chat])]:  # an exception ended the run
            self._end(left, event.stop_reason)
        if self._run is not None:
            self._run.set_attribute("looplet.stop_reason", event.stop_reason)
            _describe_usage(self._run, event.usage)
            failed = status_of(event.stop_reason) == "failed"
            self._end(
                self._run, event.stop_reason if failed else None, event.errors[-1] if failed and event.errors else None
            )
        self._begin_run()

    def _api(self) -> Any:
        """OpenTelemetry's own module, if the tracer is (or could be) one of its; `Any`: it may not be installed."""
        return None if self._recording else sys.modules.get(_API)


def _describe_reply(span: SpanLike, reply: Reply) -> None:
    span.set_attribute("gen_ai.response.finish_reasons", [reply.finish_reason])
    if reply.model:
        span.set_attribute("gen_ai.response.model", reply.model)
    if reply.request_id:
        span.set_attribute("gen_ai.response.id", reply.request_id)
    if reply.usage is not None:
        _describe_usage(span, reply.usage)


def _describe_usage(span: SpanLike, usage: Usage) -> None:
    span.set_attribute("gen_ai.usage.input_tokens", usage.input_tokens)
    span.set_attribute("gen_ai.usage.output_tokens", usage.output_tokens)
