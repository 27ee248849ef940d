"""Calls side by side, deadlines and cancellation: the same under both drivers. Nobody waits for a hung call."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_async, run_sync

from looplet import Capabilities, LoopConfig, MockLLMBackend, Prompt, Reply, ToolCall, ToolContext, tool
from looplet.cancel import CancelToken
from looplet.errors import ServerError
from looplet.events import CallFinished, CallStarted, Event, RunFinished

if TYPE_CHECKING:
    from collections.abc import Callable

DONE = ToolCall("done", {"answer": "x"})
LIVE = pytest.mark.parametrize("run", [run_sync, run_async])


def numbered(name: str, count: int) -> list[ToolCall]:
    return [ToolCall(name, {"n": n}, call_id=f"c{n}") for n in range(count)]


@LIVE
def test_concurrent_safe_calls_of_a_turn_run_side_by_side_and_stay_in_order(run: Callable[..., Any]) -> None:
    together = threading.Barrier(3, timeout=30)

    @tool(concurrent_safe=True)
    def meet(n: int) -> int:
        """Wait for the others."""
        together.wait()
        return n

    result = run([numbered("meet", 3), DONE], tools=[meet], config=LoopConfig(max_parallel_calls=3))
    assert [step.tool_result.data for step in result.steps] == [0, 1, 2, "x"]
    assert [step.number for step in result.steps] == [1, 2, 3, 4]


@LIVE
def test_async_tools_run_side_by_side_too(run: Callable[..., Any]) -> None:
    met: list[int] = []

    @tool(concurrent_safe=True)
    async def meet(n: int) -> int:
        """Wait for the others."""
        met.append(n)
        while len(met) < 2:
            await asyncio.sleep(0)
        return n

    result = run([numbered("meet", 2), DONE], tools=[meet])
    assert [step.tool_result.data for step in result.steps] == [0, 1, "x"]


@LIVE
def test_the_cap_and_the_budget_bound_a_wave(run: Callable[..., Any]) -> None:
    lock, running, most = threading.Lock(), 0, 0

    @tool(concurrent_safe=True)
    def count(n: int) -> int:
        """Count how many run at once."""
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1
        return n

    result = run([numbered("count", 7)], tools=[count], config=LoopConfig(max_parallel_calls=2, max_steps=5))
    assert most <= 2
    assert (len(result.steps), result.stop_reason) == (5, "max_steps")


@LIVE
def test_a_tool_that_is_not_concurrent_safe_runs_alone(run: Callable[..., Any]) -> None:
    order: list[str] = []

    @tool(concurrent_safe=True)
    def safe(n: int) -> None:
        """Safe."""
        order.append("safe")

    @tool
    def alone(n: int) -> None:
        """Alone."""
        order.append("alone")

    calls = [*numbered("safe", 2), ToolCall("alone", {"n": 9}, call_id="a"), ToolCall("safe", {"n": 8}, call_id="b")]
    run([calls, DONE], tools=[safe, alone])
    assert order == ["safe", "safe", "alone", "safe"]


@LIVE
def test_context_variables_reach_the_threads_of_a_wave(run: Callable[..., Any]) -> None:
    from contextvars import ContextVar

    who: ContextVar[str] = ContextVar("who")
    who.set("me")

    @tool(concurrent_safe=True)
    def ask(n: int) -> str:
        """Ask."""
        return who.get()

    assert [step.tool_result.data for step in run([numbered("ask", 2), DONE], tools=[ask]).steps[:2]] == ["me", "me"]


@LIVE
def test_a_call_past_its_deadline_is_abandoned_and_the_model_is_told(run: Callable[..., Any]) -> None:
    never = threading.Event()

    @tool(timeout_s=0.01)
    def hang() -> None:
        """Hang."""
        never.wait()

    llm = MockLLMBackend([ToolCall("hang"), DONE])
    result = run(llm, tools=[hang])
    never.set()
    hung = result.steps[0].tool_result
    assert (hung.error_kind, hung.error_retriable) == ("timeout", True)
    assert hung.error == "no result after 0.01 s, the call was abandoned"
    assert "abandoned" in llm.prompts[1].messages[-1].content
    assert result.stop_reason == "done"


@LIVE
def test_the_runs_own_deadline_holds_for_tools_without_one(run: Callable[..., Any]) -> None:
    @tool
    async def hang() -> None:
        """Hang."""
        await asyncio.Event().wait()

    result = run([ToolCall("hang"), DONE], tools=[hang], config=LoopConfig(tool_timeout_s=0.01))
    assert result.steps[0].tool_result.error_kind == "timeout"


@LIVE
def test_a_hung_call_does_not_hold_back_its_siblings_results(run: Callable[..., Any]) -> None:
    never = threading.Event()

    @tool(concurrent_safe=True, timeout_s=0.05)
    def work(n: int) -> int:
        """Work, or hang."""
        if n == 0:
            never.wait()
        return n

    result = run([numbered("work", 3), DONE], tools=[work])
    never.set()
    assert [step.tool_result.error_kind for step in result.steps[:3]] == ["timeout", None, None]


@LIVE
def test_cancelling_during_a_call_ends_the_run_and_keeps_what_ran(run: Callable[..., Any]) -> None:
    token, never = CancelToken(), threading.Event()

    @tool
    def hang(ctx: ToolContext) -> None:
        """Hang."""
        assert ctx.cancel_token is token
        token.cancel()
        never.wait()

    result = run([[ToolCall("hang"), ToolCall("hang")], DONE], tools=[hang], config=LoopConfig(cancel_token=token))
    never.set()
    assert result.stop_reason == "cancelled"
    assert [step.tool_result.error_kind for step in result.steps] == ["cancelled"]


@LIVE
def test_cancelling_during_a_model_call_abandons_it(run: Callable[..., Any]) -> None:
    token, never = CancelToken(), threading.Event()

    class Hanging:
        name = "hanging"
        capabilities = Capabilities()

        def chat(self, prompt: Prompt) -> Reply:
            token.cancel()
            never.wait()
            return Reply("too late")

    result = run(Hanging(), config=LoopConfig(cancel_token=token))
    never.set()
    assert (result.stop_reason, result.steps) == ("cancelled", ())


@LIVE
def test_cancelling_between_steps_ends_the_run_before_the_next_request(run: Callable[..., Any]) -> None:
    token = CancelToken()

    class Cancel:
        def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> None:
            token.cancel()

    @tool
    def note(n: int) -> int:
        """Note."""
        return n

    llm = MockLLMBackend([numbered("note", 2), DONE])
    result = run(llm, tools=[note], hooks=[Cancel()], config=LoopConfig(cancel_token=token))
    assert (result.stop_reason, len(result.steps), len(llm.prompts)) == ("cancelled", 1, 1)


@LIVE
def test_cancelling_during_a_wait_between_attempts_ends_the_wait(run: Callable[..., Any]) -> None:
    token = CancelToken()

    class Waiting(MockLLMBackend):
        no_sleep = False

    def fail(prompt: Prompt) -> Any:
        threading.Timer(0, token.cancel).start()
        raise ServerError("busy", retry_after=100.0)

    result = run(Waiting([fail, DONE]), config=LoopConfig(cancel_token=token))
    assert result.stop_reason == "cancelled"


@LIVE
def test_one_call_can_be_cancelled_and_the_run_goes_on(run: Callable[..., Any]) -> None:
    token, never = CancelToken(), threading.Event()

    @tool(concurrent_safe=True)
    def work(n: int) -> int:
        """Work, or hang."""
        if n == 1:
            token.cancel_call("c1")
            never.wait()
        return n

    result = run([numbered("work", 3), DONE], tools=[work], config=LoopConfig(cancel_token=token))
    never.set()
    assert [step.tool_result.error_kind for step in result.steps] == [None, "cancelled", None, None]
    assert result.stop_reason == "done"


@LIVE
def test_a_call_that_was_cancelled_before_it_came_does_not_run(run: Callable[..., Any]) -> None:
    token, ran = CancelToken(), []
    token.cancel_call("c1")

    @tool
    def work(n: int) -> None:
        """Work."""
        ran.append(n)

    result = run([*numbered("work", 2), DONE], tools=[work], config=LoopConfig(cancel_token=token))
    assert ran == [0]
    assert [step.tool_result.error for step in result.steps] == [None, "cancelled before it began", None]
    assert result.steps[1].tool_result.error_kind == "cancelled"


@LIVE
def test_what_an_abandoned_call_says_after_the_end_is_not_shown(run: Callable[..., Any]) -> None:
    go_on, threads, seen = threading.Event(), [], []

    class Watch:
        def on_event(self, event: Event) -> None:
            seen.append(event)

    @tool(timeout_s=0.01)
    def late(ctx: ToolContext) -> None:
        """Report when the run is over."""
        threads.append(threading.current_thread())
        go_on.wait()
        ctx.progress("still here")

    run([ToolCall("late"), DONE], tools=[late], hooks=[Watch()])
    go_on.set()
    threads[0].join()
    assert isinstance(seen[-1], RunFinished)


def test_a_cancelled_task_cancels_its_run() -> None:
    started = threading.Event()

    @tool
    async def hang() -> None:
        """Hang."""
        started.set()
        await asyncio.Event().wait()

    async def main() -> str:
        from looplet import async_composable_loop

        run = async_composable_loop(llm=MockLLMBackend([ToolCall("hang"), DONE]), tools=[hang], task="go")

        async def follow() -> None:
            async for _ in run:
                pass

        task = asyncio.ensure_future(follow())
        while not started.is_set():
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return run.result.stop_reason

    assert asyncio.run(main()) == "cancelled"


def test_a_blocking_tool_leaves_the_event_loop_free() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    @tool
    def block() -> str:
        """Block until the event loop has done something else, asked for only now."""
        go_on = threading.Event()
        loops[0].call_soon_threadsafe(go_on.set)
        assert go_on.wait(5)
        return "free"

    async def main() -> Any:
        from looplet import async_composable_loop

        async with async_composable_loop(
            llm=MockLLMBackend([ToolCall("block"), DONE]), tools=[block], task="go"
        ) as run:
            loops.append(asyncio.get_running_loop())
            async for _ in run:
                pass
        return run.result

    assert asyncio.run(main()).steps[0].tool_result.data == "free"


@LIVE
def test_each_call_is_announced_when_it_ends_not_when_all_have(run: Callable[..., Any]) -> None:
    first_is_told = threading.Event()

    class Watch:
        def __init__(self) -> None:
            self.seen: list[Event] = []

        def on_event(self, event: Event) -> None:
            self.seen.append(event)
            if isinstance(event, CallFinished) and event.tool_call.args["n"] == 0:
                first_is_told.set()

    @tool(concurrent_safe=True)
    def work(n: int) -> int:
        """The second call ends only after the first was announced."""
        assert n == 0 or first_is_told.wait(30)
        return n

    watch = Watch()
    result = run([numbered("work", 2), ToolCall("work", {"n": 5})], tools=[work], hooks=[watch], max_steps=2)
    assert [step.tool_result.error for step in result.steps] == [None, None]
    kinds = [type(event) for event in watch.seen if isinstance(event, (CallStarted, CallFinished))]
    assert kinds == [CallStarted, CallStarted, CallFinished, CallFinished]


def test_a_blocking_backend_leaves_the_event_loop_free() -> None:
    loops: list[asyncio.AbstractEventLoop] = []

    class Blocking:
        name = "blocking"
        capabilities = Capabilities()

        def chat(self, prompt: Prompt) -> Reply:
            go_on = threading.Event()
            loops[0].call_soon_threadsafe(go_on.set)
            assert go_on.wait(5)
            return Reply("free")

    async def main() -> Any:
        from looplet import async_composable_loop

        async with async_composable_loop(llm=Blocking(), tools=[], task="go") as run:
            loops.append(asyncio.get_running_loop())
            async for _ in run:
                pass
        return run.result

    assert asyncio.run(main()).output == "free"


@LIVE
@pytest.mark.parametrize("second", [0.0, 1e9], ids=["stands still", "jumps ahead"])
def test_a_deadline_is_not_wall_time(run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, second: float) -> None:
    """A clock that stands still lets no call hang for ever, one that jumps ahead gives no call up."""
    times, never, soon = iter([1e9 + n * second for n in range(200)]), threading.Event(), threading.Event()
    monkeypatch.setattr("time.time", lambda: next(times))

    @tool(timeout_s=0.01)
    def hang() -> None:
        """Hang."""
        never.wait()

    @tool(timeout_s=30.0)
    def work() -> str:
        """Take a moment."""
        threading.Timer(0.05, soon.set).start()
        soon.wait()
        return "worked"

    result = run([ToolCall("hang"), ToolCall("work"), DONE], tools=[hang, work])
    never.set()
    assert [step.tool_result.error_kind for step in result.steps] == ["timeout", None, None]
