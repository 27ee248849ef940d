"""What is done while agents wait for their models, so that no run and no eval has to wait for it later."""

from __future__ import annotations

import gc
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import chain
from typing import TYPE_CHECKING

import pytest

from looplet._record import compile_inits
from pytest_looplet.cells import cell_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE = 8  # items or directories: less than a millisecond
_FROZEN_AT_START = 1000  # CPython 3.12 freezes some 400 objects of its own; who freezes a program, all it has loaded
_NOTHING = object()
_SOON = (
    "looplet.backends.openai_wire",  # with which a scripted model reads what it is asked
    "pytest_looplet.reporting.digests",
    "pytest_looplet.reporting.entries",
    "pytest_looplet.item",
    "looplet.evals.stats",
    "looplet.evals.report",
    "pytest_looplet.reporting.verdicts",
    "pytest_looplet.reporting.summary",
)


class Chores:
    """Work in small pieces: what can be done `early`, and what must come `late`, when no run is left to start. Whoever
    does a piece looks after the runs again before the next one.
    """

    def __init__(self, early: Iterable[object] = (), late: Iterable[object] = ()) -> None:
        self._early, self._late = iter(early), iter(late)

    def do_a_piece(self, *, is_late: bool) -> bool:
        """False when nothing is left to do for now."""
        ready = chain(self._early, self._late) if is_late else self._early
        return next(ready, _NOTHING) is not _NOTHING

    def do_the_rest(self) -> None:
        """Of what was put off. The rest of what could be done early is done where it is needed."""
        for _ in self._late:
            pass


def get_ready(items: Iterable[pytest.Item]) -> Iterator[None]:
    """Do what the first runs to come back would all do at once, each of them holding up the others; then for the evals
    what has to be done anyway. What fails here fails again where it can be told.
    """
    yield from compile_inits()
    for module in _SOON:
        import_module(module)
        yield
    from pytest_looplet.reporting.digests import case_digest, eval_digest

    for number, item in enumerate(items):
        cell = cell_of(item)
        if cell is not None and isinstance(item, pytest.Function):
            with suppress(Exception):
                item.location  # noqa: B018  # pytest works it out when it is first asked for
                eval_digest(item)
                case_digest(item, cell)
        if number % PIECE == 0:
            yield


@contextmanager
def heap_at_rest() -> Iterator[None]:
    """Keep the objects that are there out of garbage collections for now. A full one looks at all that pytest has
    collected and imported, 20 ms in which no run goes on. Without effect where somebody else froze them, and on PyPy.
    """
    is_ours = hasattr(gc, "freeze") and gc.get_freeze_count() <= _FROZEN_AT_START
    if is_ours:
        gc.freeze()
    try:
        yield
    finally:
        if is_ours:
            gc.unfreeze()
