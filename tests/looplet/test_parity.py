"""Every setting, event and hook method works under every driver: parity is a fact and not a request in CONTRIBUTING.

The tables below must name each LoopConfig field, each event and each hook method; one that is missing fails the test
that compares them with the classes.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.collecting import without_collector
from tests.support.drive import run_async, run_replayed, run_sync, run_traced

from looplet import (
    ApprovalHook,
    CancelToken,
    Capabilities,
    CheckpointHook,
    Compact,
    Deny,
    LoopConfig,
    MockLLMBackend,
    Prompt,
    Reply,
    Resume,
    Stop,
    ToolCall,
    ToolContext,
    approve,
    events,
    tool,
)
from looplet._core.hook_table import METHODS
from looplet.errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from looplet import RunResult

    Run = Callable[..., RunResult]

DONE = ToolCall("done", {"answer": "x"})


@tool(concurrent_safe=True)
def echo(text: str) -> str:
    """Say it back."""
    return text


def say(text: str) -> ToolCall:
    return ToolCall("echo", {"text": text})


class Seen:
    """A watcher that keeps the events."""

    def __init__(self) -> None:
        self.events: list[Any] = []

    def on_event(self, event: Any) -> None:
        self.events.append(event)


def settings_sent(run: Run, config: LoopConfig) -> Any:
    llm = MockLLMBackend([DONE])
    run(llm, config=config)
    return llm.prompts[0].settings


# LoopConfig fields: each check runs under each driver


def max_steps(run: Run) -> None:
    result = run([say("a"), say("b")], tools=[echo], config=LoopConfig(max_steps=1))
    assert result.stop_reason == "max_steps"


def system_prompt(run: Run) -> None:
    llm = MockLLMBackend([DONE])
    run(llm, config=LoopConfig(system_prompt="be brief"))
    assert llm.prompts[0].system == "be brief"


def temperature(run: Run) -> None:
    assert settings_sent(run, LoopConfig(temperature=0.5)).temperature == 0.5


def max_tokens(run: Run) -> None:
    assert settings_sent(run, LoopConfig(max_tokens=9)).max_tokens == 9


def llm_timeout_s(run: Run) -> None:
    assert settings_sent(run, LoopConfig(llm_timeout_s=3.0)).timeout_s == 3.0


def extra(run: Run) -> None:
    assert settings_sent(run, LoopConfig(extra={"seed": 1})).extra == {"seed": 1}


def done_tool(run: Run) -> None:
    result = run([ToolCall("finish", {"answer": "y"})], config=LoopConfig(done_tool="finish"))
    assert result.output == "y"


def tool_mode(run: Run) -> None:
    llm = MockLLMBackend(['{"tool": "done", "args": {"answer": "x"}}'], capabilities=Capabilities())
    assert run(llm, config=LoopConfig(tool_mode="text")).output == "x"
    assert llm.prompts[0].tools == ()


def retries(run: Run) -> None:
    assert run([ServerError("busy"), DONE], config=LoopConfig(retries=0)).stop_reason == "llm_error"


def repairs(run: Run) -> None:
    assert run(["prose", "prose"], config=LoopConfig(repairs=0)).stop_reason == "parse_error"


def result_chars(run: Run) -> None:
    llm = MockLLMBackend([say("x" * 5000), DONE])
    run(llm, tools=[echo], config=LoopConfig(result_chars=200))
    assert len(llm.prompts[1].messages[-1].content) <= 200


def final_answer(run: Run) -> None:
    config = LoopConfig(max_steps=1, final_answer=True)
    assert run([say("a"), "best guess"], tools=[echo], config=config).output == "best guess"


def stream(run: Run) -> None:
    seen = Seen()
    run(MockLLMBackend([Reply("whole")]), hooks=[seen], config=LoopConfig(stream=True))
    assert any(isinstance(event, events.ModelChunk) for event in seen.events)


def max_parallel_calls(run: Run) -> None:
    lock, running, most = threading.Lock(), 0, 0

    @tool(concurrent_safe=True)
    def count(n: int) -> None:
        """Count."""
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        with lock:
            running -= 1

    run([[ToolCall("count", {"n": n}) for n in range(4)], DONE], tools=[count], config=LoopConfig(max_parallel_calls=1))
    assert most == 1


def tool_timeout_s(run: Run) -> None:
    never = threading.Event()

    @tool
    def hang() -> None:
        """Hang."""
        never.wait()

    result = run([ToolCall("hang"), DONE], tools=[hang], config=LoopConfig(tool_timeout_s=0.01))
    never.set()
    assert result.steps[0].tool_result.error_kind == "timeout"


def context_window(run: Run) -> None:
    seen = Seen()
    run([DONE], hooks=[seen], config=LoopConfig(context_window=1234))
    assert seen.events[0].capabilities.context_window == 1234


def cancel_token(run: Run) -> None:
    token = CancelToken()
    token.cancel()
    assert run(MockLLMBackend([DONE]), config=LoopConfig(cancel_token=token)).stop_reason == "cancelled"


def output_schema(run: Run) -> None:
    schema = {"type": "object", "properties": {"amount": {"type": "number"}}, "required": ["amount"]}
    wrong, right = ToolCall("done", {"amount": "much"}), ToolCall("done", {"amount": 2.5})
    result = run([wrong, right], config=LoopConfig(output_schema=schema))
    assert (result.output, len(result.steps)) == ({"amount": 2.5}, 2)
    listed = run([ToolCall("done", {"answer": [1]})], config=LoopConfig(output_schema={"type": "array"}))
    assert listed.output == [1]


FIELDS = {
    check.__name__: check
    for check in (
        max_steps, system_prompt, temperature, max_tokens, llm_timeout_s, extra, done_tool, tool_mode, retries, repairs,
        result_chars, final_answer, stream, max_parallel_calls, tool_timeout_s, context_window, cancel_token,
        output_schema,
    )
}  # fmt: skip


def test_every_setting_is_in_the_table() -> None:
    assert set(FIELDS) == set(LoopConfig._fields)


@pytest.mark.parametrize("run", [run_sync, run_async, run_replayed])
@pytest.mark.parametrize("check", FIELDS.values(), ids=FIELDS.keys())
def test_a_setting_has_its_effect(run: Run, check: Callable[[Run], None]) -> None:
    check(run)


# events

EVENTS = {value for value in vars(events).values() if isinstance(value, type) and issubclass(value, events.Event)}


class Busy:
    """Decides a little of everything."""

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Any:
        return Compact(lambda messages: [messages[0], *messages[-2:]]) if len(ctx.messages) == 5 else None

    def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> Any:
        return Deny("once more") if state.finishing and len(log) < 4 else None


@tool
def slow(ctx: ToolContext) -> str:
    """Tell how far it is."""
    ctx.progress("half")
    return "x" * 50


@tool(needs_approval=True)
def pay() -> str:
    """Pay."""
    return "paid"


@pytest.mark.parametrize("run", [run_sync, run_async])
def test_every_event_is_told(run: Run, tmp_path: Path) -> None:
    seen, folder = Seen(), tmp_path / "run"
    hooks = [seen, Busy(), ApprovalHook(), CheckpointHook(folder)]
    script: list[Any] = [ServerError("busy"), ToolCall("slow"), ToolCall("slow"), DONE, ToolCall("pay")]
    config = LoopConfig(stream=True)
    run(MockLLMBackend(script), tools=[slow, pay], hooks=hooks, config=config)
    resumed = [seen, ApprovalHook()]
    run(MockLLMBackend([DONE]), tools=[slow, pay], hooks=resumed, config=config, resume=Resume(folder, approve()))
    run(['{"tool": "done", "args": {"answer": "x"}}'], hooks=[seen], config=config)
    falls_back = MockLLMBackend([ToolCall("echo", {"text": "a"}), _no_tools, "{}"], capabilities=Capabilities())
    run(falls_back, tools=[echo], hooks=[seen], config=LoopConfig(max_steps=1, final_answer=True, repairs=0))
    assert {type(event) for event in seen.events} == EVENTS - {events.Event}


def _no_tools(prompt: Prompt) -> Any:
    from looplet.errors import ToolsUnsupported

    raise ToolsUnsupported("no tools here")


# hook methods


@pytest.mark.parametrize("run", [run_sync, run_async, run_replayed])
@pytest.mark.parametrize("phase", [phase for phase in METHODS if phase != "on_event"])
def test_every_hook_method_decides(run: Run, phase: str) -> None:
    stops = type("Stops", (), {phase: lambda self, *about: Stop(f"stopped in {phase}")})()
    assert run(MockLLMBackend([say("a"), DONE]), tools=[echo], hooks=[stops]).stop_reason == f"stopped in {phase}"


@pytest.mark.parametrize("phase", [phase for phase in METHODS if phase != "on_event"])
def test_every_hook_method_may_be_async_under_the_async_driver(phase: str) -> None:
    async def method(self: Any, *about: Any) -> Stop:
        return Stop(f"stopped in {phase}")

    stops = type("Stops", (), {phase: method})()
    assert run_async([say("a"), DONE], tools=[echo], hooks=[stops]).stop_reason == f"stopped in {phase}"


# the end


@pytest.mark.parametrize("run", [run_sync, run_replayed, run_traced])  # threads of an async one end when they like
def test_nothing_of_a_run_waits_for_the_garbage_collector(run: Run) -> None:
    hook = Seen()
    seen = weakref.ref(hook)
    with without_collector():
        run(MockLLMBackend([say("a"), DONE]), tools=[echo], hooks=[hook])
        del hook
        assert seen() is None
