"""`composable_loop`: bind what the user gave, hand it to the core, and drive it. Nothing else happens here."""

from __future__ import annotations

import os
import time
import warnings
from typing import TYPE_CHECKING, Any

from looplet import ambient
from looplet._core.finish import teardown
from looplet._core.hook_table import bind_hooks
from looplet._core.loop import loop
from looplet._drivers.performer import Ports, warn
from looplet._drivers.sync import SyncDriver
from looplet.backends.adapter import adapt
from looplet.config import DEFAULT_MAX_STEPS, LoopConfig, whole
from looplet.effects import CallModel
from looplet.result import RunResult
from looplet.state import DefaultState, RunState
from looplet.tools.context import ToolContext
from looplet.tools.execute import execute
from looplet.tools.registry import as_tools

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
    from types import TracebackType

    from looplet.messages import Prompt
    from looplet.protocols import AgentState
    from looplet.tools.registry import BaseToolRegistry
    from looplet.tools.spec import ToolSpec
    from looplet.types import Step, ToolCall, ToolResult

    Tools = BaseToolRegistry | Iterable[ToolSpec | Callable[..., Any]]


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
) -> Run:
    """Return the run of an agent on `task`: an iterator of `Step`s, each finished before you see it.

    llm     a backend, or any object with `generate(prompt, ...) -> str` or `chat(prompt) -> Reply`
    task    a str, a dict or anything; every value of it reaches the model
    tools   a registry, or a list of functions and ToolSpecs; a missing `done` tool is supplied
    context handed to `check_done` hooks as `ctx`, untouched
    hooks   objects with any of the four hook methods or `on_event` (docs/hooks.md)
    state   what hooks see; a DefaultState is made when none is given

    `max_steps` and `system_prompt` beat the config's. Mistakes in these arguments raise TypeError, ValueError or
    HookError here, before anything is sent. Provider failures do not raise: they end the run as `llm_error`.
    """
    capture = ambient.current.get()
    number = len(capture.runs) if capture else 0
    captured_hooks = capture.add() if capture else ()
    run_state, ports = bind(
        llm,
        task,
        tools,
        context,
        [*(hooks or ()), *captured_hooks],
        config,
        state,
        max_steps,
        system_prompt,
        labels=capture.labels if capture else {},
    )
    run = Run(run_state, ports)
    if capture:
        capture.runs[number] = run
    return run


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

    Nothing is sent and no trace is written.
    """
    run_state, _ = bind(llm, task, tools, context, hooks or (), config, state, max_steps, system_prompt, labels={})
    for effect in loop(run_state):
        if isinstance(effect, CallModel):
            return effect.prompt
    raise ValueError(f"a hook stopped the run before its first prompt: {run_state.stop}")


def bind(
    llm: Any,
    task: Any,
    tools: Tools | None,
    context: Any,
    hooks: Iterable[object],
    config: LoopConfig | None,
    state: AgentState | None,
    max_steps: int | None,
    system_prompt: str | None,
    *,
    labels: dict[str, Any],
) -> tuple[RunState, Ports]:
    """Check every argument and make the run's state and its connections to the outside."""
    config = (config or LoopConfig()).check()
    if system_prompt is not None:
        config = config.replace(system_prompt=system_prompt).check()
    if task is None:
        raise ValueError("composable_loop(task=None): say what the agent should do, as a str, a dict or any value")
    model = adapt(llm)
    if getattr(model, "is_async", False):
        raise TypeError(f"{type(llm).__name__} is async; a sync run needs its sync form")
    specs = as_tools(tools, config.done_tool)
    view = state if state is not None else DefaultState()
    check_view(view)
    table = bind_hooks(hooks, allow_async=False)
    run_state = RunState(
        run_id=os.urandom(8).hex(),
        task=task,
        context=context,
        config=config,
        budget=resolve_budget(max_steps, config, view),
        tools=specs,
        hooks=table,
        capabilities=lambda: model.capabilities,
        model_name=model.name,
        view=view,
        labels=labels,
    )
    if isinstance(view, DefaultState):
        view.bind(run_state)
    tool_context = ToolContext(task=task, llm=llm)

    def run_tool(call: ToolCall) -> ToolResult | Awaitable[ToolResult]:
        return execute(specs[call.tool], call, tool_context)

    return run_state, Ports(model.chat, run_tool, table, sleeps=not getattr(model, "no_sleep", False))


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
            stacklevel=4,
        )
    return max_steps or config.max_steps or view.max_steps or DEFAULT_MAX_STEPS


class Run:
    """One execution of an agent: iterate it for its steps, then read `result`.

    A `break` out of `for step in composable_loop(...)` ends it. A run you gave a name stays open after `break`, and
    going on iterating continues it; `close()` or leaving a `with` block ends it.
    """

    def __init__(self, state: RunState, ports: Ports) -> None:
        self._state = state
        self._ports = ports
        self._driver = SyncDriver(loop(state), ports)
        self._advancing = False
        self._finished = False
        self._began: float | None = None
        self._duration = 0.0

    def __iter__(self) -> Iterator[Step]:
        return self

    def __next__(self) -> Step:
        if self._advancing:
            raise RuntimeError("next() on a run from inside one of its own hooks, tools or backends")
        if self._finished:
            raise StopIteration
        if self._began is None:
            self._began = time.perf_counter()
        self._advancing = True
        try:
            step = self._driver.advance()
        except BaseException as error:
            self._advancing = False
            reason = "error" if isinstance(error, Exception) else "cancelled"
            self._finish(reason, f"{type(error).__name__}: {error}")
            raise
        self._advancing = False
        if step is None:
            self._finish(self._state.stop or "error")
            raise StopIteration
        return step

    def close(self) -> None:
        """End the run here; its stop reason is `closed` unless it had one already. Closing twice is harmless."""
        if self._advancing:
            raise RuntimeError("close() on a run from inside one of its own hooks; answer Stop(reason) instead")
        self._finish("closed")

    def __enter__(self) -> Run:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self._finish("error", f"{type(error).__name__}: {error}")
        self.close()

    def __del__(self) -> None:
        if getattr(self, "_driver", None) is not None and not self._advancing:
            self._finish("closed")

    @property
    def state(self) -> AgentState:
        """The state hooks see."""
        return self._state.view

    @property
    def result(self) -> RunResult:
        """What the run left behind; while it is open, what it left so far, with the stop reason `running`."""
        state = self._state
        trace_dir = next((str(journal.dir) for journal in state.hooks.journals if hasattr(journal, "dir")), None)
        return RunResult(
            stop_reason=state.stop or "running",
            task=state.task,
            output=state.output,
            steps=tuple(state.steps),
            errors=tuple(state.errors),
            usage=state.usage,
            duration=self._duration,
            trace_dir=trace_dir,
        )

    def _finish(self, reason: str, error: str | None = None) -> None:
        if self._finished:
            return
        self._finished = True
        if self._began is None:  # never started: there is nothing to tell anybody
            self._state.end(reason, error)
            return
        self._duration = time.perf_counter() - self._began
        self._driver.finish(teardown(self._state, reason, error, self._duration))
        if self._state.stop == "llm_error" and not self._state.steps:  # else a beginner's `for` just prints nothing
            warn(f"the run ended before its first step: {self._state.errors[-1]}")
