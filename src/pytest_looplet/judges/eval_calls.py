"""The calls an eval makes itself, by `judge` and `llm`: kept as traces, recorded beside the eval file, played again.

.looplet/runs/evals/<file>/<eval>/<case>-<backend>[-tN]/{judge,llm}        of the last session
__recordings__/<file stem>/evals/<eval>/<case>[-tN]/{judge,llm}            recorded
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from looplet.errors import ReplayMismatch
from looplet.events import RunStarted
from looplet.messages import Capabilities
from looplet.trace.redact import Redactor
from looplet.trace.replay import ReplayBackend
from pytest_looplet.cells import CALLS, Cell, cell_of, other_parameters, with_trial
from pytest_looplet.golden.recordings import EVALS, FOLDER, JOURNAL, record_command
from pytest_looplet.options import OPTIONS
from pytest_looplet.phase1.runs import outcome_of
from pytest_looplet.phase1.workpaths import WorkdirRedactor, WorkdirReplay

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.messages import Prompt, Reply

Kind = Literal["judge", "llm"]


class Calls(NamedTuple):
    """The calls of one kind that one eval makes about one run."""

    kind: Kind
    item: pytest.Function
    cell: Cell

    @property
    def kept(self) -> Path:
        """Where a session leaves them, and where `--looplet-traces` finds them."""
        config = self.item.config
        runs = config.stash[OPTIONS].traces or config.rootpath / ".looplet" / "runs"
        return runs / EVALS / self._file.replace("/", "-") / self._eval / self._case(self.cell.backend) / self.kind

    @property
    def recording(self) -> Path:
        return recorded_calls(self.item, self.cell) / self.kind

    @property
    def are_there(self) -> bool:
        """Whether calls were recorded that can be played."""
        return (self._read_from / JOURNAL).is_file()

    @property
    def command(self) -> str:
        """What makes the calls that are missing."""
        if self.item.config.stash[OPTIONS].traces is not None:
            return "run the evals without --looplet-traces, or name a live judge with --looplet-judge"
        return f"record them: {record_command(self.cell, self.item.config.rootpath)}"

    @property
    def header(self) -> RunStarted:
        """The first line of their trace, but for the model."""
        cell = self.cell
        labels: dict[str, Any] = {"eval_file": self._file, "eval": self._eval, "calls": self.kind, "case": cell.case.id}
        labels |= {"backend": cell.backend, "trial": cell.trial}
        task = f"{self.kind} calls of {self._eval} about {cell.name}"
        return RunStarted(f"{self.kind}-{self._eval}-{cell.name}", task, "", (), 0, {}, "", Capabilities(), labels)

    @property
    def redactor(self) -> Redactor:
        """The patterns for secrets, and the work directory of the run, whose path is another one in each session."""
        workdir = self._workdir
        return WorkdirRedactor(workdir) if workdir else Redactor()

    @property
    def _read_from(self) -> Path:
        return self.kept if self.item.config.stash[OPTIONS].traces is not None else self.recording

    @property
    def _workdir(self) -> Path | None:
        outcome = outcome_of(self.item)
        return self.item.config.rootpath / outcome.workdir if outcome and outcome.workdir else None

    @property
    def _file(self) -> str:
        root, file = self.item.config.rootpath, self.cell.file
        return file.relative_to(root).as_posix() if file.is_relative_to(root) else file.name

    @property
    def _eval(self) -> str:
        return eval_path(self.item)

    def _case(self, backend: str) -> str:
        return with_trial(f"{self.cell.case.id}{_other_parameters(self.item)}-{backend}", self.cell.trial)

    def played(self) -> Any:
        """A model that answers with these calls as they were kept or recorded, and with nothing else."""
        if not self.are_there:
            return _Unrecorded(self)
        folder, workdir = self._read_from, self._workdir
        if workdir and self.kind == "llm":  # a judge reads <workdir> also when it is live
            return _Played(WorkdirReplay(folder, workdir, on_miss="strict"), self)
        return _Played(ReplayBackend(folder, redact=self.redactor), self)


def note_calls(item: pytest.Item) -> None:
    """Remember where the recorded calls of a collected eval are: they are in use."""
    cell = cell_of(item)
    if cell is not None and isinstance(item, pytest.Function):
        item.config.stash.setdefault(CALLS, set()).add(recorded_calls(item, cell))


def eval_path(item: pytest.Function) -> str:
    return f"{item.cls.__name__}.{item.originalname}" if item.cls else item.originalname


def recorded_calls(item: pytest.Function, cell: Cell) -> Path:
    case = with_trial(cell.case.id + _other_parameters(item), cell.trial)
    return cell.file.parent / FOLDER / cell.file.stem / EVALS / eval_path(item) / case


def _other_parameters(item: pytest.Function) -> str:
    """Tells apart the items of an eval that is parametrized with more than our cells."""
    return "".join(f"-{name}{index}" for name, index in sorted(other_parameters(item).items()))


class _Played:
    """A recording whose error says how to make a new one."""

    def __init__(self, replay: ReplayBackend, calls: Calls) -> None:
        self._replay, self._calls = replay, calls

    def chat(self, prompt: Prompt) -> Reply:
        __tracebackhide__ = True
        try:
            return self._replay.chat(prompt)
        except ReplayMismatch as error:
            message = f"{self._calls.kind}: {error}; {self._calls.command}"
        raise ReplayMismatch(message)

    def __getattr__(self, attribute: str) -> Any:  # name, capabilities, no_sleep
        return getattr(self._replay, attribute)


class _Unrecorded:
    """Stands in for calls nobody recorded. An eval that makes none does not notice."""

    name = "replay"
    capabilities = Capabilities()

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def chat(self, prompt: Prompt) -> Reply:  # noqa: ARG002  # whatever it is
        __tracebackhide__ = True
        calls, name = self._calls, self._calls.item.originalname
        raise ReplayMismatch(
            f"no recorded {calls.kind} calls of {name} about case {calls.cell.name!r}; {calls.command}"
        )
