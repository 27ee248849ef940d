"""Hand-made runs: event sequences as the loop emits them, and Hypothesis strategies for them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from looplet._core.to_text import result_text
from looplet.events import (
    CallFinished,
    CallStarted,
    Compacted,
    Event,
    HookDecided,
    ModelCalled,
    ModelFailed,
    ModelReplied,
    Noticed,
    RunFinished,
    RunStarted,
    StepFinished,
)
from looplet.messages import Capabilities, Message, Prompt, RawCall, Reply, Settings, ToolSchema
from looplet.trace.journal import JournalWriter
from looplet.types import ErrorKind, Step, ToolCall, ToolResult, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

SEARCH = ToolSchema(
    "search", "Find things.", {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]}
)
DONE = ToolSchema(
    "done", "Finish.", {"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]}
)


class Script:
    """Builds the events of one run, keeping the conversation the way the core does."""

    def __init__(self, task: Any = "find cheese", **header: Any) -> None:
        self.system = header.pop("system", "Be brief.")
        self.settings = Settings()
        self.conversation = [Message("user", task if isinstance(task, str) else json.dumps(task))]
        self.calls, self.steps = 0, 0
        self.usage = Usage()
        self.events: list[Event] = [
            RunStarted(
                **{
                    "run_id": "r1",
                    "task": task,
                    "system": self.system,
                    "tools": (SEARCH, DONE),
                    "max_steps": 15,
                    "settings": {"temperature": None, "done_tool": "done", "tool_mode": "auto"},
                    "model": "mock",
                    "capabilities": Capabilities(),
                    **header,
                }
            )
        ]

    def prompt(self, *volatile: Message) -> Prompt:
        return Prompt(self.system, (*self.conversation, *volatile), (SEARCH, DONE), self.settings)

    def reply(self, reply: Reply, *volatile: Message) -> Reply:
        self.calls += 1
        prompt = self.prompt(*volatile)
        self.events += [ModelCalled(self.calls, prompt), ModelReplied(self.calls, prompt, reply, 12.5)]
        calls = tuple(
            ToolCall(
                raw.name,
                raw.arguments if isinstance(raw.arguments, dict) else json.loads(raw.arguments),
                call_id=raw.call_id,
            )
            for raw in reply.calls
        )
        self.conversation.append(Message("assistant", reply.text, calls))
        self.usage += reply.usage or Usage()
        return reply

    def fail(self, kind: str = "RateLimited", error: str = "slow down", **details: Any) -> None:
        self.calls += 1
        prompt = self.prompt()
        self.events += [
            ModelCalled(self.calls, prompt),
            ModelFailed(self.calls, prompt, kind, error, 0.5, {"status": 429, "retriable": True, **details}),
        ]

    def step(
        self,
        call: ToolCall,
        result: ToolResult,
        *,
        asked: ToolCall | None = None,
        final: ToolResult | None = None,
        started: bool = True,
        note: str = "",
        limit: int = 20_000,
        usage: Usage | None = None,
    ) -> Step:
        self.steps += 1
        asked, final = asked or call, final or result
        if started:
            self.events += [CallStarted(self.steps, call, asked), CallFinished(self.steps, call, result)]
        prompt = next(event.prompt for event in reversed(self.events) if isinstance(event, ModelReplied))
        step = Step(self.steps, call, final, prompt, usage or Usage(3, 4))
        self.events.append(StepFinished(step, asked, self.calls))
        self.conversation.append(Message("tool", result_text(final, limit) + note, call_id=call.call_id))
        return step

    def turn(self, call: ToolCall, result: ToolResult, text: str = "") -> Step:
        raw = RawCall(call.tool, json.dumps(call.args, ensure_ascii=False), call.call_id)
        self.reply(Reply(text, (raw,), Usage(10, 5), "tool_calls"))
        return self.step(call, result, usage=Usage(10, 5))

    def compact(self) -> None:
        head, dropped = self.conversation[:1], self.conversation[1:-2]
        kept = self.conversation[-2:]
        self.events.append(
            Compacted(len(self.conversation), len(head + kept), (*(each.content for each in dropped), "made up"))
        )
        self.conversation = head + kept

    def say(self, text: str) -> None:
        self.conversation.append(Message("user", text))

    def finish(self, stop_reason: str = "done", output: Any = "brie", errors: tuple[str, ...] = ()) -> list[Event]:
        status = "completed" if stop_reason == "done" else "stopped"
        self.events.append(RunFinished(stop_reason, status, output, self.usage, errors, 1.25))
        return self.events


def cheese_run() -> list[Event]:
    """Two searches and an answer."""
    script = Script()
    script.turn(
        ToolCall("search", {"query": "käse"}, call_id="c1"),
        ToolResult("search", [{"id": 1, "name": "Gouda, old and dry"}]),
    )
    script.turn(
        ToolCall("search", {"query": "brie"}, call_id="c2"),
        ToolResult("search", error="ValueError: we are out of brie today", error_kind=ErrorKind.EXECUTION),
    )
    script.turn(ToolCall("done", {"answer": "brie"}, call_id="c3"), ToolResult("done", "brie"), text="That is all.")
    return script.finish(errors=("search: ValueError: we are out of brie today",))


def large_result(data: Any, step: int = 3) -> list[Event]:
    """A search that returned `data`, as step `step` of a run."""
    call, result = ToolCall("search", {"query": "all"}), ToolResult("search", data)
    return [
        CallStarted(step, call, call),
        CallFinished(step, call, result),
        StepFinished(Step(step, call, result), call, step - 1),
    ]


def long_run(steps: int, chars: int = 200) -> list[Event]:
    """`steps` searches, each with an argument and a result of `chars` characters of its own."""
    script = Script()
    for number in range(steps):
        words = f"{number:06d} " + "word " * (chars // 5)
        call = ToolCall("search", {"query": words[:chars]}, call_id=f"call_{number:06d}")
        script.turn(call, ToolResult("search", "found " + words[:chars], duration_ms=1.5))
    return script.finish()


def write_trace(path: Path, events: Iterable[Event], **options: Any) -> Path:
    """Write the events of one run as a trace in `path`."""
    writer = JournalWriter(path, **options)
    try:
        for event in events:
            writer.write(event)
    finally:
        writer.close()
    return path


def written(events: Iterable[Event]) -> list[Event]:
    """The events a journal keeps."""
    return [event for event in events if not isinstance(event, ModelCalled)]


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=10,
)
_arguments = st.dictionaries(st.text(max_size=6), json_values, max_size=3)
_errors = st.builds(
    ToolResult,
    tool=st.just("search"),
    error=st.text(),
    error_kind=st.sampled_from(ErrorKind),
    error_retriable=st.booleans(),
    warnings=st.lists(st.text(), max_size=2).map(tuple),
)
_results = _errors | st.builds(
    ToolResult, tool=st.just("search"), data=json_values | st.text(min_size=30), duration_ms=st.floats(0, 1e6)
)
_settings = st.builds(Settings, temperature=st.none() | st.floats(0, 2), extra=_arguments)


@st.composite
def runs(draw: st.DrawFn) -> list[Event]:
    """Any sequence of events the loop may emit, with the odd ones: denials, rewrites, failures, compaction."""
    script = Script(draw(json_values), labels=draw(_arguments), system=draw(st.text()))
    for turn in range(draw(st.integers(0, 5))):
        for _ in range(draw(st.integers(0, 1))):
            script.fail(request_id=draw(st.text(max_size=4)))
        _turn(draw, script, turn)
    if draw(st.booleans()):
        script.finish(draw(st.sampled_from(["done", "max_steps", "bored"])), draw(json_values))
    return script.events


def _turn(draw: st.DrawFn, script: Script, turn: int) -> None:
    if draw(st.booleans()):
        script.settings = draw(_settings)
    count = draw(st.integers(0, 3))
    calls = [ToolCall("search", draw(_arguments), call_id=f"c{turn}_{index}") for index in range(count)]
    as_text = draw(st.booleans())
    raw = tuple(RawCall(call.tool, json.dumps(call.args) if as_text else call.args, call.call_id) for call in calls)
    usage = draw(st.none() | st.just(Usage()) | st.builds(Usage, st.integers(0, 9), cost=st.none() | st.floats(0, 1)))
    volatile = [Message("user", text) for text in draw(st.lists(st.text(), max_size=1))]
    script.reply(Reply(draw(st.text()), raw, usage, reasoning=draw(st.text(max_size=5))), *volatile)
    for call in calls:
        result = draw(_results)
        script.step(
            call.replace(args=draw(st.just(call.args) | _arguments)),
            result,
            asked=call,
            final=draw(st.just(result) | _results),
            started=draw(st.booleans()),
            note=draw(st.sampled_from(["", "\n\nhurry"])),
            limit=draw(st.sampled_from([20_000, 100])),
        )
    if draw(st.booleans()):
        script.say(draw(st.text()))
    script.events += draw(
        st.lists(st.sampled_from([Noticed("text mode"), HookDecided("H", "check_done", "deny: no")]), max_size=1)
    )
    if draw(st.integers(0, 4)) == 0:
        script.compact()
