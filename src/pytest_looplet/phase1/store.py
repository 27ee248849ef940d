"""Where runs are claimed and their outcomes published: here in memory, for xdist workers in `shared_store.py`."""

from __future__ import annotations

import copy
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import pytest

from pytest_looplet.phase1.tally import Tally

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.result import RunResult

Key = tuple[str, ...]
T = TypeVar("T")

ATTEMPTS = 2  # a run that ends its process is tried this often
POLL_S = 0.02  # how often a worker looks what another process has done


@dataclass
class Outcome:
    """One executed run: a result or an error (or both), and what there is to tell about it."""

    result: RunResult | None = None
    error: str | None = None
    backend: str = ""
    model: str = ""
    stale: str | None = None
    trace: str | None = None  # relative to rootdir
    workdir: str | None = None  # likewise; None for an agent that asks for none
    stdout: str = ""
    stderr: str = ""
    log: str = ""
    spare: RunResult | None = None  # a copy for the first eval, made where nobody waits for it

    def own_result(self) -> RunResult | None:
        """A copy of the result: what one eval changes is not what the next one scores."""
        spare, self.spare = self.spare, None
        return own_copy(self.result) if spare is None else spare


def own_copy(value: T) -> T:
    """An object that cannot be copied is shared."""
    try:
        return copy.deepcopy(value)
    except Exception:  # noqa: BLE001  # boundary: whatever an agent returned
        return value


class Claim:
    """The right to execute one run. `attempts` counts earlier executions that ended their process."""

    def __init__(self, attempts: int = 0, handle: int | None = None) -> None:
        self.attempts = attempts
        self._handle = handle

    def release(self) -> None:
        if self._handle is not None:
            os.close(self._handle)  # closing unlocks
            self._handle = None


class Store(Protocol):
    tally: Tally

    def claim(self, key: Key) -> Claim | None:
        """Take the run; None when somebody has it or its outcome is published."""

    def publish(self, key: Key, outcome: Outcome) -> None:
        """Make the outcome known to all. The first one stands."""

    def published(self, key: Key) -> bool: ...

    def get(self, key: Key) -> Outcome | None: ...

    def once(self, name: str, action: Callable[[], None]) -> None:
        """Do `action` in the first process that comes here; the others wait until it is done."""


STORE = pytest.StashKey[Store]()


class MemoryStore:
    """The store of a session without workers."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._claimed: set[Key] = set()
        self._outcomes: dict[Key, Outcome] = {}
        self._done: set[str] = set()

    def claim(self, key: Key) -> Claim | None:
        if key in self._claimed:
            return None
        self._claimed.add(key)
        return Claim()

    def publish(self, key: Key, outcome: Outcome) -> None:
        self._outcomes.setdefault(key, outcome)

    def published(self, key: Key) -> bool:
        return key in self._outcomes

    def get(self, key: Key) -> Outcome | None:
        return self._outcomes.get(key)

    def once(self, name: str, action: Callable[[], None]) -> None:
        if name not in self._done:
            self._done.add(name)
            action()
