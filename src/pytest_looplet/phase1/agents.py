"""Call an agent with what it asks for, and follow what it returns to its end."""

from __future__ import annotations

import copy
import inspect
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from pytest_looplet.phase1.perform import Job


class RunError(Exception):
    """A run that cannot be had, said in one line: shown without a traceback."""


def call(job: Job, llm: Any) -> Any:
    """What the agent returned, after its last step."""
    agent, case = job.cell.agent, job.cell.case
    assert agent is not None, "a cell without an agent is never run"  # noqa: S101  # for the type checker
    offered: dict[str, Callable[[], Any]] = {
        "task": lambda: copy.deepcopy(case.task),  # an agent may change its task, the case stays
        "llm": lambda: llm,
        "workdir": lambda: _workdir(job),
    }
    if case.files and not job.has_workdir:
        raise RunError(
            f"case {case.id!r} has files, and agent {job.cell.agent_name} has no parameter `workdir` to find them by"
        )
    value = agent(**{name: offered[name]() for name in job.wanted})
    if inspect.isawaitable(value) or hasattr(value, "__aiter__"):
        value = in_event_loop(_followed(value))
    if isinstance(value, Iterator):
        for _ in value:
            pass
    return value


async def _followed(value: Any) -> Any:
    if inspect.isawaitable(value):
        value = await value
    if hasattr(value, "__aiter__"):
        async for _ in value:
            pass
    return value


def in_event_loop(work: Any) -> Any:
    """asyncio.run, with threads that do not keep the process when they hang: those of its own executor would."""
    import asyncio  # only for async agents
    from concurrent.futures import Future, ThreadPoolExecutor

    class DaemonThreads(ThreadPoolExecutor):
        """asyncio takes no other kind of executor. Nothing of the pool is used."""

        def submit(self, function: Any, /, *arguments: Any, **keywords: Any) -> Future[Any]:
            future: Future[Any] = Future()

            def run() -> None:
                if future.set_running_or_notify_cancel():
                    try:
                        value = function(*arguments, **keywords)
                    except BaseException as error:  # noqa: BLE001  # raised where the future is awaited
                        future.set_exception(error)
                    else:
                        future.set_result(value)

            threading.Thread(target=run, name="looplet-executor", daemon=True).start()
            return future

    with asyncio.Runner() as runner:
        runner.get_loop().set_default_executor(DaemonThreads())
        return runner.run(work)


def _workdir(job: Job) -> Path:
    """A fresh directory. A recording's prompts may name it: see `workpaths`."""
    shutil.rmtree(job.workdir, ignore_errors=True)
    files = job.cell.case.files
    if isinstance(files, (str, Path)):
        shutil.copytree(job.cell.file.parent / files, job.workdir)
        return job.workdir
    job.workdir.mkdir(parents=True)
    for name, text in (files or {}).items():
        path = (job.workdir / name).resolve()
        if not path.is_relative_to(job.workdir.resolve()):
            raise RunError(f"case {job.cell.case.id!r}: the file {name!r} lies outside the work directory")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return job.workdir
