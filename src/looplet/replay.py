"""`replay_loop`: run a recorded agent again, against its own recording."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from looplet._core.validate import validate
from looplet.config import LoopConfig
from looplet.events import CallFinished, CallStarted
from looplet.loop import composable_loop
from looplet.tools.spec import ToolSpec
from looplet.trace.directory import JOURNAL
from looplet.trace.jsonable import canonical, jsonable
from looplet.trace.read import Trace, read_journal
from looplet.trace.replay import ReplayBackend
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Sequence

    from looplet.bind import Tools
    from looplet.run import Run
    from looplet.trace.replay import OnMiss


def replay_loop(
    path: str | os.PathLike[str],
    tools: Tools | Literal["recorded"] | None = None,
    hooks: Sequence[object] | None = None,
    config: LoopConfig | None = None,
    on_miss: OnMiss = "strict",
) -> Run:
    """Return the run recorded in the trace `path`, played again: no network, no sleep.

    Task, budget and settings are the recorded ones unless `config` is given. `tools` are the agent's own, which then
    really run; None or "recorded" answers the calls from the trace, too. Give the hooks that shaped the prompts.
    """
    if not (Path(path) / JOURNAL).is_file():
        read_journal(path)  # raises the error that says what is there instead
    backend = ReplayBackend(path, on_miss=on_miss)
    header = backend.header
    if isinstance(tools, str) and tools != "recorded":
        raise ValueError(f'tools={tools!r}: give a registry, a list of tools, or "recorded"')
    max_steps: int = (config and config.max_steps) or header["max_steps"]
    if tools is None or isinstance(tools, str):
        trace = read_journal(path)
        tools = recorded_tools(trace)
        max_steps = max(max_steps, len(trace.steps))  # which tools were free of charge is not recorded
    return composable_loop(
        backend,
        task=header.get("task"),
        tools=tools,
        hooks=hooks,
        config=config or recorded_config(header),
        max_steps=max_steps,
    )


def recorded_config(header: dict[str, Any]) -> LoopConfig:
    """The LoopConfig a trace's header describes; what it does not mention has its default."""
    settings = {**header.get("settings", {}), "system_prompt": header.get("system", "")}
    if "timeout_s" in settings:
        settings["llm_timeout_s"] = settings["timeout_s"]
    return LoopConfig(**{name: settings[name] for name in LoopConfig._fields if name in settings})


def recorded_tools(trace: Trace) -> list[ToolSpec]:
    """The recorded tools, which do nothing but answer with the recorded result of the same call, in order."""
    results: dict[tuple[str, bytes], deque[ToolResult]] = {}
    tools = [_recorded_tool(schema, results) for schema in trace.header.get("tools", ())]
    asked: dict[int, ToolCall] = {}
    by_name = {tool.name: tool for tool in tools}
    for event in trace.events:
        if isinstance(event, CallStarted):
            asked[event.step] = event.asked
        elif isinstance(event, CallFinished):
            result = _without_notes(event.result, asked.get(event.step, event.tool_call), by_name)
            results.setdefault(_key(event.tool_call.tool, event.tool_call.args), deque()).append(result)
    return tools


def _without_notes(result: ToolResult, asked: ToolCall, tools: dict[str, ToolSpec]) -> ToolResult:
    """Take off what the validation of the arguments noted: it will note the same again."""
    valid = validate(asked, tools)
    notes = () if isinstance(valid, ToolResult) else valid[1]
    return result.replace(warnings=result.warnings[len(notes) :]) if result.warnings[: len(notes)] == notes else result


def _recorded_tool(schema: dict[str, Any], results: dict[tuple[str, bytes], deque[ToolResult]]) -> ToolSpec:
    name = schema["name"]

    def execute(**args: Any) -> ToolResult:
        waiting = results.get(_key(name, args))
        if waiting:
            return waiting.popleft()
        message = f"the recording holds no (further) result of {name} with these arguments"
        return ToolResult(name, error=message, error_kind=ErrorKind.EXECUTION)

    run: Callable[..., ToolResult] = execute
    return ToolSpec(name, schema["description"], schema["parameters"], run)


def _key(tool: str, args: dict[str, Any]) -> tuple[str, bytes]:
    return tool, canonical(jsonable(args))
