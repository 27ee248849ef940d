"""What is done while agents wait for their models, so that no run and no eval has to wait for it later."""

from __future__ import annotations

import gc
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import TYPE_CHECKING, NamedTuple

import pytest

from looplet._record import compile_inits
from pytest_looplet.cells import cell_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator


def nothing() -> None:
    """No chore."""


class Chores(NamedTuple):
    """Each is called once: `first` when no run can be started for the time being, `last` when none is left to start."""

    first: Callable[[], None] = nothing
    last: Callable[[], None] = nothing


def get_ready_for_runs() -> None:
    """Do what the first runs to come back would all do at once, each of them holding up the others."""
    compile_inits()
    import_module("looplet.backends.openai_wire")  # with which a scripted model reads what it is asked


def get_ready_for_evals(items: Iterable[pytest.Item]) -> None:
    """Do for the evals what has to be done anyway. What fails here fails again where it can be told."""
    for module in ("item", "reporting.summary"):  # and what they stand on
        import_module(f"pytest_looplet.{module}")
    from pytest_looplet.reporting.digests import case_digest, eval_digest

    with suppress(Exception):
        for item in items:
            cell = cell_of(item)
            if cell is not None and isinstance(item, pytest.Function):
                item.location  # noqa: B018  # pytest works it out when it is first asked for
                eval_digest(item)
                case_digest(item, cell)


@contextmanager
def heap_at_rest() -> Iterator[None]:
    """Keep the objects that are there out of garbage collections for now. A full one looks at all that pytest has
    collected and imported, 20 ms in which no run goes on. Without effect where somebody else froze them, and on PyPy.
    """
    is_ours = hasattr(gc, "freeze") and gc.get_freeze_count() == 0
    if is_ours:
        gc.freeze()
    try:
        yield
    finally:
        if is_ours:
            gc.unfreeze()
