"""Execute one run: call the agent with what it asks for, follow the loops it runs, and keep what it leaves."""

from __future__ import annotations

import traceback
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet.ambient import Capture, capturing
from looplet.evals.collect import Collector, CollectorError, collect
from looplet.evals.prices import PriceTable
from looplet.evals.script import scripted
from looplet.evals.transcript import is_messages, result_from_messages
from looplet.result import RunResult
from looplet.trace.redact import Redaction, Redactor
from pytest_looplet.golden.recordings import is_trace, record_command, recording_dir, replace_recording, traces_in
from pytest_looplet.phase1 import agents, kept
from pytest_looplet.phase1.agents import RunError
from pytest_looplet.phase1.costs import provider_of, with_costs
from pytest_looplet.phase1.output import Output, belonging_to
from pytest_looplet.phase1.places import Places
from pytest_looplet.phase1.sinks import WRITING, QueuedSink
from pytest_looplet.phase1.store import Outcome

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_looplet.backends import Backend
    from pytest_looplet.cells import Cell
    from pytest_looplet.phase1.in_flight import InFlight


class Job:
    """One cell, ready to run. `name` is unique in the session and names its trace and its work directory."""

    def __init__(
        self,
        cell: Cell,
        backend: Backend,
        name: str,
        root: Path,
        *,
        record: bool = False,
        prices: PriceTable | None = None,
        collectors: tuple[Collector, ...] = (),
    ) -> None:
        self.cell, self.backend, self.name, self.root = cell, backend, name, root
        self.record, self.collectors = record, collectors
        self.prices = PriceTable() if prices is None else prices

    @cached_property
    def places(self) -> Places:
        return Places(self.root.joinpath(".looplet", "runs", self.name))

    @cached_property
    def workdir(self) -> Path:
        return self.root.joinpath(".looplet", "work", self.name)

    @property
    def has_workdir(self) -> bool:
        return "workdir" in self.cell.wanted

    @cached_property
    def labels(self) -> dict[str, Any]:
        return kept.labels_of(self.cell, self.root)


class _GivenUp(Exception):
    """The run came back when nobody waited for it any longer: its outcome is decided, its trace stays as it is."""


def perform(job: Job, in_flight: InFlight) -> Outcome:
    """Never raises: whatever goes wrong is the outcome."""
    output = Output()
    outcome = Outcome(backend=job.cell.backend, model=job.backend.model)
    with belonging_to(output):
        try:
            _execute(job, in_flight, outcome)
        except RunError as error:
            outcome.error = str(error)
        except BaseException as error:  # noqa: BLE001  # boundary: the user's agent, in a thread of its own
            outcome.error = describe(error)
    if outcome.result is not None:
        models = [loop.model for loop in in_flight.loops if loop.model] or [outcome.model]
        outcome.result = with_costs(outcome.result, models, job.prices, provider_of(job.backend))
    outcome.stdout, outcome.stderr = output.stdout.getvalue(), output.stderr.getvalue()
    outcome.log = output.log.getvalue()
    return outcome


def _execute(job: Job, in_flight: InFlight, outcome: Outcome) -> None:
    llm = _llm(job, outcome)
    workdir = job.workdir if job.has_workdir else None
    # an agent can reach what is bound here: nothing that leads to the case
    capture = Capture(partial(_hooks, job.places, workdir, in_flight), dict(job.labels))
    in_flight.capture = capture
    loops: list[RunResult] = []
    try:
        try:
            with capturing(capture):
                value = agents.call(job, llm)
        finally:
            loops = _results(capture, job.places, len(in_flight.loops))
            outcome.result = loops[-1] if loops else None
        outcome.result = _collected(_result(value, loops, job), job)
    finally:
        if not in_flight.finish():
            raise _GivenUp
        _leave(job, llm, in_flight, bool(loops), outcome)
    _check_provider(outcome.result, outcome)
    if job.record and outcome.error is None:
        _record(job, bool(loops))


def _results(capture: Capture, places: Places, count: int) -> list[RunResult]:
    """What the loops left that were started, those included that the agent left open."""
    ours = {str(places.of_loop(number)) for number in range(1, count + 1)}
    results: list[RunResult] = []
    for number, run in enumerate(capture.runs, 1):
        if not hasattr(run, "result"):
            continue
        _close(run)
        result = run.result
        place = result.trace_dir if result.trace_dir in ours else str(places.of_loop(number))  # else one of the agent's
        if is_trace(Path(place)):
            results.append(result.replace(trace_dir=place))
    if len(results) > 1:
        results[-1] = results[-1].replace(all=tuple(results))
    return results


def _close(run: Any) -> None:
    """End a run its agent left open, so that its trace is complete. An async run ends with its event loop."""
    if hasattr(run, "close"):
        run.close()


def _collected(result: RunResult, job: Job) -> RunResult:
    """The result with what the collectors of the eval module found. In the trace it stands beside the last loop."""
    workdir = job.workdir if job.has_workdir else None
    collected = collect(result, job.collectors, workdir=workdir, case=job.cell.case, redact=_redactor(job))
    if not result.all or collected is result:
        return collected
    last = result.all[-1].replace(artifacts=collected.artifacts)
    return collected.replace(all=(*result.all[:-1], last))


def _leave(job: Job, llm: Any, in_flight: InFlight, ran_loops: bool, outcome: Outcome) -> None:
    """Give the trace its place, and say in `outcome` where it is; also of an agent that failed."""
    if not job.backend.live:
        outcome.model = llm.name
    with WRITING:
        moves = job.places.settle(max(1, len(in_flight.loops)))  # what ran no loop was written as if it were one
    trace = job.places.trace if moves else None
    if outcome.backend == "replay":
        from pytest_looplet.golden import stale  # reads and compares traces, which scripted runs have no use for

        outcome.stale = stale.look(llm, job.cell, trace if ran_loops else None, job.root)
    if trace is not None:
        outcome.trace = trace.relative_to(job.root).as_posix()
    if outcome.result is not None:
        outcome.result = _moved(outcome.result, moves)
    if job.has_workdir and job.workdir.is_dir():
        outcome.workdir = job.workdir.relative_to(job.root).as_posix()


def _moved(result: RunResult, moves: dict[str, str]) -> RunResult:
    place = moves.get(result.trace_dir or "", result.trace_dir)
    return result.replace(trace_dir=place, all=tuple(_moved(one, moves) for one in result.all))


def _hooks(places: Places, workdir: Path | None, in_flight: InFlight, number: int) -> Sequence[object]:
    path = places.of_loop(number)
    if workdir is None:
        return in_flight.watch(), QueuedSink(path, redact=True, bare=True)
    from pytest_looplet.phase1.workpaths import WorkdirSink  # only for agents with a work directory

    return in_flight.watch(), WorkdirSink(path, workdir)


def _llm(job: Job, outcome: Outcome) -> Any:
    """The model of this run, a new one unless it is live."""
    cell = job.cell
    if job.backend.live:
        return job.backend.llm
    if cell.backend == "replay":
        recording = recording_dir(cell)
        if traces_in(recording):
            return _replayed(recording, job)
        if cell.case.script is None or (cell.trial > 1 and _is_recorded(cell._replace(trial=1))):
            raise RunError(f"no recording of case {cell.name!r}; record it: {record_command(cell, job.root)}")
        outcome.backend = "script"
    if cell.case.script is None:
        raise RunError(no_script(cell))
    return scripted(cell.case.script)


def _replayed(recording: Path, job: Job) -> Any:
    if job.has_workdir:
        from pytest_looplet.phase1.workpaths import WorkdirReplay  # reads traces, which scripted and live runs do not

        return WorkdirReplay(recording, job.workdir)
    from looplet.trace.replay import ReplayBackend  # likewise

    return ReplayBackend(recording, on_miss="stale")


def _redactor(job: Job) -> Redactor:
    if not job.has_workdir:
        return Redactor()
    from pytest_looplet.phase1.workpaths import WorkdirRedactor  # only for agents with a work directory

    return WorkdirRedactor(job.workdir)


def _is_recorded(cell: Cell) -> bool:
    """Trials are all played or all scripted: the first one tells."""
    return bool(traces_in(recording_dir(cell)))


def no_script(cell: Cell) -> str:
    return f"--looplet-backend=mock: case {cell.case.id!r} of {cell.file.name} has no script; add script=[...] to it"


def _result(value: Any, loops: list[RunResult], job: Job) -> RunResult:
    """What evals get as `run`: the agent's own RunResult, else its last loop, else its messages.

    What no loop has written is written here, so that it can be looked at and scored again.
    """
    known = loops[-1] if loops else None
    if isinstance(value, RunResult) and known is not None:
        own = value.replace(trace_dir=known.trace_dir, all=known.all)
        if own != known:
            agents.check_result(own, job.cell.agent_name)
            _write(own, job.places.of_own_result, job)
        return own
    if known is not None:
        return known
    if not isinstance(value, RunResult) and not is_messages(value):
        raise RunError(
            f"agent {job.cell.agent_name} returned {type(value).__name__} and ran no loop; "
            "return the run, a RunResult or OpenAI-style messages, or iterate a run inside"
        )
    made = value if isinstance(value, RunResult) else result_from_messages(value, job.cell.case.task)
    agents.check_result(made, job.cell.agent_name)
    folder = job.places.of_loop(1)
    _write(made, folder, job)
    return made.replace(trace_dir=str(folder), all=())


def _write(result: RunResult, folder: Path, job: Job) -> None:
    kept.write_result(result, folder, Redaction(_redactor(job)), job.labels)


def _check_provider(result: RunResult, outcome: Outcome) -> None:
    """A model that could not be reached is an error of the run, not a wrong answer."""
    for one in result.all or (result,):
        if one.stop_reason == "llm_error":
            outcome.error = f"the model failed: {one.errors[-1] if one.errors else 'no reason given'}"


def _record(job: Job, ran_loops: bool) -> None:
    if not ran_loops:
        raise RunError(f"agent {job.cell.agent_name} ran no looplet loop, so there is nothing to record")
    from looplet.trace.read import read_journal  # only where something is recorded
    from pytest_looplet.golden import pending

    for trace in traces_in(job.places.trace):
        why = read_journal(trace).incomplete
        if why is not None:
            raise RunError(f"case {job.cell.name!r} was not recorded: its trace is incomplete ({why}); record it again")
    recording = recording_dir(job.cell)
    replace_recording(recording, job.places.trace)
    pending.discard(job.root, pending.RECORDING, recording)  # what waited there was compared with the old one


def describe(error: BaseException) -> str:
    """The error in its first line, then where it came from, without our own frames."""
    own = {Path(__file__).parents[1], Path(collect.__code__.co_filename).parent}
    raised = error.__cause__ if isinstance(error, CollectorError) and error.__cause__ else error
    frames = [
        frame
        for frame in traceback.extract_tb(raised.__traceback__)
        if not any(Path(frame.filename).is_relative_to(folder) for folder in own)
    ]
    place = "".join(traceback.format_list(frames))
    return f"{_said(error)}\n{place}".rstrip()


def _said(error: BaseException) -> str:
    name = type(error).__name__
    try:
        return "\n".join([f"{name}: {error}", *map(str, getattr(error, "__notes__", ()))])
    except BaseException as failure:  # noqa: BLE001  # a stranger's __str__ may raise anything
        return f"{name} (its text cannot be had: str() of it raised {type(failure).__name__})"
