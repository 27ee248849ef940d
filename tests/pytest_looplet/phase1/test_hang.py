"""Where a run hangs: user code only, whichever thread or task it is in."""

from __future__ import annotations

import asyncio
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from looplet import MockLLMBackend, ToolCall, async_composable_loop, composable_loop, tool
from looplet.ambient import Capture, capturing
from pytest_looplet.phase1.agents import in_event_loop
from pytest_looplet.phase1.hang import stacks_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FREE = threading.Event()
REACHED = threading.Semaphore(0)


@pytest.fixture(autouse=True)
def _free_afterwards() -> Iterator[None]:
    FREE.clear()
    yield
    FREE.set()


@tool
def stuck(order: int) -> int:
    "Hang in a thread."
    REACHED.release()
    FREE.wait()
    return order


@tool(timeout_s=600)
def stuck_in_a_thread_of_its_own(order: int) -> int:
    "Hang in a thread that the loop started."
    REACHED.release()
    FREE.wait()
    return order


async def deep_inside() -> None:
    REACHED.release()
    while not FREE.is_set():  # an Event of asyncio's would need the loop to end
        await asyncio.sleep(0.01)


@tool
async def stuck_in_a_task(order: int) -> int:
    "Hang in an event loop."
    await deep_inside()
    return order


TOOLS: list[Any] = [stuck, stuck_in_a_thread_of_its_own, stuck_in_a_task]


def sync_agent(name: str) -> None:
    for _ in composable_loop(llm=_model(name), task="t", tools=TOOLS):
        pass


def async_agent(name: str) -> None:
    async def follow() -> None:
        async for _ in async_composable_loop(llm=_model(name), task="t", tools=TOOLS):
            pass

    in_event_loop(follow())


def _model(name: str) -> MockLLMBackend:
    return MockLLMBackend([ToolCall(name, {"order": 1}), ToolCall("done", {"answer": ""})])


@contextmanager
def hanging(agent: Callable[[str], None], name: str) -> Iterator[tuple[int, Capture]]:
    """Run an agent whose tool `name` hangs, and give its thread as soon as it does."""
    capture = Capture()

    def work() -> None:
        with capturing(capture):
            agent(name)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    assert REACHED.acquire(timeout=60)
    assert thread.ident is not None
    yield thread.ident, capture
    FREE.set()
    thread.join(60)


@pytest.mark.parametrize("agent", [sync_agent, async_agent])
@pytest.mark.parametrize("name", ["stuck", "stuck_in_a_thread_of_its_own"])
def test_a_blocked_tool_is_found_in_whichever_thread_it_is(agent: Any, name: str) -> None:
    with hanging(agent, name) as (thread, capture):
        said = stacks_of(thread, capture)
    assert f"in {name}\n    FREE.wait()" in said
    assert "looplet/_drivers" not in said, "our own frames say nothing"
    assert "threading.py" not in said, "nor do those of the standard library"


@pytest.mark.parametrize("agent", [sync_agent, async_agent])
def test_a_task_is_followed_to_what_it_awaits(agent: Any) -> None:
    with hanging(agent, "stuck_in_a_task") as (thread, capture):
        said = stacks_of(thread, capture)
    assert "in stuck_in_a_task\n    await deep_inside()" in said
    assert "in deep_inside\n    await asyncio.sleep(0.01)" in said
    assert said.index("in stuck_in_a_task") < said.index("in deep_inside"), "innermost last, as in a traceback"


def test_another_runs_threads_are_left_out() -> None:
    with hanging(sync_agent, "stuck_in_a_thread_of_its_own") as (_, capture):
        assert "stuck_in_a_thread_of_its_own" in stacks_of(None, capture)
        assert stacks_of(None, Capture()) == ""


def test_a_thread_that_is_gone_has_no_stack() -> None:
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    assert stacks_of(thread.ident, None) == ""
