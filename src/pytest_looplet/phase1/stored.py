"""Runs that were kept, read for `--looplet-traces`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._pretty import visible
from looplet._record import Record
from looplet.errors import TraceError
from looplet.trace.read import UNFINISHED, load_trace, read_journal
from pytest_looplet.golden.recordings import traces_in
from pytest_looplet.phase1.kept import TOLD, place, shown
from pytest_looplet.phase1.places import OWN_RESULT
from pytest_looplet.phase1.store import Outcome
from pytest_looplet.phase1.stored_session import OUTCOME, SCHEMA, labels_by_folder
from pytest_looplet.phase1.tally import Tally
from pytest_looplet.phase1.workpaths import PLACEHOLDER

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from looplet.result import RunResult
    from looplet.types import Step
    from pytest_looplet.phase1.store import Claim, Key

_NONE = type(None)
_TYPES: dict[str, tuple[type, ...]] = {
    **dict.fromkeys(("backend", "model", "stdout", "stderr", "log"), (str,)),
    **dict.fromkeys(("error", "stale", "workdir"), (str, _NONE)),
    **dict.fromkeys(("cost", "costs"), (int, float, _NONE)),
    "has_result": (bool,),
}


def load(folder: Path, labels: dict[str, Any], root: Path) -> Outcome:
    """The outcome that was kept. A directory with a trace only is a run that was cut short, or not made by an eval."""
    results = [load_trace(path) for path in traces_in(folder)]
    outcome = Outcome(backend=labels["backend"], trace=shown(folder, root))
    told = _told(folder)
    if told is None:
        if not results or results[-1].stop_reason == UNFINISHED:
            outcome.error = f"the run of case {labels['case']!r} in {folder} was cut short; run it again"
        else:
            outcome.result = _joined(results)
            outcome.model = str(read_journal(traces_in(folder)[-1]).header.get("model", ""))
        return outcome
    for name in TOLD:
        setattr(outcome, name, told[name])
    if told["has_result"]:
        if not results or len(results) < len(told["costs"]):
            raise ValueError("a trace of it is gone")
        priced = zip(results, told["costs"], strict=False)
        outcome.result = _joined([_with_cost(one, cost) for one, cost in priced])
        if (folder / OWN_RESULT).is_dir():
            outcome.result = _own(load_trace(folder / OWN_RESULT), outcome.result)
        outcome.result = _with_cost(outcome.result, told["cost"])
        if told["workdir"]:
            outcome.result = _placed(outcome.result, str(root / told["workdir"]))
    return outcome


def _told(folder: Path) -> dict[str, Any] | None:
    """What `outcome.json` holds, None without one. What could not be worked with is a ValueError."""
    try:
        told: Any = json.loads((folder / OUTCOME).read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ValueError(f"{OUTCOME} is not JSON: {error}") from None
    if not isinstance(told, dict) or told.get("schema") != SCHEMA:
        schema = told.get("schema") if isinstance(told, dict) else None
        raise ValueError(f"{OUTCOME} has schema {schema!r}, and this looplet reads {SCHEMA}")
    for name, types in _TYPES.items():
        if name not in told:
            raise ValueError(f"{OUTCOME} has no {name!r}")
        values = told[name] if name == "costs" and isinstance(told[name], list) else [told[name]]
        if not all(type(value) in types for value in values):
            raise ValueError(f"{OUTCOME} has a wrong value of {name!r}")
    return told


def _placed(value: Any, workdir: str) -> Any:
    """Put the path of the work directory back, which traces name by a placeholder: evals may compare paths."""
    if isinstance(value, str):
        return value.replace(PLACEHOLDER, workdir)
    if isinstance(value, Record):
        return value.replace(**{name: _placed(getattr(value, name), workdir) for name in value._fields})
    if isinstance(value, dict):
        return {name: _placed(each, workdir) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_placed(each, workdir) for each in value)
    return value


def _own(own: RunResult, last: RunResult) -> RunResult:
    """The result the agent made itself, with what the trace of its last loop holds of it."""
    known = {step.number: step for step in last.steps}
    steps = [known[step.number] if _is_same(step, known.get(step.number)) else step for step in own.steps]
    artifacts = last.artifacts or own.artifacts  # collectors write beside the loop's trace
    return own.replace(steps=tuple(steps), artifacts=artifacts, trace_dir=last.trace_dir, all=last.all)


def _is_same(step: Step, known: Step | None) -> bool:
    """A step written without its request may still be one of the loop's."""
    return known is not None and known.replace(prompt=None) == step.replace(prompt=None)


def _with_cost(result: RunResult, cost: float | None) -> RunResult:
    return result.replace(usage=result.usage.replace(cost=cost))


def _joined(results: list[RunResult]) -> RunResult:
    return results[-1].replace(all=tuple(results)) if len(results) > 1 else results[-1]


class StoredRuns:
    """The store of a session that runs nothing: every run is published from the beginning, and read when asked for."""

    def __init__(self, folder: Path, root: Path, tally: Tally) -> None:
        self.tally = tally
        self._folder, self._root = folder, root
        found = labels_by_folder(folder).items()
        # the directory of an attempt that was cut short gives way to that of the whole run
        ordered = sorted(found, key=lambda entry: (entry[0] / OUTCOME).exists())
        self._found = {_identity(labels): (path, labels) for path, labels in ordered}
        self._loaded: dict[Key, Outcome] = {}

    def get(self, key: Key) -> Outcome:
        if key not in self._loaded:
            self._loaded[key] = self._load(key)
        return self._loaded[key]

    def _load(self, key: Key) -> Outcome:
        file, *rest = key
        wanted = (place(file, self._root), *map(str, rest))
        if wanted in self._found:
            return self._read(*self._found[wanted])
        _, agent, case, backend, trial = wanted
        which = f" trial {trial}" if trial != "1" else ""
        return Outcome(
            error=f"no stored run of case {case!r}{which} by {agent} ({backend}) in {self._folder}; "
            "run it without --looplet-traces",
            backend=backend,
        )

    def _read(self, folder: Path, labels: dict[str, Any]) -> Outcome:
        try:
            return load(folder, labels, self._root)
        except (TraceError, OSError, ValueError, LookupError, TypeError, RecursionError) as error:
            why = visible(str(error)) or type(error).__name__
            return Outcome(
                error=f"stored run {place(str(folder), self._root)} is damaged: {why}; run it again",
                backend=labels["backend"],
            )

    def published(self, key: Key) -> bool:  # noqa: ARG002  # the form of a store
        return True

    def claim(self, key: Key) -> Claim | None:  # noqa: ARG002  # likewise
        return None

    def publish(self, key: Key, outcome: Outcome) -> None:
        self._loaded[key] = outcome

    def once(self, name: str, action: Callable[[], None]) -> None:
        """Nothing is prepared for runs that were."""


def _identity(labels: dict[str, Any]) -> tuple[str, ...]:
    return tuple(str(labels.get(name, "1")) for name in ("eval_file", "agent", "case", "backend", "trial"))
