"""`composable_loop` and its async twin: bind what the user gave, hand it to the core, let a driver run it."""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any

from looplet import ambient
from looplet._core.loop import loop
from looplet.bind import Asked, bind
from looplet.effects import AwaitHook, CallModel
from looplet.errors import HookError
from looplet.run import Run

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence
    from typing import TypeVar

    from looplet._drivers.performer import Ports
    from looplet.async_run import AsyncRun
    from looplet.bind import Tools
    from looplet.config import LoopConfig
    from looplet.messages import Prompt
    from looplet.protocols import AgentState
    from looplet.resume import Resume
    from looplet.state import RunState

    R = TypeVar("R")


def composable_loop(
    llm: Any,
    task: Any = None,
    tools: Tools | None = None,
    context: Any = None,
    hooks: Sequence[object] | None = None,
    config: LoopConfig | None = None,
    state: AgentState | None = None,
    *,
    max_steps: int | None = None,
    system_prompt: str | None = None,
    resume: str | os.PathLike[str] | Resume | None = None,
) -> Run:
    """Return the run of an agent on `task`: an iterator of `Step`s, each finished before you see it.

    llm     a backend, or any object with `generate(prompt, ...) -> str` or `chat(prompt) -> Reply`
    task    a str, a dict or anything; every value of it reaches the model
    tools   a registry, or a list of functions and ToolSpecs; a missing `done` tool is supplied
    context handed to `check_done` hooks as `ctx`, untouched
    hooks   objects with any of the four hook methods or `on_event` (docs/hooks.md)
    state   what hooks see; a DefaultState is made when none is given
    resume  the directory of a CheckpointHook: go on with the unfinished run in it, or begin one there;
            Resume(dir, approve()) also answers the call that waits for approval

    `max_steps` and `system_prompt` beat the config's. Mistakes in these arguments raise TypeError, ValueError or
    HookError here, before anything is sent. Provider failures do not raise: they end the run as `llm_error`.
    """
    asked = Asked(llm, task, tools, context, hooks, config, state, max_steps, system_prompt, resume)
    return _start(Run, asked, allow_async=False)


def async_composable_loop(
    llm: Any,
    task: Any = None,
    tools: Tools | None = None,
    context: Any = None,
    hooks: Sequence[object] | None = None,
    config: LoopConfig | None = None,
    state: AgentState | None = None,
    *,
    max_steps: int | None = None,
    system_prompt: str | None = None,
    resume: str | os.PathLike[str] | Resume | None = None,
) -> AsyncRun:
    """`composable_loop` for `async for`: the same arguments, and hooks, tools and backends may be async.

    `async with async_composable_loop(...) as run: async for step in run: ...`
    """
    from looplet.async_run import AsyncRun  # asyncio is loaded only for those who use it

    asked = Asked(llm, task, tools, context, hooks, config, state, max_steps, system_prompt, resume)
    return _start(AsyncRun, asked, allow_async=True)


def preview_prompt(
    llm: Any,
    task: Any = None,
    tools: Tools | None = None,
    context: Any = None,
    hooks: Sequence[object] | None = None,
    config: LoopConfig | None = None,
    state: AgentState | None = None,
    *,
    max_steps: int | None = None,
    system_prompt: str | None = None,
) -> Prompt:
    """Return the first prompt `composable_loop` would send with these arguments, hooks and redaction applied.

    Nothing is sent, no trace is written, and `state` stays unused; `pre_prompt` hooks are really called. Async hooks
    are refused: nothing awaits them here.
    """
    own_state = copy(state)
    asked = Asked(llm, task, tools, context, hooks, config, own_state, max_steps, system_prompt)
    run_state, ports, _ = bind(asked, allow_async=True)
    ports.look()
    for effect in loop(run_state):
        if isinstance(effect, CallModel):
            return effect.prompt
        if isinstance(effect, AwaitHook):
            effect.awaitable.close()
            raise HookError("preview_prompt cannot await an async hook; preview without it")
    raise ValueError(f"a hook stopped the run before its first prompt: {run_state.stop}")


def _start(kind: Callable[[RunState, Ports, AgentState], R], asked: Asked, *, allow_async: bool) -> R:
    """Make the run, and let whoever captures runs in this context (the pytest plugin) have it too."""
    capture = ambient.current.get()
    if capture is None:
        return kind(*bind(asked, allow_async=allow_async))
    return capture.start(
        lambda hooks, labels: kind(*bind(asked, allow_async=allow_async, more_hooks=hooks, labels=labels))
    )
