"""The cells an eval is run for: one agent on one case with one backend, run once and scored by several evals."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from pytest_looplet.collect import EvalModule, is_eval_name
from pytest_looplet.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from looplet.evals import EvalCase

CELL_FIXTURE = "_looplet_cell"


class Cell(NamedTuple):
    """`agent` is None where only `case` or `llm` is asked for and no agent was declared."""

    file: Path
    agent: Callable[..., Any] | None
    agent_name: str
    case: EvalCase
    backend: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        return str(self.file), self.agent_name, self.case.id, self.backend


# every cell that was collected, deselected ones too
CELLS = pytest.StashKey[dict[tuple[str, str, str, str], Cell]]()


def cell_of(item: pytest.Item) -> Cell | None:
    callspec = getattr(item, "callspec", None)
    cell: Cell | None = callspec.params.get(CELL_FIXTURE) if callspec else None
    return cell


def parametrize(metafunc: pytest.Metafunc) -> None:
    """Make one item per (case, backend) of an eval that reaches our `run` or `case` fixture."""
    if CELL_FIXTURE not in metafunc.fixturenames or metafunc.definition.getparent(EvalModule) is None:
        return
    if not is_eval_name(metafunc.definition.name, metafunc.config):
        return
    try:
        cells = _cells(metafunc.definition, metafunc.config)
    except (ValueError, TypeError, ImportError, AttributeError, OSError) as error:
        raise pytest.Collector.CollectError(f"{metafunc.definition.nodeid}: {error}") from None
    several = len({cell.backend for cell in cells}) > 1
    metafunc.parametrize(
        CELL_FIXTURE,
        [pytest.param(cell, marks=_marks(cell.case)) for cell in cells],
        indirect=True,
        ids=[f"{cell.case.id}-{cell.backend}" if several else cell.case.id for cell in cells],
    )


def _cells(definition: pytest.Function, config: pytest.Config) -> list[Cell]:
    from pytest_looplet.declare import read_declaration  # loads looplet: only where evals are collected

    declared = read_declaration(definition, config)
    known = config.stash.setdefault(CELLS, {})
    cells = []
    for case in declared.cases:
        for backend in config.stash[OPTIONS].backends:
            cell = Cell(definition.path, declared.agent, declared.agent_name, case, backend)
            _check_unique(known.setdefault(cell.key, cell), cell)
            cells.append(cell)
    return cells


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


def _marks(case: EvalCase) -> list[Any]:
    return [getattr(pytest.mark, mark) if isinstance(mark, str) else mark for mark in case.marks]
