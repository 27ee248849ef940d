"""Turn what the user gave into the core's state and its connections to the outside, checking everything once."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from looplet._core.hook_table import bind_hooks
from looplet._core.prompt import task_text
from looplet._core.save import budget_of, restore
from looplet._drivers.performer import Announcer, Ports, warn
from looplet._record import Record
from looplet.backends.adapter import adapt
from looplet.config import DEFAULT_MAX_STEPS, LoopConfig, whole
from looplet.decisions import approval
from looplet.errors import HookError
from looplet.events import ModelChunk, ToolProgress
from looplet.messages import Capabilities, Reply
from looplet.state import DefaultState, RunState
from looplet.tools.context import ToolContext
from looplet.tools.execute import execute
from looplet.tools.registry import as_tools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from looplet._core.hook_table import HookTable
    from looplet.backends.streaming import OnChunk
    from looplet.effects import Decided
    from looplet.messages import Prompt
    from looplet.protocols import AgentState, Model
    from looplet.resume import Resume
    from looplet.tools.registry import BaseToolRegistry
    from looplet.tools.spec import ToolSpec
    from looplet.trace.read import Trace
    from looplet.types import ToolResult

    Tools: TypeAlias = BaseToolRegistry | Sequence[ToolSpec | Callable[..., Any]]


class Asked(Record):
    """The arguments of `composable_loop`, as they were given."""

    llm: Any
    task: Any
    tools: Tools | None
    context: Any
    hooks: Sequence[object] | None
    config: LoopConfig | None
    state: AgentState | None
    max_steps: int | None
    system_prompt: str | None
    resume: str | os.PathLike[str] | Resume | None = None


def bind(
    asked: Asked, *, allow_async: bool, more_hooks: Sequence[object] = (), labels: dict[str, Any] | None = None
) -> tuple[RunState, Ports, AgentState]:
    """Check every argument and make the run's state, its ports and what hooks see of it."""
    config = checked_config(asked)
    model = adapt(asked.llm)
    if is_async(model) and not allow_async:
        raise TypeError(f"{type(asked.llm).__name__} is async; use async_composable_loop, or its sync form")
    given = [*checked_hooks(asked.hooks), *more_hooks]
    past, answer = past_of(asked, given)
    task = past.header["task"] if past is not None and asked.task is None else checked_task(asked.task)
    view = asked.state if asked.state is not None else DefaultState()
    check_view(view)
    hooks = bind_hooks(given, allow_async=allow_async)
    check_journals(hooks)
    state = RunState(
        run_id=past.header["run_id"] if past is not None else os.urandom(8).hex(),
        task=task,
        context=asked.context,
        config=config,
        budget=resolve_budget(asked.max_steps, config, view, budget_of(past.events) if past is not None else None),
        tools=as_tools(asked.tools, config.done_tool, config.output_schema),
        hooks=hooks,
        model_name=model.name,
        view=view,
        labels=labels or {},
    )
    if isinstance(view, DefaultState):
        view.bind(state)
    if past is not None:
        restore(state, past.events, answer)
    if answer is not None:
        check_answer_is_wanted(answer, state)
    return state, make_ports(asked, state, model, getattr(view, "metadata", {})), view


def past_of(asked: Asked, given: list[object]) -> tuple[Trace | None, Any]:
    """The run to go on with and the answer it waits for; `given` gets the CheckpointHook that keeps it."""
    if asked.resume is None:
        return None, None
    from looplet.resume import take_up  # reads traces, which only a resumed run needs

    past, answer, keeper = take_up(asked.resume, asked.task, given)
    given += keeper
    return past, None if answer is None else approval(answer)


def make_ports(asked: Asked, state: RunState, model: Model, metadata: dict[str, Any]) -> Ports:
    """Connect the run to its model, its tools and whoever is told."""
    config, announcer = state.config, Announcer(state.hooks)
    tools: dict[str, ToolSpec] = state.tools  # type: ignore[assignment]  # as_tools made them

    def look() -> None:
        state.capabilities = checked_capabilities(model, config)

    def run_tool(decision: Decided) -> ToolResult | Awaitable[ToolResult]:
        call = decision.call
        context = ToolContext(
            state.task,
            asked.llm,
            metadata,
            lambda message: announcer.show(ToolProgress(call.tool, message)),
            cancel_token=config.cancel_token,
            approved=decision.approved,
        )
        return execute(tools[call.tool], call, context)

    chat = chatting(model, config, announcer)
    sleeps = not getattr(model, "no_sleep", False)
    return Ports(chat, look, run_tool, announcer, is_async(model), sleeps, config.cancel_token)


def is_async(model: Model) -> bool:
    return bool(getattr(model, "is_async", False))


def check_journals(hooks: HookTable) -> None:
    """Each journal has its own directory; a pause that nothing keeps is said at once."""
    seen: dict[str, str] = {}
    for journal in hooks.journals if len(hooks.journals) > 1 else ():
        folder, name = getattr(journal, "dir", None), type(journal).__name__
        if folder is None:
            continue
        place = os.path.realpath(folder)
        if place in seen:
            raise HookError(f"{name} and {seen[place]} cannot share {str(folder)!r}; give each a directory of its own")
        seen[place] = name
    if hooks.pauses and not hooks.checkpoints:
        warnings.warn(
            "ApprovalHook() without a handler pauses the run, and without a CheckpointHook the pause dies with the "
            "process; add CheckpointHook(dir), or give ApprovalHook(handler)",
            stacklevel=6,
        )


def check_answer_is_wanted(answer: object, state: RunState) -> None:
    """An answer given with `Resume` is for one call, and an ApprovalHook hands it over."""
    waiting = state.pending_approval
    if waiting is None:
        warn(f"resume: no call waits for an answer; {answer!r} is not used")
    elif not state.hooks.approves:
        raise HookError(
            f"Resume(..., {answer!r}) answers the call of {waiting.tool!r} that waits, but nothing in this run takes "
            "it up; add ApprovalHook() to hooks"
        )


def chatting(model: Model, config: LoopConfig, announcer: Announcer) -> Callable[[Prompt, int], Any]:
    """How this run makes a request: whole, or in pieces that watchers see."""
    if not config.stream:
        return lambda prompt, _call: model.chat(prompt)
    stream = getattr(model, "stream", None)

    def pieces(prompt: Prompt, call: int) -> Any:
        def on_chunk(text: str, reasoning: bool = False) -> None:
            announcer.show(ModelChunk(call, text, reasoning))

        return stream(prompt, on_chunk) if stream is not None else in_one_piece(model.chat(prompt), on_chunk)

    return pieces


def in_one_piece(reply: Any, on_chunk: OnChunk) -> Any:
    """The reply of a model that cannot stream, shown when it is there."""
    if hasattr(reply, "__await__"):

        async def later() -> Any:
            return in_one_piece(await reply, on_chunk)

        return later()
    if isinstance(reply, Reply):  # the core refuses anything else
        from looplet.backends.streaming import show_whole  # reads streams, too, which this run has none of

        show_whole(reply, on_chunk)
    return reply


def checked_task(task: Any) -> Any:
    if task is None or not task_text(task).strip():
        raise ValueError(f"composable_loop(task={task!r}): say what the agent should do, as a str, a dict or any value")
    return task


def checked_config(asked: Asked) -> LoopConfig:
    config = asked.config if asked.config is not None else LoopConfig()
    if not isinstance(config, LoopConfig):
        raise TypeError(f"config is a {type(config).__name__}; give a LoopConfig(...)")
    return config if asked.system_prompt is None else config.replace(system_prompt=asked.system_prompt)


def checked_hooks(hooks: object) -> Sequence[object]:
    if hooks is not None and not isinstance(hooks, (list, tuple)):
        name = type(hooks).__name__
        raise TypeError(f"hooks is a {name}; give a list of hooks: hooks=[{name}()]")
    return hooks or ()


def checked_capabilities(model: Model, config: LoopConfig) -> Capabilities:
    """What the model can do right now. Asking may mean a request to the server."""
    found = model.capabilities
    if config.context_window is not None and isinstance(found, Capabilities):
        found = found.replace(context_window=config.context_window)
    if not isinstance(found, Capabilities):
        raise TypeError(
            f"the capabilities of model {model.name!r} are a {type(found).__name__}; give a Capabilities(...)"
        )
    if config.tool_mode == "native" and not found.native_tools:
        raise ValueError(f"LoopConfig(tool_mode='native'): model {model.name!r} takes no native tool calls; use 'auto'")
    return found


def check_view(view: object) -> None:
    kind = type(view).__name__
    for name in ("max_steps", "steps"):
        if not hasattr(view, name):
            raise TypeError(f"state={kind}() has no {name!r}; a state needs max_steps and a list steps")
    steps = view.steps  # type: ignore[attr-defined]  # checked above
    if not isinstance(steps, list):
        raise TypeError(f"{kind}.steps is a {type(steps).__name__}; the loop appends to it, so make it a list")
    if steps:
        raise ValueError(f"state={kind}() already holds steps; give every run a new state")


def resolve_budget(max_steps: int | None, config: LoopConfig, view: AgentState, past: int | None = None) -> int:
    """The argument beats LoopConfig, which beats the state, which beats what a resumed run had, which beats 15."""
    whole("max_steps", max_steps, least=1, optional=True)
    whole(f"{type(view).__name__}.max_steps", view.max_steps, least=1, optional=True)
    if max_steps is None and None not in (config.max_steps, view.max_steps) and config.max_steps != view.max_steps:
        warnings.warn(
            f"LoopConfig(max_steps={config.max_steps}) and {type(view).__name__}(max_steps={view.max_steps}) disagree; "
            f"the config's {config.max_steps} is used",
            stacklevel=5,
        )
    return max_steps or config.max_steps or view.max_steps or past or DEFAULT_MAX_STEPS
