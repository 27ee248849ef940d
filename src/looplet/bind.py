"""Turn what the user gave into the core's state and its connections to the outside, checking everything once."""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING, Any

from looplet._core.hook_table import bind_hooks
from looplet._drivers.performer import Announcer, Ports
from looplet._record import Record
from looplet.backends.adapter import adapt
from looplet.config import DEFAULT_MAX_STEPS, LoopConfig, whole
from looplet.events import ToolProgress
from looplet.state import DefaultState, RunState
from looplet.tools.context import ToolContext
from looplet.tools.execute import execute
from looplet.tools.registry import as_tools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence
    from typing import TypeAlias

    from looplet.protocols import AgentState
    from looplet.tools.registry import BaseToolRegistry
    from looplet.tools.spec import ToolSpec
    from looplet.types import ToolCall, ToolResult

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


def bind(
    asked: Asked, *, allow_async: bool, more_hooks: Sequence[object] = (), labels: dict[str, Any] | None = None
) -> tuple[RunState, Ports]:
    """Check every argument and make the run's state and its ports. Raises TypeError, ValueError or HookError."""
    if asked.task is None:
        raise ValueError("composable_loop(task=None): say what the agent should do, as a str, a dict or any value")
    config = asked.config or LoopConfig()
    if asked.system_prompt is not None:
        config = config.replace(system_prompt=asked.system_prompt)
    model = adapt(asked.llm)
    chat_is_async = bool(getattr(model, "is_async", False))
    if chat_is_async and not allow_async:
        raise TypeError(f"{type(asked.llm).__name__} is async; use async_composable_loop, or its sync form")
    tools = as_tools(asked.tools, config.done_tool)
    view = asked.state if asked.state is not None else DefaultState()
    check_view(view)
    hooks = bind_hooks([*(asked.hooks or ()), *more_hooks], allow_async=allow_async)
    state = RunState(
        run_id=os.urandom(8).hex(),
        task=asked.task,
        context=asked.context,
        config=config,
        budget=resolve_budget(asked.max_steps, config, view),
        tools=tools,
        hooks=hooks,
        capabilities=lambda: model.capabilities,
        model_name=model.name,
        view=view,
        labels=labels or {},
    )
    if isinstance(view, DefaultState):
        view.bind(state)
    announcer, metadata = Announcer(hooks), getattr(view, "metadata", {})

    def run_tool(call: ToolCall) -> ToolResult | Awaitable[ToolResult]:
        context = ToolContext(
            asked.task, asked.llm, metadata, lambda message: announcer.show(ToolProgress(call.tool, message))
        )
        return execute(tools[call.tool], call, context)

    return state, Ports(model.chat, run_tool, announcer, chat_is_async, sleeps=not getattr(model, "no_sleep", False))


def check_view(view: object) -> None:
    for name in ("max_steps", "steps"):
        if not hasattr(view, name):
            raise TypeError(f"state={type(view).__name__}() has no {name!r}; a state needs max_steps and a list steps")
    if view.steps:  # type: ignore[attr-defined]  # checked above
        raise ValueError(f"state={type(view).__name__}() already holds steps; give every run a new state")


def resolve_budget(max_steps: int | None, config: LoopConfig, view: AgentState) -> int:
    """The argument beats LoopConfig, which beats the state, which beats 15."""
    whole("max_steps", max_steps, least=1, optional=True)
    whole(f"{type(view).__name__}.max_steps", view.max_steps, least=1, optional=True)
    if max_steps is None and None not in (config.max_steps, view.max_steps) and config.max_steps != view.max_steps:
        warnings.warn(
            f"LoopConfig(max_steps={config.max_steps}) and {type(view).__name__}(max_steps={view.max_steps}) disagree; "
            f"the config's {config.max_steps} is used",
            stacklevel=5,
        )
    return max_steps or config.max_steps or view.max_steps or DEFAULT_MAX_STEPS
