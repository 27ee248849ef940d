"""Async tools of a sync run: whatever they do, the run goes on and leaves nothing running."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress

import pytest

from looplet import MockLLMBackend, ToolCall, composable_loop, tool
from looplet._drivers.portal import Portal

DONE = ToolCall("done", {"answer": "x"})


def portal_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "looplet-async-tools"]


def test_an_interrupt_inside_an_async_tool_leaves_the_run_and_does_not_hang() -> None:
    @tool
    async def interrupt() -> None:
        """Interrupt."""
        raise KeyboardInterrupt

    run = composable_loop(llm=MockLLMBackend([ToolCall("interrupt"), DONE]), tools=[interrupt], task="go")
    with pytest.raises(KeyboardInterrupt):
        list(run)
    assert run.result.stop_reason == "cancelled"
    assert portal_threads() == []


def test_tasks_a_tool_left_behind_are_cancelled_at_the_end() -> None:
    cancelled = threading.Event()

    async def forever() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    tasks = []

    @tool
    async def leave_behind() -> str:
        """Start something."""
        tasks.append(asyncio.create_task(forever()))
        await asyncio.sleep(0)
        return "started"

    list(composable_loop(llm=MockLLMBackend([ToolCall("leave_behind"), DONE]), tools=[leave_behind], task="go"))
    assert cancelled.is_set()
    assert portal_threads() == []


def test_one_loop_serves_all_async_tools_of_a_run() -> None:
    loops = []

    @tool
    async def note() -> None:
        """Note the loop."""
        loops.append(asyncio.get_running_loop())

    list(composable_loop(llm=MockLLMBackend([ToolCall("note"), ToolCall("note"), DONE]), tools=[note], task="go"))
    assert loops[0] is loops[1]


def test_calls_that_come_at_once_share_one_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two loops would mean locks "bound to a different event loop", and a thread that is left behind."""
    together, make, made = threading.Barrier(2), asyncio.new_event_loop, []

    def slow() -> asyncio.AbstractEventLoop:
        with suppress(threading.BrokenBarrierError):  # nobody else may get here, so the wait is in vain
            together.wait(0.1)
        made.append(make())
        return made[-1]

    async def nothing() -> None:
        pass

    monkeypatch.setattr(asyncio, "new_event_loop", slow)
    portal = Portal()
    threads = [threading.Thread(target=lambda: portal.run(nothing())) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    portal.close()
    assert len(made) == 1
    assert portal_threads() == []


def test_nothing_starts_on_the_loop_of_a_run_that_has_ended() -> None:
    go_on, ran, calls = threading.Event(), [], []

    async def work() -> None:
        ran.append("work")

    @tool(timeout_s=0.01)
    def late() -> object:
        """Come back with a coroutine when the run is over."""
        calls.append(threading.current_thread())
        go_on.wait()
        return work()

    list(composable_loop(llm=MockLLMBackend([ToolCall("late"), DONE]), tools=[late], task="go"))
    go_on.set()
    calls[0].join()
    assert ran == []
    assert portal_threads() == []
