"""The line that says how far the runs are, or the judges: rewritten on a terminal, a few plain lines in a log."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

    from pytest_looplet.phase1.tally import Tally

TICK_S = 0.1  # no more often than this is anything drawn
_REDRAW_S = 1.0  # and this often when nothing happens
_LONG_S = 10.0  # a run that takes longer is named; a phase that takes longer is told in a log
_QUIET_S = 30.0


class Progress:
    """Call `tick` often. `rewrite` draws over the last line, None where there is no terminal; `write` adds a line.

    `what` is counted: runs, or evals judged.
    """

    def __init__(
        self,
        tally: Tally,
        rewrite: Callable[[str], None] | None,
        write: Callable[[str], None],
        *,
        what: str = "runs",
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._tally, self._rewrite, self._write, self._clock = tally, rewrite, write, clock
        self._what = what
        self._told_at: float | None = None
        self._told = ""
        self._tenths = 0
        self._is_open = False  # the cursor stands behind a line of ours

    def tick(self) -> None:
        now = self._clock()
        if self._told_at is not None and now - self._told_at < TICK_S:
            return
        self._tally.refresh()
        if not self._tally.total:
            return
        if self._rewrite is not None:
            self._draw(now)
        else:
            self._log(now)

    def end_line(self) -> None:
        """Let others write: end the line that is there."""
        if self._is_open:
            self._is_open = False
            self._write("")

    def close(self) -> None:
        """Show where it ended."""
        self._tally.refresh()
        if self._rewrite is not None and self._tally.total:
            self._rewrite(self._line(self._clock()))
            self._is_open = True
        self.end_line()

    def _draw(self, now: float) -> None:
        line = self._line(now)
        if line == self._told and self._told_at is not None and now - self._told_at < _REDRAW_S:
            return
        assert self._rewrite is not None, "asked before"  # noqa: S101  # for the type checker
        self._rewrite(line)
        self._told, self._told_at, self._is_open = line, now, True

    def _log(self, now: float) -> None:
        began = self._tally.began or now
        tenths = _ended(self._tally) * 10 // self._tally.total
        is_due = tenths > self._tenths or now - (self._told_at or began) >= _QUIET_S
        if now - began >= _LONG_S and is_due:
            self._write(self._line(now))
            self._told_at, self._tenths = now, tenths

    def _line(self, now: float) -> str:
        return progress_line(self._tally, now, self._what)


def progress_line(tally: Tally, now: float, what: str = "runs") -> str:
    """`looplet: 37/200 runs, 2 errors, $0.12, about 1 min 10 s left`."""
    parts = [f"looplet: {_ended(tally)}/{tally.total} {what}"]
    if tally.errors:
        parts.append(f"{len(tally.errors)} error{'s' * (len(tally.errors) != 1)}")
    if tally.is_paid:
        parts.append(money(tally.spent))
    running = list(tally.running.items())  # which judges change from threads of theirs
    if running:
        left = seconds_left(tally, now)
        if left is not None:
            parts.append(f"about {duration(left)} left")
        name, since = min(running, key=lambda entry: entry[1])
        if now - since >= _LONG_S:
            parts.append(f"{name} for {duration(now - since)}")
    return ", ".join(parts)


def seconds_left(tally: Tally, now: float) -> float | None:
    """What is left if every run takes as long as the finished ones did, as many at once as there are now."""
    mean, running = tally.mean_s, list(tally.running.values())
    if mean is None or not running:
        return None
    waiting = max(0, tally.total - _ended(tally) - len(running))
    begun = [max(0.0, mean - (now - since)) for since in running]
    return max(max(begun), (waiting * mean + sum(begun)) / len(running))


def money(amount: float) -> str:
    """To the cent; a smaller amount to the figure that says something."""
    return f"${amount:.2f}" if amount >= 0.1 or amount == 0 else f"${amount:.2g}" if amount >= 0.0001 else "<$0.0001"


def duration(seconds: float) -> str:
    """`8 s`, `40 s`, `1 min 10 s`, `2 h 5 min`: as exact as an estimate deserves."""
    whole = max(1, round(seconds))
    if whole > 10:
        whole = -(-whole // 5) * 5
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s" if whole % 60 else f"{whole // 60} min"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def _ended(tally: Tally) -> int:
    return tally.finished + tally.not_run


def session_progress(
    config: pytest.Config,
    tally: Tally,
    on_terminal: Callable[[Callable[[], None]], None],
    *,
    what: str = "runs",
) -> Progress | None:
    """The progress of this session, None where nothing is to be said. `on_terminal` calls what writes there."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or config.get_verbosity() < 0:
        return None

    def rewrite(line: str) -> None:
        width = max(20, reporter._tw.fullwidth - 1)  # noqa: SLF001  # as pytest's own plugins do; a longer line would wrap
        on_terminal(lambda: reporter.rewrite(line[:width], erase=True))

    def write(line: str) -> None:
        on_terminal(lambda: reporter.write_line(line))

    return Progress(tally, rewrite if getattr(reporter, "isatty", False) else None, write, what=what)
