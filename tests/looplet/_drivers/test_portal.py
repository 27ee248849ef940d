"""Async tools of a sync run: whatever they do, the run goes on and leaves nothing running."""

from __future__ import annotations

import asyncio
import threading

import pytest

from looplet import MockLLMBackend, ToolCall, composable_loop, tool

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
