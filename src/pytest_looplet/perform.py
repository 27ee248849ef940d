"""Execute one run: call the agent with what it asks for, follow the loops it runs, and keep what it leaves."""

from __future__ import annotations

import copy
import inspect
import shutil
import traceback
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet.ambient import Capture, capturing
from looplet.backends.mock import MockLLMBackend
from looplet.evals.script import scripted
from looplet.evals.transcript import is_messages, result_from_messages
from looplet.hooks.provenance import ProvenanceSink
from looplet.result import RunResult
from looplet.trace.replay import ReplayBackend
from pytest_looplet import pending, stale
from pytest_looplet.declare import wanted_arguments
from pytest_looplet.output import Output, belonging_to
from pytest_looplet.recordings import record_command, recording_dir, replace_recording, traces_in
from pytest_looplet.store import Outcome
from pytest_looplet.workpaths import WorkdirReplay, WorkdirSink

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from looplet.events import Event
    from pytest_looplet.backends import Backend
    from pytest_looplet.cells import Cell


class RunError(Exception):
    """A run that cannot be had, said in one line: shown without a traceback."""


@dataclass(frozen=True)
class Job:
    """One cell, ready to run. `name` is unique in the session and names its trace and its work directory."""

    cell: Cell
    backend: Backend
    name: str
    root: Path
    record: bool = False

    @property
    def trace(self) -> Path:
        return self.root / ".looplet" / "runs" / self.name

    @property
    def workdir(self) -> Path:
        return self.root / ".looplet" / "work" / self.name

    @property
    def has_workdir(self) -> bool:
        return self.cell.agent is not None and "workdir" in wanted_arguments(self.cell.agent)


class InFlight:
    """A watcher that remembers the last thing begun, for the message of a run that never came back."""

    def __init__(self) -> None:
        self.text = "nothing was called yet"

    def on_event(self, event: Event) -> None:
        kind = type(event).__name__
        if kind == "ModelCalled":
            self.text = f"model call {event.call} was in flight"  # type: ignore[attr-defined]  # by name: told apart above
        elif kind == "CallStarted":
            self.text = f"tool call {event.tool_call.tool!r} of step {event.step} was in flight"  # type: ignore[attr-defined]
        elif kind in ("ModelReplied", "ModelFailed", "CallFinished"):
            self.text = "no call was in flight"


def perform(job: Job, in_flight: InFlight) -> Outcome:
    """Never raises: whatever goes wrong is the outcome."""
    output = Output()
    outcome = Outcome(backend=job.cell.backend, model=job.backend.model)
    with belonging_to(output):
        try:
            _execute(job, in_flight, outcome)
        except RunError as error:
            outcome.error = str(error)
        except (Exception, SystemExit) as error:  # noqa: BLE001  # boundary: the user's agent
            outcome.error = _describe(error)
    outcome.stdout, outcome.stderr = output.stdout.getvalue(), output.stderr.getvalue()
    outcome.log = output.log.getvalue()
    return outcome


def _execute(job: Job, in_flight: InFlight, outcome: Outcome) -> None:
    llm = _llm(job, outcome)
    partial_trace = job.trace.with_name(f"{job.name}.partial")
    shutil.rmtree(partial_trace, ignore_errors=True)  # of an attempt that ended its process
    workdir = job.workdir if job.has_workdir else None
    # an agent can reach what is bound here: nothing that leads to the case
    capture = Capture(partial(_hooks, partial_trace, workdir, in_flight), _labels(job))
    try:
        with capturing(capture):
            value = _call(job, llm)
    finally:
        runs = [run for run in capture.runs if hasattr(run, "result")]
        for run in runs:
            _close(run)
        if isinstance(llm, (ReplayBackend, MockLLMBackend)):
            outcome.model = llm.name
        trace = _settle(partial_trace, job.trace)
        outcome.stale = stale.look(llm, job.cell, trace, job.root)
        if trace is not None:
            outcome.trace = trace.relative_to(job.root).as_posix()
        results = _results(runs, trace)
        outcome.result = results[-1] if results else None
        if job.workdir.is_dir():
            outcome.workdir = job.workdir.relative_to(job.root).as_posix()
    outcome.result = _result(value, results, job.cell)
    _check_provider(outcome.result, outcome)
    if job.record and outcome.error is None:
        _record(job, trace)


def _close(run: Any) -> None:
    """End a run its agent left open, so that its trace is complete. An async run ends with its event loop."""
    if hasattr(run, "close"):
        run.close()


def _hooks(folder: Path, workdir: Path | None, in_flight: InFlight, number: int) -> Sequence[object]:
    path = folder / f"run_{number}"
    return (in_flight, WorkdirSink(path, workdir) if workdir else ProvenanceSink(path, redact=True))


def _labels(job: Job) -> dict[str, str]:
    cell = job.cell
    file = cell.file.relative_to(job.root).as_posix() if cell.file.is_relative_to(job.root) else cell.file.name
    return {"eval_file": file, "agent": cell.agent_name, "case": cell.case.id, "backend": cell.backend}


def _llm(job: Job, outcome: Outcome) -> Any:
    """The model of this run, a new one unless it is live."""
    cell = job.cell
    if job.backend.live:
        return job.backend.llm
    if cell.backend == "replay":
        recording = recording_dir(cell)
        if traces_in(recording):
            if job.has_workdir:
                return WorkdirReplay(recording, job.workdir)
            return ReplayBackend(recording, on_miss="stale")
        if cell.case.script is None:
            raise RunError(f"no recording of case {cell.case.id!r}; record it: {record_command(cell, job.root)}")
        outcome.backend = "script"
    if cell.case.script is None:
        raise RunError(no_script(cell))
    return scripted(cell.case.script)


def no_script(cell: Cell) -> str:
    return f"--looplet-backend=mock: case {cell.case.id!r} of {cell.file.name} has no script; add script=[...] to it"


def _call(job: Job, llm: Any) -> Any:
    """Call the agent and follow what it returns to its end."""
    agent, case = job.cell.agent, job.cell.case
    assert agent is not None, "a cell without an agent is never run"  # noqa: S101  # for the type checker
    offered: dict[str, Callable[[], Any]] = {
        "task": lambda: copy.deepcopy(case.task),  # an agent may change its task, the case stays
        "llm": lambda: llm,
        "workdir": lambda: _workdir(job),
    }
    wanted = wanted_arguments(agent)
    if case.files and "workdir" not in wanted:
        raise RunError(
            f"case {case.id!r} has files, and agent {job.cell.agent_name} has no parameter `workdir` to find them by"
        )
    value = agent(**{name: offered[name]() for name in wanted})
    if inspect.isawaitable(value) or hasattr(value, "__aiter__"):
        import asyncio  # only for async agents

        value = asyncio.run(_followed(value))
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


def _settle(partial_trace: Path, target: Path) -> Path | None:
    """Give the trace its place: one loop's trace is the directory itself, several stay run_1, run_2 ... in it."""
    found = traces_in(partial_trace)
    if not found:
        return None
    shutil.rmtree(target, ignore_errors=True)
    (found[0] if len(found) == 1 else partial_trace).rename(target)
    shutil.rmtree(partial_trace, ignore_errors=True)
    return target


def _results(runs: list[Any], trace: Path | None) -> list[RunResult]:
    results: list[RunResult] = [run.result for run in runs if run.result.trace_dir is not None]
    folders = traces_in(trace) if trace is not None else []
    started = [result for result in results if result.duration or result.steps or result.errors]
    results = [result.replace(trace_dir=str(folder)) for result, folder in zip(started, folders, strict=False)]
    if len(results) > 1:
        results[-1] = results[-1].replace(all=tuple(results))
    return results


def _result(value: Any, results: list[RunResult], cell: Cell) -> RunResult:
    """What evals get as `run`: the agent's own RunResult, else its last loop, else its messages."""
    if isinstance(value, RunResult):
        known = results[-1] if results else value
        return value.replace(trace_dir=known.trace_dir, all=known.all)
    if results:
        return results[-1]
    if is_messages(value):
        return result_from_messages(value, cell.case.task)
    raise RunError(
        f"agent {cell.agent_name} returned {type(value).__name__} and ran no loop; "
        "return the run, a RunResult or OpenAI-style messages, or iterate a run inside"
    )


def _check_provider(result: RunResult, outcome: Outcome) -> None:
    """A model that could not be reached is an error of the run, not a wrong answer."""
    for one in result.all or (result,):
        if one.stop_reason == "llm_error":
            outcome.error = f"the model failed: {one.errors[-1] if one.errors else 'no reason given'}"


def _record(job: Job, trace: Path | None) -> None:
    if trace is None:
        raise RunError(f"agent {job.cell.agent_name} ran no looplet loop, so there is nothing to record")
    recording = recording_dir(job.cell)
    replace_recording(recording, trace)
    pending.discard(job.root, pending.RECORDING, recording)  # what waited there was compared with the old one


def _describe(error: BaseException) -> str:
    """The error in its first line, then where it came from, without our own frames."""
    own = Path(__file__).parent
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if own not in Path(frame.filename).parents]
    place = "".join(traceback.format_list(frames))
    first = f"{type(error).__name__}: {error}"
    notes = "".join(f"\n{note}" for note in getattr(error, "__notes__", ()))
    return f"{first}{notes}\n{place}".rstrip()
