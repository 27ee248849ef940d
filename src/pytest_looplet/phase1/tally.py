"""How far phase 1 is: counts that progress, cost limits and `-x` look at, in memory or shared by xdist workers."""

from __future__ import annotations

import json
import os
import threading
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


class Tally:
    """What has begun and ended. Times are seconds since the epoch: several processes add to one tally."""

    is_shared = False

    def __init__(self) -> None:
        self.total = 0
        self.began: float | None = None
        self.running: dict[str, float] = {}  # name → since when
        self.finished = 0
        self.errors: list[str] = []  # names, in the order of their end
        self.not_run = 0
        self.stopped: str | None = None  # why nothing more was started
        self.stopped_in_a_hurry = False  # ... and what was in flight was left behind
        self.halted = False  # the session was interrupted
        self.spent = 0.0  # of what has a known price
        self.is_paid = False
        self._seconds = 0.0
        self._lock = threading.Lock()

    @property
    def mean_s(self) -> float | None:
        """How long a run took."""
        return self._seconds / self.finished if self.finished else None

    def refresh(self) -> None:
        """Learn what other processes noted."""

    def expect(self, total: int) -> None:
        self._note("expect", total=total)

    def begin(self, name: str) -> None:
        self._note("begin", name=name)

    def end(self, name: str, *, error: bool, cost: float | None = None) -> None:
        """A run has come to its end. `cost` is None where nothing is paid or no price is known."""
        self._note("end", name=name, error=error, cost=cost)

    def leave_out(self, name: str, why: str, *, hurry: bool) -> None:
        """A run is not executed, or not to its end."""
        self._note("leave_out", name=name, why=why, hurry=hurry)

    def halt(self) -> None:
        """Ask every process to end phase 1."""
        self._note("halt")

    def spend(self, cost: float) -> None:
        """Something besides runs was paid: a judge."""
        self._note("spend", cost=cost)

    def _note(self, kind: str, **fields: Any) -> None:
        self._apply(kind, time.time(), fields)

    def _apply(self, kind: str, now: float, fields: dict[str, Any]) -> None:
        with self._lock:  # judges may be asked from several threads
            getattr(self, f"_on_{kind}")(now, **fields)

    def _on_expect(self, now: float, total: int) -> None:
        self.total = max(self.total, total)  # every worker says the same number
        self.began = now if self.began is None else min(self.began, now)

    def _on_begin(self, now: float, name: str) -> None:
        self.running[name] = now

    def _on_end(self, now: float, name: str, error: bool, cost: float | None) -> None:
        self._seconds += now - self.running.pop(name, now)
        self.finished += 1
        if error:
            self.errors.append(name)
        if cost is not None:
            self._on_spend(now, cost)

    def _on_leave_out(self, _now: float, name: str, why: str, hurry: bool) -> None:
        self.running.pop(name, None)
        self.not_run += 1
        self.stopped = self.stopped or why
        self.stopped_in_a_hurry = hurry

    def _on_halt(self, _now: float) -> None:
        self.halted = True

    def _on_spend(self, _now: float, cost: float) -> None:
        self.spent += cost
        self.is_paid = True


class FileTally(Tally):
    """One file that every process appends lines to, and reads on from where it stopped reading."""

    is_shared = True

    def __init__(self, path: Path) -> None:
        super().__init__()
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        self._read = 0
        self._reading = threading.Lock()

    def refresh(self) -> None:
        with self._reading:
            data = os.pread(self._file, max(0, os.fstat(self._file).st_size - self._read), self._read)
            whole = data[: data.rfind(b"\n") + 1]
            self._read += len(whole)
            for line in whole.splitlines():
                with suppress(ValueError):  # a process killed while it wrote
                    kind, now, fields = json.loads(line)
                    self._apply(kind, now, fields)

    def _note(self, kind: str, **fields: Any) -> None:
        os.write(self._file, json.dumps([kind, time.time(), fields]).encode() + b"\n")  # one write: lines stay whole
        self.refresh()

    def close(self) -> None:
        os.close(self._file)
