"""A run becomes spans with the names of the GenAI semantic conventions, whatever tracer takes them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_sync
from tests.support.fetching import Guard, fetch

from looplet import Capabilities, LoopConfig, MockLLMBackend, ToolCall, TracingHook, Usage
from looplet.errors import AuthError, RateLimited
from looplet.events import RunFinished, RunResumed, RunStarted
from looplet.messages import RawCall, Reply

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

    from looplet.hooks.tracing import Span


def fetching(url: str, call_id: str) -> Reply:
    calls = (RawCall("fetch", {"url": url}, call_id),)
    return Reply("", calls, Usage(10, 2), "tool_calls", model="m-2026", request_id="req_1")


SCRIPT = [
    fetching("a", "call_a"),
    RateLimited("slow"),
    fetching("bad", "call_b"),
    fetching("secret", "call_c"),
    ToolCall("done", {"answer": "x"}),
]


def recorded(script: list[Any] = SCRIPT, **options: Any) -> list[Span]:
    hook = TracingHook(provider="openai", agent="clerk")
    run_sync(MockLLMBackend(script, name="m"), tools=[fetch], hooks=[hook, Guard()], **options)
    return hook.spans


def test_model_and_tool_calls_are_spans_below_the_run() -> None:
    root, *children = recorded()
    assert root.parent is None
    assert {child.parent for child in children} == {root}
    assert [span.name for span in [root, *children]] == [
        "invoke_agent clerk",
        "chat m",
        "execute_tool fetch",
        "chat m",
        "chat m",
        "execute_tool fetch",
        "chat m",
        "execute_tool fetch",
        "chat m",
        "execute_tool done",
    ]
    assert all(span.end_time is not None and span.end_time >= span.start for span in [root, *children])


def test_the_attributes_are_those_of_the_conventions() -> None:
    root, chat, call, *_ = recorded(config=LoopConfig(temperature=0.5, max_tokens=99))
    run_id = root.attributes.pop("looplet.run_id")
    assert isinstance(run_id, str)
    assert root.attributes["gen_ai.usage.input_tokens"] >= 30
    assert {key: value for key, value in root.attributes.items() if "usage" not in key} == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "openai",
        "gen_ai.agent.name": "clerk",
        "gen_ai.request.model": "m",
        "looplet.stop_reason": "done",
    }
    assert chat.attributes == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "openai",
        "gen_ai.request.model": "m",
        "gen_ai.request.temperature": 0.5,
        "gen_ai.request.max_tokens": 99,
        "gen_ai.response.model": "m-2026",
        "gen_ai.response.id": "req_1",
        "gen_ai.response.finish_reasons": ["tool_calls"],
        "gen_ai.usage.input_tokens": 10,
        "gen_ai.usage.output_tokens": 2,
    }
    assert call.attributes == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "fetch",
        "gen_ai.tool.call.id": "call_a",
        "gen_ai.tool.type": "function",
    }


def test_failures_and_refusals_say_their_type() -> None:
    types = [span.attributes.get("error.type") for span in recorded()]
    assert [kind for kind in types if kind] == ["RateLimited", "execution", "permission_denied"]


def test_a_failed_run_is_a_failed_span() -> None:
    root, chat = recorded([AuthError("no key")])
    assert (root.attributes["error.type"], chat.attributes["error.type"]) == ("llm_error", "AuthError")


def test_a_resumed_run_is_a_span_of_its_own() -> None:
    hook = TracingHook()
    began = RunStarted("id", "task", "", (), 5, {}, "m", Capabilities())
    hook.on_event(RunResumed("id", 3, (began,)))
    hook.on_event(RunFinished("done", "completed", "x", Usage()))
    (span,) = hook.spans
    assert (span.attributes["looplet.run_id"], span.attributes["gen_ai.request.model"]) == ("id", "m")
    assert span.end_time is not None


def test_what_an_exception_left_open_is_ended() -> None:
    hook = TracingHook()
    with pytest.raises(ZeroDivisionError):
        run_sync(MockLLMBackend([ZeroDivisionError("a bug")]), hooks=[hook])
    assert [(span.attributes["error.type"], span.end_time is None) for span in hook.spans] == [("error", False)] * 2


def test_any_tracer_with_start_span_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "opentelemetry.trace", raising=False)
    started: list[tuple[str, Any]] = []

    class FakeSpan:
        def set_attribute(self, key: str, value: Any) -> None: ...

        def set_status(self, status: Any) -> None: ...

        def end(self) -> None: ...

    class FakeTracer:
        def start_span(self, name: str, context: Any = None, **options: Any) -> FakeSpan:
            started.append((name, context))
            return FakeSpan()

    hook = TracingHook(FakeTracer())
    run_sync(SCRIPT, tools=[fetch], hooks=[hook, Guard()])
    assert started[0] == ("invoke_agent", None)
    assert len({id(context) for _, context in started[1:]}) == 1
    assert hook.spans == []


def with_a_real_tracer(tracer: Tracer) -> TracingHook:
    """Never executed: the type checker has to accept OpenTelemetry's own tracer."""
    return TracingHook(tracer)


def test_an_opentelemetry_tracer_gets_parents_kinds_and_statuses() -> None:
    trace = pytest.importorskip("opentelemetry.trace")
    spans: list[dict[str, Any]] = []
    span_type: Any = trace.NonRecordingSpan
    tracer_type: Any = trace.NoOpTracer

    class KeptSpan(span_type):  # type: ignore[misc]  # the module may be missing
        def __init__(self, number: int) -> None:
            super().__init__(trace.SpanContext(1, number, is_remote=False))

        def set_status(self, status: Any, description: str | None = None) -> None:
            spans[self.get_span_context().span_id - 1]["status"] = (status.status_code, status.description)

    class KeepingTracer(tracer_type):  # type: ignore[misc]  # the module may be missing
        def start_span(self, name: str, context: Any = None, kind: Any = None, attributes: Any = None, **_: Any) -> Any:
            parent = trace.get_current_span(context).get_span_context().span_id
            spans.append({"name": name, "parent": parent, "kind": kind, "status": None})
            return KeptSpan(len(spans))

    run_sync(SCRIPT, tools=[fetch], hooks=[TracingHook(KeepingTracer()), Guard()])
    assert [span["parent"] for span in spans] == [0] + [1] * 9
    assert {span["name"]: span["kind"].name for span in spans} == {
        "invoke_agent": "INTERNAL",
        "chat mock": "CLIENT",
        "execute_tool fetch": "INTERNAL",
        "execute_tool done": "INTERNAL",
    }
    assert [span["status"] for span in spans if span["status"]] == [
        (trace.StatusCode.ERROR, "slow"),
        (trace.StatusCode.ERROR, "OSError: no such page"),
        (trace.StatusCode.ERROR, "no"),
    ]


def test_a_span_does_not_end_before_it_began_when_the_clock_is_set_back(monkeypatch: pytest.MonkeyPatch) -> None:
    times = (2e9 - 3600.0 * number for number in range(100))
    monkeypatch.setattr("time.time", lambda: next(times))
    assert all(span.end_time is not None and span.end_time >= span.start for span in recorded())
