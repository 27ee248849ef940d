"""Ctrl-C and its like: phase 1 ends at once, in every process, and what has finished is kept and said."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pytest_looplet.phase1.progress import money

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest

    from pytest_looplet.phase1.tally import Tally


@contextmanager
def terminable(is_wanted: Callable[[], bool] = lambda: True) -> Iterator[None]:
    """Let SIGTERM interrupt this block as Ctrl-C does, so that the session can say what has finished.

    Somebody else's handler stays. While `is_wanted` says no, the process ends as it always would.
    """

    def interrupt(number: int, _frame: object) -> None:
        if is_wanted():
            raise KeyboardInterrupt
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


class Leash:
    """What ties a worker to its controller: when that one was interrupted, or is gone, phase 1 ends here, too."""

    def __init__(self, tally: Tally) -> None:
        self._tally = tally
        self._parent = os.getppid()

    def check(self) -> None:
        self._tally.refresh()
        if self._tally.halted or (self._tally.is_shared and os.getppid() != self._parent):
            raise KeyboardInterrupt


def scoring_again(config: pytest.Config) -> str:
    """The command that scores the runs of this session without another call to a model."""
    folder = os.path.relpath(config.rootpath / ".looplet" / "runs", config.invocation_params.dir)
    return f"pytest --looplet-traces {folder}"


def ending(tally: Tally, config: pytest.Config) -> list[str]:
    """What there is to say of a phase 1 that did not come to its end."""
    tally.refresh()
    if not tally.total or tally.finished >= tally.total:
        return []
    counted = f"{tally.finished} of {tally.total} runs finished"
    if tally.stopped is None or tally.stopped_in_a_hurry:
        return [f"looplet: {counted}; score them with: {scoring_again(config)}"]
    spent = f" ({money(tally.spent)} spent)" if tally.is_paid else ""
    return [f"looplet: {tally.stopped.removeprefix('not run: ')}{spent}; {counted}"]
