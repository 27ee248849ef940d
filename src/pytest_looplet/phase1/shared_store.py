"""The store of a session with xdist workers: a directory that they share.

A claim is a file lock, which the kernel frees when its holder dies, and an outcome appears under its name all at once.
So every run is executed once whatever the workers do, and the run of a killed worker is taken over by its replacement.
"""

from __future__ import annotations

import hashlib
import os
import pickle
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pytest_looplet.phase1.store import ATTEMPTS, POLL_S, Claim, Outcome
from pytest_looplet.phase1.tally import FileTally, Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pytest_looplet.phase1.store import Key

_REPLACEMENT_S = 30.0  # how long a run whose worker died is left to that worker's replacement


class FileStore:
    """The store of a session with workers: a private directory made by the controller."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.tally: Tally = FileTally(folder / "tally")
        self._outcomes: dict[Key, Outcome] = {}
        self._born = time.time()
        self._orphans: dict[Key, float] = {}  # when we first saw the run of a dead worker
        self._is_scheduled = False

    def claim(self, key: Key) -> Claim | None:
        if self.published(key):
            return None
        handle = self._lock(f"{_name(key)}.claim", wait=False)
        if handle is None:
            return None
        if self.published(key):
            os.close(handle)
            return None
        attempts = os.lseek(handle, 0, os.SEEK_END)  # one byte an attempt
        if 0 < attempts < ATTEMPTS and self._is_for_replacement(key, begun=os.fstat(handle).st_mtime):
            os.close(handle)
            return None
        os.write(handle, b"x")
        return Claim(attempts, handle)

    def publish(self, key: Key, outcome: Outcome) -> None:
        path = self._path(key)
        partial = path.with_suffix(f".{os.getpid()}")
        partial.write_bytes(_dumps(outcome))
        try:
            os.link(partial, path)
        except FileExistsError:
            pass  # the first one stands
        else:
            self._outcomes[key] = outcome
        partial.unlink()

    def published(self, key: Key) -> bool:
        return key in self._outcomes or self._path(key).exists()

    def get(self, key: Key) -> Outcome | None:
        if key not in self._outcomes and self._path(key).exists():
            self._outcomes[key] = _loads(self._path(key).read_bytes())
        return self._outcomes.get(key)

    def once(self, name: str, action: Callable[[], None]) -> None:
        handle = self._lock(f"{name}.once", wait=True)
        assert handle is not None, "a blocking lock was granted"  # noqa: S101  # for the type checker
        try:
            if os.lseek(handle, 0, os.SEEK_END) == 0:
                action()
                os.write(handle, b"x")
        finally:
            os.close(handle)

    def note_schedule(self) -> None:
        """Say that the controller begins to distribute items (or to send workers home)."""
        if not self._is_scheduled:
            self._scheduled.touch()
            self._is_scheduled = True

    def wait_for_schedule(self) -> None:
        """Return once items are distributed: xdist cannot cope with a worker that dies between collection and then."""
        while not self._scheduled.exists():
            time.sleep(POLL_S)

    def enter_phase_1(self, worker: str) -> None:
        (self.folder / f"{worker}.phase1").touch()

    def leave_phase_1(self, worker: str) -> None:
        (self.folder / f"{worker}.phase1").unlink()

    def is_in_phase_1(self, worker: str) -> bool:
        return (self.folder / f"{worker}.phase1").exists()

    @property
    def _scheduled(self) -> Path:
        return self.folder / "scheduled"

    def _is_for_replacement(self, key: Key, *, begun: float) -> bool:
        """Say whether a run that ended its process is left to a worker that started after it.

        Were it tried at once by a worker that is already there, a second one might die while xdist has not dealt with
        the death of the first: some of its schedulers fail then. If no replacement comes, anybody may try.
        """
        if self._born > begun:
            return False
        now = time.monotonic()
        return now - self._orphans.setdefault(key, now) < _REPLACEMENT_S

    def _path(self, key: Key) -> Path:
        return self.folder / f"{_name(key)}.outcome"

    def _lock(self, name: str, *, wait: bool) -> int | None:
        import fcntl  # POSIX only, and only with workers

        handle = os.open(self.folder / name, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            os.close(handle)
            return None
        return handle


def _name(key: Key) -> str:
    return hashlib.sha256("\0".join(key).encode()).hexdigest()[:32]


def _dumps(outcome: Outcome) -> bytes:
    """Two pickles: what is always plain, then the result, which may hold objects of any kind."""
    result = outcome.result
    try:
        packed = pickle.dumps(result)
    except Exception:  # noqa: BLE001  # a stranger's __reduce__ may raise anything
        packed = pickle.dumps(_from_trace(result))
    return pickle.dumps((replace(outcome, result=None, spare=None), result and result.trace_dir, packed))


def _loads(data: bytes) -> Outcome:
    outcome, trace_dir, packed = pickle.loads(data)  # noqa: S301  # our own file in a private directory
    try:
        result = pickle.loads(packed)  # noqa: S301  # as above
    except Exception:  # noqa: BLE001  # a class that only the other worker can import
        result = _load_trace(trace_dir)
    loaded: Outcome = replace(outcome, result=result)
    return loaded


def _from_trace(result: Any) -> Any:
    """The JSON form of a result whose objects cannot be sent to another process."""
    return _load_trace(result.trace_dir).replace(all=tuple(_from_trace(one) for one in result.all))


def _load_trace(folder: str) -> Any:
    from looplet.trace.read import load_trace

    return load_trace(folder)
