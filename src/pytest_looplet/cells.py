"""The cells an eval is run for: a trial of an agent on a case with a backend, run once and scored by several evals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_looplet.collect import EvalModule, is_eval_name
from pytest_looplet.options import OPTIONS
from pytest_looplet.uses import definitions, is_ours, uses

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from looplet.evals import EvalCase

_OF_CELLS = ("run", "case", "judge", "workdir")
_SPARE = "_looplet_cell"  # a fixture to parametrize where ours are overridden
_HOLDERS = (*_OF_CELLS, _SPARE)
_VERDICTS = ("gate", "baseline")  # stand in ids where a case does


class Cell(NamedTuple):
    """`agent` is None where only `case` or `llm` is asked for and no agent was declared; `wanted` are the arguments it
    takes.
    """

    file: Path
    agent: Callable[..., Any] | None
    agent_name: str
    case: EvalCase
    backend: str
    trial: int = 1
    trials: int = 1
    wanted: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        return str(self.file), self.agent_name, self.case.id, self.backend, str(self.trial)

    @property
    def name(self) -> str:
        """The case and, beyond the first, the trial: names the recording."""
        return with_trial(self.case.id, self.trial)

    @property
    def run_name(self) -> str:
        return with_trial(f"{self.case.id}-{self.backend}", self.trial)


def with_trial(name: str, trial: int) -> str:
    return name if trial == 1 else f"{name}-t{trial}"


# every cell that was collected, deselected ones too
CELLS = pytest.StashKey[dict[tuple[str, ...], Cell]]()
# the directories for recorded calls of evals, likewise
CALLS = pytest.StashKey[set["Path"]]()
_RECORDINGS = pytest.StashKey[dict[tuple[str, ...], Cell]]()  # by what names their recording


def cell_of(item: pytest.Item) -> Cell | None:
    callspec = getattr(item, "callspec", None)
    if callspec is not None:
        for name in _HOLDERS:
            value = callspec.params.get(name)
            if isinstance(value, Cell):
                return value
    return None


def other_parameters(item: pytest.Function) -> dict[str, int]:
    """The parameters of an item that are not its cell, by number."""
    params = item.callspec.params
    return {name: index for name, index in item.callspec.indices.items() if not isinstance(params[name], Cell)}


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Make one item per (case, backend, trial) of an eval that reaches one of the fixtures that are about a cell."""
    reached = [name for name in _OF_CELLS if uses(metafunc.definition, name)]
    if not reached or metafunc.definition.getparent(EvalModule) is None:
        return
    if not is_eval_name(metafunc.definition.name, metafunc.config):
        return
    try:
        cells = _cells(metafunc.definition, metafunc.config)
        ids = _ids(cells)
        marks = [_marks(cell.case) for cell in cells]
    except (ValueError, TypeError, ImportError, AttributeError, OSError) as error:
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {error}") from None
    # a fixture of the user's that builds on ours may have parameters of its own, and so may ours by a mark
    taken = _marked(metafunc.definition)
    names = [name for name in reached if name not in taken and is_ours(definitions(metafunc.definition, name)[-1])]
    if not names:
        names = [_SPARE]
        metafunc.fixturenames.append(_SPARE)
    values = [pytest.param(*[cell] * len(names), marks=its) for cell, its in zip(cells, marks, strict=True)]
    metafunc.parametrize(names, values, indirect=True, ids=ids)


def _marked(definition: pytest.Function) -> set[str]:
    """The names that pytest.mark.parametrize gives values to."""
    names: set[str] = set()
    for mark in definition.iter_markers("parametrize"):
        given = mark.args[0] if mark.args else mark.kwargs.get("argnames", ())
        names |= {name.strip() for name in given.split(",")} if isinstance(given, str) else set(given)
    return names


def _cells(definition: pytest.Function, config: pytest.Config) -> list[Cell]:
    from pytest_looplet.declare import (
        check_gate,
        read_declaration,
        trials_of,
    )  # loads looplet: only where evals are collected

    declared = read_declaration(definition, config)
    known, recordings = config.stash.setdefault(CELLS, {}), config.stash.setdefault(_RECORDINGS, {})
    cells = []
    for case in declared.cases:
        trials = trials_of(case, declared, config)
        for backend in config.stash[OPTIONS].backends:
            for trial in range(1, trials + 1):
                cell = Cell(
                    definition.path,
                    declared.agent,
                    declared.agent_name,
                    case,
                    backend,
                    trial,
                    trials,
                    declared.wanted,
                )
                _check_unique(known.setdefault(cell.key, cell), cell)
                place = (str(cell.file), cell.agent_name, cell.name)
                _check_apart(recordings.setdefault(place, cell), cell)
                cells.append(cell)
    if declared.gate is not None and config.stash[OPTIONS].undecided == "fail":
        check_gate(declared.gate, len(declared.cases), max(cell.trials for cell in cells))
    return cells


def _ids(cells: list[Cell]) -> list[str]:
    several = len({cell.backend for cell in cells}) > 1
    ids: dict[str, Cell] = {}
    for cell in cells:
        name = cell.run_name if several else cell.name
        if cell.case.id in _VERDICTS:
            raise ValueError(f"case id {cell.case.id!r} is the name of a verdict on all cases; rename the case")
        if name in ids:
            raise ValueError(f"{_told(ids[name])} and {_told(cell)} would both be named {name!r}; rename the case")
        ids[name] = cell
    return list(ids)


def _check_unique(known: Cell, cell: Cell) -> None:
    """A run and its recording are found by file, agent and case id; two different ones must not meet there."""
    for what, handle, same in (
        ("cases", "ids", known.case == cell.case),
        ("agents", "names", known.agent == cell.agent),
    ):
        if not same:
            raise ValueError(
                f"two different {what} would share the run {cell.agent_name}/{cell.case.id}; "
                f"give them different {handle}"
            )


def _check_apart(known: Cell, cell: Cell) -> None:
    """The second trial of `a` is recorded where a case named `a-t2` is."""
    if (known.case.id, known.trial) != (cell.case.id, cell.trial):
        raise ValueError(f"{_told(known)} and {_told(cell)} would share the recording {cell.name!r}; rename the case")


def _told(cell: Cell) -> str:
    trial = f"trial {cell.trial} of " if cell.trials > 1 else ""
    return f"{trial}case {cell.case.id!r} with {cell.backend}"


def _marks(case: EvalCase) -> list[Any]:
    for mark in case.marks:
        if not isinstance(mark, (str, pytest.MarkDecorator, pytest.Mark)):
            raise TypeError(f"case {case.id!r}: marks holds {mark!r}, which is no mark and no name of one")
    return [getattr(pytest.mark, mark) if isinstance(mark, str) else mark for mark in case.marks]
