"""The counts are those of the run, and add up over runs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.support.drive import run_sync
from tests.support.fetching import Guard, fetch

from looplet import MetricsHook, ToolCall, Usage
from looplet.errors import RateLimited
from looplet.events import CallFinished, ModelReplied
from looplet.messages import Prompt, RawCall, Reply
from looplet.types import ToolResult


def fetching(url: str) -> Reply:
    return Reply(calls=(RawCall("fetch", {"url": url}),), usage=Usage(10, 2, 4))


SCRIPT = [fetching("a"), RateLimited("slow"), fetching("bad"), fetching("secret"), ToolCall("done", {"answer": "x"})]


def test_calls_failures_denials_and_tokens_are_counted() -> None:
    hook = MetricsHook()
    result = run_sync(SCRIPT, tools=[fetch], hooks=[hook, Guard()])
    summary = hook.summary()
    assert {key: summary[key] for key in ("runs", "steps", "compactions", "stop_reasons")} == {
        "runs": 1,
        "steps": 4,
        "compactions": 0,
        "stop_reasons": {"done": 1},
    }
    model = summary["model"]
    assert (model["calls"], model["failures"], model["cached_tokens"]) == (5, 1, 12)
    assert (model["input_tokens"], model["output_tokens"]) == (result.usage.input_tokens, result.usage.output_tokens)
    assert model["cost"] is None
    tools = {name: {**counts, "duration_ms": None} for name, counts in summary["tools"].items()}
    assert tools == {
        "done": {"calls": 1, "denied": 0, "errors": 0, "duration_ms": None},
        "fetch": {"calls": 2, "denied": 1, "errors": 2, "duration_ms": None},
    }


def test_durations_add_up() -> None:
    hook = MetricsHook()
    for ms in (5.0, 7.0):
        hook.on_event(CallFinished(1, ToolCall("fetch"), ToolResult("fetch", duration_ms=ms)))
        hook.on_event(ModelReplied(1, Prompt("", ()), Reply(), duration_ms=ms))
    assert hook.summary()["tools"]["fetch"]["duration_ms"] == 12.0
    assert hook.summary()["model"]["duration_ms"] == 12.0


def test_one_hook_counts_many_runs_at_once() -> None:
    hook = MetricsHook()
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: run_sync(SCRIPT, tools=[fetch], hooks=[hook, Guard()]), range(40)))
    summary = hook.summary()
    assert (summary["runs"], summary["steps"], summary["model"]["calls"]) == (40, 160, 200)
    assert summary["tools"]["fetch"]["calls"] == 80


def test_without_the_hook_nothing_is_counted() -> None:
    hook = MetricsHook()
    run_sync(SCRIPT, tools=[fetch], hooks=[Guard()])
    assert hook.summary()["runs"] == 0
