"""Claiming and publishing: the laws both stores keep, and what only the shared one does."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from looplet.result import RunResult
from pytest_looplet.phase1.shared_store import FileStore
from pytest_looplet.phase1.store import MemoryStore, Outcome, Store

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

KEY = ("file", "agent", "case", "backend")

KILLED = (
    "import os, pathlib, signal, sys\n"
    "from pytest_looplet.phase1.shared_store import FileStore\n"
    "assert FileStore(pathlib.Path(sys.argv[1])).claim(tuple(sys.argv[2:])) is not None\n"
    "os.kill(os.getpid(), signal.SIGKILL)\n"
)


def _claim_and_die(folder: Path) -> None:
    finished = subprocess.run([sys.executable, "-c", KILLED, str(folder), *KEY], check=False)
    assert finished.returncode < 0


@pytest.fixture(params=["memory", "file"])
def make_store(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[], Store]:
    """Make a view of one store; a file store is opened anew, as another worker would."""
    memory = MemoryStore()
    return lambda: memory if request.param == "memory" else FileStore(tmp_path)


def test_a_run_is_claimed_by_one_only(make_store: Callable[[], Store]) -> None:
    claim = make_store().claim(KEY)
    assert claim is not None
    assert claim.attempts == 0
    assert make_store().claim(KEY) is None
    assert make_store().claim((*KEY, "other")) is not None


def test_a_published_run_is_never_claimed_again_and_its_first_outcome_stands(make_store: Callable[[], Store]) -> None:
    store = make_store()
    claim = store.claim(KEY)
    assert claim is not None
    assert store.get(KEY) is None
    store.publish(KEY, Outcome(result=RunResult("done", output=1)))
    store.publish(KEY, Outcome(error="too late"))
    claim.release()
    for view in (store, make_store()):
        assert view.published(KEY)
        assert view.claim(KEY) is None
        outcome = view.get(KEY)
        assert outcome is not None
        assert outcome.result == RunResult("done", output=1)
        assert outcome.error is None


def test_once_means_once(make_store: Callable[[], Store]) -> None:
    done: list[int] = []
    for number in range(3):
        make_store().once("clean", lambda number=number: done.append(number))  # type: ignore[misc]  # a default binds it
    assert done == [0]


def test_a_run_published_while_its_claim_was_taken_is_not_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    FileStore(tmp_path).publish(KEY, Outcome())
    late = FileStore(tmp_path)
    looks = iter([False, True])
    monkeypatch.setattr(late, "published", lambda _key: next(looks))
    assert late.claim(KEY) is None


def test_threads_share_one_claim(tmp_path: Path) -> None:
    claims: list[Any] = []
    threads = [threading.Thread(target=lambda: claims.append(FileStore(tmp_path).claim(KEY))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claims) == 1


def test_a_worker_in_phase_1_is_known_as_long_as_it_is_there(tmp_path: Path) -> None:
    store = FileStore(tmp_path)
    assert not store.is_in_phase_1("gw0")
    store.enter_phase_1("gw0")
    assert FileStore(tmp_path).is_in_phase_1("gw0")
    store.leave_phase_1("gw0")
    assert not FileStore(tmp_path).is_in_phase_1("gw0")


def test_a_killed_process_frees_its_claim_and_counts_as_an_attempt(tmp_path: Path) -> None:
    for attempts in (1, 2):
        _claim_and_die(tmp_path)
        claim = FileStore(tmp_path).claim(("other", str(attempts)))
        assert claim is not None
        assert claim.attempts == 0, "it counts for its own run only"
    claim = FileStore(tmp_path).claim(KEY)
    assert claim is not None
    assert claim.attempts == 2


def test_the_run_of_a_killed_worker_is_left_to_its_replacement(tmp_path: Path) -> None:
    survivor = FileStore(tmp_path)
    _claim_and_die(tmp_path)
    assert survivor.claim(KEY) is None
    claim = FileStore(tmp_path).claim(KEY)
    assert claim is not None
    assert claim.attempts == 1


def test_a_run_no_replacement_comes_for_is_taken_by_a_survivor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    survivor = FileStore(tmp_path)
    _claim_and_die(tmp_path)
    now = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: now)
    assert survivor.claim(KEY) is None
    now += 29
    assert survivor.claim(KEY) is None
    now += 2
    claim = survivor.claim(KEY)
    assert claim is not None
    assert claim.attempts == 1


def test_a_run_that_was_tried_often_enough_waits_for_nobody(tmp_path: Path) -> None:
    survivor = FileStore(tmp_path)
    _claim_and_die(tmp_path)
    _claim_and_die(tmp_path)
    claim = survivor.claim(KEY)
    assert claim is not None
    assert claim.attempts == 2


def test_workers_wait_until_items_are_distributed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    waited: list[float] = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            FileStore(tmp_path).note_schedule()

    monkeypatch.setattr(time, "sleep", sleep)
    FileStore(tmp_path).wait_for_schedule()
    assert len(waited) == 3
