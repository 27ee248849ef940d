"""The public API as a user writes it. Never executed: `mypy --strict` reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_type

import looplet
from looplet import (
    Allow,
    ApprovalHook,
    AsyncRun,
    BaseToolRegistry,
    CancelToken,
    CheckpointHook,
    Compact,
    ContextPressureHook,
    DebugHook,
    DefaultState,
    Deny,
    EvalHook,
    FallbackBackend,
    InjectContext,
    LimitHook,
    LoopConfig,
    LoopHook,
    Message,
    MetricsHook,
    MockLLMBackend,
    PermissionHook,
    PermissionRule,
    Prompt,
    ProvenanceSink,
    Prune,
    Reply,
    Resume,
    Run,
    RunResult,
    StagnationHook,
    Step,
    Stop,
    Summarize,
    ThresholdCompactHook,
    ToolCall,
    ToolContext,
    ToolResult,
    ToolSpec,
    TracingHook,
    Truncate,
    Usage,
    approve,
    async_composable_loop,
    compact_chain,
    composable_loop,
    load_trace,
    preview_prompt,
    replay_loop,
    tool,
)
from looplet.backends import AnthropicBackend, OpenAIBackend
from looplet.events import ModelChunk, ModelReplied, RunResumed, ToolProgress
from looplet.testing import first_divergence

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence
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
        match event:
            case ModelReplied():
                assert_type(event.reply, Reply)
            case ModelChunk():
                assert_type(event.text, str)
            case ToolProgress():
                assert_type(event.message, str)
            case RunResumed():
                assert_type(event.pending, ToolCall | None)


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


@tool(timeout_s=2.5, concurrent_safe=True, needs_approval=True, idempotent=True)
def refund(order: int, ctx: ToolContext) -> str:
    """Pay back."""
    ctx.progress("half way")
    assert_type(ctx.approved, bool)
    assert_type(ctx.cancel_token, CancelToken | None)
    return "paid"


async def ask_somebody(tool_call: ToolCall) -> bool | str:
    return tool_call.args["order"] == 17 or "not this one"


def shortest(messages: Sequence[Message]) -> Sequence[Message]:
    return messages[:1]


def with_summary(messages: Sequence[Message]) -> Generator[Prompt, Reply, Sequence[Message]]:
    reply = yield Prompt("Summarise.", (Message("user", "..."),))
    return [messages[0], Message("assistant", reply.text)]


def eval_short(run: RunResult) -> bool:
    return len(run.steps) < 5


def ready_made() -> list[LoopHook]:
    rules = [
        PermissionRule("read_*", "allow"),
        PermissionRule("write", "ask", args={"path": lambda path: path.startswith("src/")}),
        PermissionRule("*", "deny", args=lambda call: "secret" in call.args, reason="no secrets"),
    ]
    compacting = ThresholdCompactHook(compact_chain(Prune(keep=2), Summarize, Truncate, with_summary), at=0.7)
    metrics = MetricsHook()
    assert_type(metrics.summary(), dict[str, Any])
    return [
        PermissionHook(rules, default="deny", handler=ask_somebody),
        ApprovalHook(ask_somebody, rules=rules),
        ApprovalHook(when=lambda tool_call: tool_call.tool == "rm"),
        LimitHook(calls={"search": 3}, tokens=10_000, cost=0.5, seconds=60),
        StagnationHook(repeats=4, ignore=["wait"]),
        ContextPressureHook(at=0.9),
        compacting,
        Prune(),
        EvalHook(eval_short, every=5, reject_below=0.5),
        DebugHook(),
        metrics,
        TracingHook(provider="openai", agent="shop"),
        CheckpointHook("runs/1", fsync=True),
    ]


Compact(shortest)
Compact(with_summary)
Compact(compact_chain(Truncate))


def resumed(folder: Path) -> Run:
    token = CancelToken()
    token.cancel_call("call_1")
    config = LoopConfig(
        stream=True,
        max_parallel_calls=8,
        tool_timeout_s=30,
        context_window=8_000,
        cancel_token=token,
        output_schema={"type": "object", "properties": {"amount": {"type": "number"}}},
    )
    llm = FallbackBackend([OpenAIBackend.from_env(), AnthropicBackend(model="m", api_key="k")])
    composable_loop(llm, "refund", [refund], config=config, resume=folder)
    composable_loop(llm, "refund", [refund], resume=Resume(folder, Deny("no")))
    return composable_loop(llm, "refund", [refund], resume=Resume(folder, approve({"order": 18})))


async def asynchronous() -> None:
    async with async_composable_loop(MockLLMBackend(["hi"]), "greet", [greet, later]) as run:
        assert_type(run, AsyncRun)
        async for step in run:
            assert_type(step.pretty(), str)


assert_type(preview_prompt(MockLLMBackend([]), "greet", [greet]), Prompt)
prompts = MockLLMBackend([]).prompts
assert_type(first_divergence(prompts[0], prompts[1]), str | None)
assert_type(replay_loop("traces/run_1", tools="recorded"), Run)

# mistakes that a type checker should find
LoopConfig(max_step=3)  # type: ignore[call-arg]
LoopConfig(tool_mode="magic")  # type: ignore[arg-type]
Deny(retry=True)  # type: ignore[call-arg]
PermissionRule("rm", "forbid")  # type: ignore[arg-type]
LimitHook(token=5)  # type: ignore[call-arg]
Resume()  # type: ignore[call-arg]
approve("yes")  # type: ignore[arg-type]
ToolCall("greet").args = {}  # type: ignore[misc]
looplet.composable_lop  # type: ignore[attr-defined]  # noqa: B018
