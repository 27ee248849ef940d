"""The public API as a user writes it. Never executed: `mypy --strict` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import looplet
from looplet import (
    Allow,
    AsyncRun,
    BaseToolRegistry,
    Compact,
    DefaultState,
    Deny,
    InjectContext,
    LoopConfig,
    LoopHook,
    MockLLMBackend,
    Prompt,
    ProvenanceSink,
    Reply,
    Run,
    RunResult,
    Step,
    Stop,
    ToolCall,
    ToolContext,
    ToolResult,
    ToolSpec,
    Usage,
    async_composable_loop,
    composable_loop,
    load_trace,
    preview_prompt,
    replay_loop,
    tool,
)
from looplet.backends import OpenAIBackend
from looplet.events import ModelReplied

if TYPE_CHECKING:
    from pathlib import Path


@tool
def greet(name: str, ctx: ToolContext) -> str:
    """Greet someone."""
    ctx.warn("quietly")
    return f"Hello, {name}!"


@tool(name="slow_greet", description="Greet later.")
async def later(name: str) -> str:
    return f"Hello, {name}."


specs: list[ToolSpec] = [greet, later]
assert_type(greet("Alice", ToolContext()), str)  # a tool is still the function it was made of

registry = BaseToolRegistry()
registry.register(greet)
registry.register(
    ToolSpec(name="add", description="Add.", parameters={"a": "int", "b": "int"}, execute=lambda *, a, b: a + b)
)
assert_type(registry.dispatch(ToolCall("add", {"a": 1, "b": 2})), ToolResult)


class Guard:
    """Hooks need no base class; annotations are optional."""

    def pre_prompt(self, state: DefaultState, log: Any, ctx: Prompt, step: int) -> Prompt | InjectContext | None:
        return ctx.map_text(str.strip) if step > 1 else InjectContext("first")

    def pre_dispatch(
        self, state: DefaultState, log: Any, tool_call: ToolCall, step: int
    ) -> Deny | Allow | ToolResult | Stop | None:
        if tool_call.tool == "rm":
            return Deny("no", retry=True)
        return Allow(args={"name": "Bob"})

    def post_dispatch(
        self, state: DefaultState, log: Any, tool_call: ToolCall, tool_result: ToolResult, step: int
    ) -> str | None:
        return tool_result.error

    def check_done(self, state: DefaultState, log: Any, ctx: Any, step: int) -> Stop | None:
        return Stop("enough") if state.usage.total_tokens > 10 else None

    def on_event(self, event: object) -> None:
        if isinstance(event, ModelReplied):
            assert_type(event.reply, Reply)


hook: LoopHook = Guard()
Compact()


def sync(folder: Path) -> RunResult:
    llm = OpenAIBackend(model="m", base_url="http://localhost/v1", api_key="k", temperature=0.0)
    config = LoopConfig(max_steps=3, temperature=0.1, tool_mode="text")
    with composable_loop(
        llm=llm,
        task={"goal": "greet"},
        tools=registry,
        hooks=[Guard(), ProvenanceSink(folder, redact=True)],
        config=config,
        state=DefaultState(max_steps=3),
    ) as run:
        assert_type(run, Run)
        for step in run:
            assert_type(step, Step)
            assert_type(step.usage, Usage)
            assert_type(step.tool_result.error, str | None)
    assert_type(run.result.tool_sequence, list[str])
    assert_type(run.result.cost, float | None)
    return load_trace(folder)


async def asynchronous() -> None:
    async with async_composable_loop(MockLLMBackend(["hi"]), "greet", [greet, later]) as run:
        assert_type(run, AsyncRun)
        async for step in run:
            assert_type(step.pretty(), str)


assert_type(preview_prompt(MockLLMBackend([]), "greet", [greet]), Prompt)
assert_type(replay_loop("traces/run_1", tools="recorded"), Run)

# mistakes that a type checker should find
LoopConfig(max_step=3)  # type: ignore[call-arg]
LoopConfig(tool_mode="magic")  # type: ignore[arg-type]
Deny(retry=True)  # type: ignore[call-arg]
ToolCall("greet").args = {}  # type: ignore[misc]
looplet.composable_lop  # type: ignore[attr-defined]  # noqa: B018
