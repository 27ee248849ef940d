"""Call an agent with what it asks for, and follow what it returns to its end."""

from __future__ import annotations

import copy
import inspect
import math
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet._pretty import shorten
from looplet.types import Step, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.result import RunResult
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
    value = agent(**{name: offered[name]() for name in job.cell.wanted})
    if inspect.isawaitable(value) or hasattr(value, "__aiter__"):
        value = in_event_loop(_followed(value))
    if isinstance(value, Iterator):
        for _ in value:
            pass
    return value


def check_result(result: RunResult, agent_name: str) -> None:
    """Refuse a RunResult of an agent's own that nothing could be made of: what stands in it was checked by nobody."""
    usage = result.usage
    for name, is_right, needed in (
        ("stop_reason", isinstance(result.stop_reason, str), "a str, such as 'done'"),
        ("steps", _is_all(result.steps, Step), "Steps"),
        ("errors", _is_all(result.errors, str), "texts"),
        ("duration", _is_number(result.duration), "seconds"),
        ("artifacts", isinstance(result.artifacts, dict), "a dict"),
        ("usage", _is_usage(usage), "a Usage of numbers"),
    ):
        if not is_right:
            raise RunError(
                f"agent {agent_name} returned a RunResult whose {name} is {_shown(getattr(result, name))}; "
                f"it must be {needed}"
            )


def _is_usage(value: object) -> bool:
    if not isinstance(value, Usage):
        return False
    counts = (value.input_tokens, value.output_tokens, value.cached_tokens)
    return all(map(_is_count, counts)) and (value.cost is None or isinstance(value.cost, float))


def _is_all(values: object, kind: type) -> bool:
    return isinstance(values, (tuple, list)) and all(isinstance(value, kind) for value in values)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _shown(value: object) -> str:
    try:
        return shorten(repr(value), 100)
    except Exception:  # noqa: BLE001  # a stranger's __repr__ may raise anything
        return f"a {type(value).__name__}"


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
