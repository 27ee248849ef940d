"""Runs killed with `kill -9`: `python -m tests.support.killed_runs PLAN.json`.

Forks one child for each entry of the plan from a process that has imported everything, so that two hundred kills take
seconds. A child reports every event to a file of its own *after* the journal's `write()` returned, and is killed

    {"line": N, "part": 0.4}   by itself, after it wrote this part of its Nth line (0 nothing, 1 all of it)
    {"file": N, "part": 0.4}   by itself, in the middle of the Nth file that is written whole (a blob, trace.txt)
    {"reports": N}             by its parent, some time after its Nth report
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.resuming import Scripted, double, fail, newest, square

from looplet import (
    CheckpointHook,
    Compact,
    Deny,
    LoopConfig,
    Prompt,
    ProvenanceSink,
    Reply,
    ToolCall,
    tool,
)
from looplet.errors import ServerError
from looplet.events import CallFinished, ModelCalled, Saved, StepFinished
from looplet.loop import composable_loop

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.events import Event
    from looplet.run import Run

SCRIPT: list[Any] = [
    ToolCall("double", {"n": 1}),
    ServerError("busy"),
    [ToolCall("square", {"n": 2}), ToolCall("square", {"n": 3}), ToolCall("fail", {"n": 4})],
    Reply("this reply was cut o", finish_reason="length"),
    ToolCall("export", {}),
    ToolCall("forbidden", {}),
    ToolCall("double", {"n": "five"}),
    ToolCall("double", {"n": 6}),
    ToolCall("done", {"answer": "käse"}),
]


@tool(idempotent=True)
def export() -> list[str]:
    """More than a line of a journal holds."""
    return [f"row {number}" for number in range(10_000)]


@tool(idempotent=True)
def forbidden() -> str:
    """Never runs."""
    return "ran"


class Rules:
    """Shortens the conversation when it has grown, and denies a call; remembers nothing."""

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact | None:
        return Compact(newest) if len(ctx.messages) > 6 else None

    def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Deny | None:
        return Deny("not this one") if tool_call.tool == "forbidden" else None


CONFIG = LoopConfig(max_steps=12)


def agent(*journals: object, asked: int = 0, resume: Path | None = None) -> Run:
    return composable_loop(
        Scripted(SCRIPT, asked),
        task={"goal": "compute"},
        tools=[double, square, fail, export, forbidden],
        hooks=[Rules(), *journals],
        config=CONFIG,
        resume=resume,
    )


def told(event: Event) -> str:
    """One line that says which event of the run this is."""
    number = event.step.number if isinstance(event, StepFinished) else getattr(event, "step", getattr(event, "call", 0))
    result = (
        event.result if isinstance(event, CallFinished) else getattr(getattr(event, "step", None), "tool_result", None)
    )
    outcome = "" if result is None else repr(result.data if result.ok else result.error)[:40]
    return f"{type(event).__name__} {number} {outcome}"


class Reporting:
    """A journal that reports what it has acknowledged."""

    def __init__(self, journal: Any, report: Callable[[bytes], object]) -> None:
        self._journal, self._report = journal, report
        self.checkpoints = getattr(journal, "checkpoints", False)

    def filter_prompt(self, prompt: Prompt) -> Prompt:
        filtered: Prompt = self._journal.filter_prompt(prompt)
        return filtered

    def write(self, event: Event) -> None:
        self._journal.write(event)
        if not isinstance(event, ModelCalled) and (self.checkpoints or not isinstance(event, Saved)):
            self._report(told(event).encode() + b"\n")

    def close(self) -> None:
        self._journal.close()


def journal_of(kind: str, folder: Path) -> Any:
    return CheckpointHook(folder) if kind == "checkpoints" else ProvenanceSink(folder)


def kill_within_a_write(how: dict[str, Any]) -> None:
    """Replace `os.write`: part of the data is handed to the operating system, then the process is gone."""
    write, counts = os.write, {"line": 0, "file": 0}

    def cut_off(descriptor: int, data: bytes) -> int:
        what = "line" if data.startswith(b'{"event":') else "file"
        counts[what] += 1
        if counts[what] == how.get(what):
            write(descriptor, data[: int(len(data) * how["part"])])
            os.kill(os.getpid(), signal.SIGKILL)
        return write(descriptor, data)

    os.write = cut_off  # type: ignore[assignment]  # the journal writes bytes


def child(entry: dict[str, Any], pipe: int) -> None:
    log = os.open(entry["progress"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    write = os.write

    def report(line: bytes) -> None:
        write(log, line)
        write(pipe, b".")

    kill_within_a_write(entry["how"])
    for _ in agent(Reporting(journal_of(entry["kind"], Path(entry["dir"])), report)):
        pass
    if "reports" not in entry["how"]:  # a journal that hands over less often than it should
        os.kill(os.getpid(), signal.SIGKILL)
    signal.pause()  # until it is killed from outside


def run_and_kill(entry: dict[str, Any]) -> None:
    reading, writing = os.pipe()
    process = os.fork()
    if process == 0:
        os.close(reading)
        try:
            child(entry, writing)
        finally:
            os._exit(1)
    os.close(writing)
    reports, wanted = 0, entry["how"].get("reports")
    while reports != wanted and os.read(reading, 1):
        reports += 1
    if wanted is not None:
        os.kill(process, signal.SIGKILL)
    os.close(reading)
    _, status = os.waitpid(process, 0)
    if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
        sys.exit(f"{entry} was not killed: {os.waitstatus_to_exitcode(status)}")


def main() -> None:
    for entry in json.loads(Path(sys.argv[1]).read_text()):
        run_and_kill(entry)


if __name__ == "__main__":
    main()
