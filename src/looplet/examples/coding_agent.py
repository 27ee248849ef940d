"""An agent that writes and repairs code: `python -m looplet.examples.coding_agent ["task"] [--mock] [--trace DIR]`.

Without a task it repairs a small repository that comes with it. Needs bash, and Linux or macOS.
"""

from __future__ import annotations

import sys
from argparse import ArgumentParser
from contextlib import ExitStack
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

from looplet import LoopletError, MockLLMBackend, ProvenanceSink, composable_loop, tool
from looplet.examples.coding import broken_repository
from looplet.examples.coding.scripted import scripted_model
from looplet.examples.coding.tools import permissions, tools
from looplet.examples.coding.workspace import Workspace
from looplet.examples.common import add_run_options, how_it_ended, model_for, show

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Sequence

    from looplet import Run

PROGRAM = "coding_agent"
INSTRUCTIONS = """You are a programmer. You work in a folder with the tools you have; all paths are relative to it.
Look before you change anything, make small edits, and run the tests (`python -m unittest`) after each.
Call done with a short summary when the task is finished."""


@tool
def done(summary: str) -> str:
    """Finish, when the task is done."""
    return summary


def agent(task: Any, llm: Any, workspace: Workspace, hooks: Sequence[object], max_steps: int) -> Run:
    return composable_loop(
        llm=llm,
        task=task,
        tools=[*tools(workspace), done],
        hooks=[*hooks, permissions()],
        system_prompt=INSTRUCTIONS,
        max_steps=max_steps,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    options = parsed(arguments)
    llm = model_for(options, PROGRAM, MockLLMBackend(scripted_model))
    shipped = options.task is None
    folder = prepared(options.workspace, shipped=shipped)
    print(f"workspace: {folder}", flush=True)
    with ExitStack() as stack:
        workspace = stack.enter_context(Workspace(folder))
        hooks: list[object] = [broken_repository.DoneWhenTestsPass(workspace)] if shipped else []
        try:
            hooks += [ProvenanceSink(next_run(Path(options.trace)))] if options.trace else []
            run = agent(options.task or broken_repository.TASK, llm, workspace, hooks, options.max_steps)
            show(stack.enter_context(run))
        except (LoopletError, OSError, ValueError) as error:
            sys.exit(f"{PROGRAM}: {error}")
    conclude(run, shipped=shipped)


def parsed(arguments: Sequence[str] | None) -> Namespace:
    parser = ArgumentParser(prog=PROGRAM, description="Write or repair code with bash and file tools.")
    parser.add_argument(
        "task", nargs="?", help="what to do; default: repair the repository that comes with the example"
    )
    parser.add_argument("--workspace", metavar="DIR", help="the folder to work in; default: a new temporary one")
    parser.add_argument("--trace", metavar="DIR", help="write the trace to DIR/run_1, or the next number that is free")
    add_run_options(parser, max_steps=30)
    options = parser.parse_args(arguments)
    if options.mock and options.task is not None:
        print(f"{PROGRAM}: the scripted model knows one task only: it repairs the repository of this example")
        options.task = None
    return options


def prepared(asked: str | None, *, shipped: bool) -> Path:
    """The folder to work in, with the repository to repair in it unless there is a task."""
    folder = Path(asked) if asked else Path(mkdtemp(prefix="coding_agent_"))
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if shipped and any(folder.iterdir()):
            sys.exit(f"{PROGRAM}: --workspace {folder} is not empty; name a new folder, or say what to do in this one")
    except OSError as error:
        sys.exit(f"{PROGRAM}: --workspace {folder}: {error.strerror}")
    if shipped:
        broken_repository.create(folder)
    return folder.resolve()


def next_run(folder: Path) -> Path:
    """Make and return the first `run_N` that is free, also when several runs begin at once."""
    folder.mkdir(parents=True, exist_ok=True)
    taken = [int(path.name[4:]) for path in folder.glob("run_*") if path.name[4:].isdecimal()]
    number = max(taken, default=0) + 1
    while True:
        try:
            (folder / f"run_{number}").mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder / f"run_{number}"


def conclude(run: Run, *, shipped: bool) -> None:
    """The last line, and the exit status: 0 when the task is finished."""
    result = run.result
    if result.trace_dir:
        print(f"trace: {result.trace_dir}")
    if result.status != "completed":
        sys.exit(f"{PROGRAM}: not finished after {len(result.steps)} steps: {how_it_ended(result)}")
    print(f"{PROGRAM}: finished in {len(result.steps)} steps{', and the tests pass' if shipped else ''}")


if __name__ == "__main__":
    main()
