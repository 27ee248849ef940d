"""Phase 1 as the controller of xdist workers sees it: it shows how far they are, and tells them when to stop."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.phase1.progress import TICK_S, session_progress

if TYPE_CHECKING:
    from pytest_looplet.phase1.progress import Progress
    from pytest_looplet.phase1.tally import Tally

_EVENT = "looplet_progress"


class RemotePhase:
    """Hooks of the controller. A thread asks for a look every tick; the look is taken between two events of xdist, on
    the main thread, where nobody else writes.
    """

    def __init__(self, config: pytest.Config, tally: Tally) -> None:
        self._tally = tally
        self._config = config
        self._progress: Progress | None = None
        self._over = threading.Event()
        self._is_asked = False

    def begin(self) -> None:
        """Items are about to be distributed."""
        self._progress = session_progress(self._config, self._tally, lambda write: write())
        session: Any = self._config.pluginmanager.get_plugin("dsession")
        if self._progress is None or session is None:
            return
        # xdist calls worker_<name> for each event; it has no hook for one of another's
        setattr(session, f"worker_{_EVENT}", self._look)
        threading.Thread(target=self._ask, args=(session.queue,), name="looplet-progress", daemon=True).start()

    def _ask(self, events: Any) -> None:
        while not self._over.wait(TICK_S):
            if not self._is_asked:
                self._is_asked = True
                events.put((_EVENT, {}))

    def _look(self) -> None:
        self._is_asked = False
        if self._progress is None or self._over.is_set():
            return
        self._progress.tick()
        if self._tally.total and self._tally.finished + self._tally.not_run >= self._tally.total:
            self._end()

    def _end(self) -> None:
        if self._progress is not None and not self._over.is_set():
            self._over.set()
            self._progress.close()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logstart(self) -> None:
        """Evals begin when the runs have ended; a report may come earlier, of a worker that died."""
        self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self) -> None:
        self._free_line()

    @pytest.hookimpl(tryfirst=True, optionalhook=True)
    def pytest_testnodedown(self) -> None:
        self._free_line()

    def _free_line(self) -> None:
        if self._progress is not None:
            self._progress.end_line()

    @pytest.hookimpl(tryfirst=True)
    def pytest_keyboard_interrupt(self) -> None:
        self._tally.halt()
        self._end()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self) -> None:
        """Workers may still be running agents, after an internal error for example."""
        self._tally.halt()
        self._end()
