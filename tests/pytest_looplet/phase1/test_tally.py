"""Counting runs, in one process and in several."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pytest_looplet.phase1.tally import FileTally, Tally

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    MakeTally = Callable[[], Tally]


@pytest.fixture(params=["memory", "file"])
def make_tally(request: pytest.FixtureRequest, tmp_path: Path) -> MakeTally:
    return Tally if request.param == "memory" else lambda: FileTally(tmp_path / "tally")


def test_runs_are_counted_from_their_begin_to_their_end(make_tally: MakeTally) -> None:
    tally = make_tally()
    tally.expect(3)
    for name in "abc":
        tally.begin(name)
    tally.end("a", error=False, cost=0.25)
    tally.end("b", error=True)
    tally.leave_out("c", "not run: -x", hurry=True)
    assert (tally.total, tally.finished, tally.errors, tally.not_run) == (3, 2, ["b"], 1)
    assert (tally.running, tally.stopped, tally.stopped_in_a_hurry) == ({}, "not run: -x", True)
    assert (tally.spent, tally.is_paid) == (0.25, True)
    assert tally.mean_s is not None


def test_what_was_never_priced_was_not_paid(make_tally: MakeTally) -> None:
    tally = make_tally()
    tally.begin("a")
    tally.end("a", error=False)
    assert (tally.spent, tally.is_paid) == (0.0, False)
    tally.spend(0.5)
    assert (tally.spent, tally.is_paid) == (0.5, True)


def _spend(tally: Tally, times: int) -> None:
    for _ in range(times):
        tally.spend(1)


def test_threads_lose_nothing(make_tally: MakeTally) -> None:
    tally = make_tally()
    threads = [threading.Thread(target=_spend, args=(tally, 50)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    tally.refresh()
    assert tally.spent == 200


def test_processes_share_one_file(tmp_path: Path) -> None:
    ours = FileTally(tmp_path / "tally")
    ours.expect(2)
    code = f"""
from pathlib import Path
from pytest_looplet.phase1.tally import FileTally
tally = FileTally(Path({str(tmp_path / "tally")!r}))
tally.expect(2)
tally.begin("a")
tally.end("a", error=False, cost=0.5)
assert tally.total == 2
"""
    subprocess.run([sys.executable, "-c", code], check=True)
    assert ours.finished == 0
    ours.refresh()
    assert (ours.total, ours.finished, ours.spent) == (2, 1, 0.5)


def test_a_line_cut_short_by_a_killed_process_hides_only_itself_and_the_next(tmp_path: Path) -> None:
    tally = FileTally(tmp_path / "tally")
    with (tmp_path / "tally").open("ab") as file:
        file.write(b'["begin", 1.0, {"na')
    tally.refresh()
    tally.begin("lost with it")
    tally.begin("b")
    assert list(tally.running) == ["b"]


def test_every_process_learns_that_the_session_was_interrupted(tmp_path: Path) -> None:
    one, other = FileTally(tmp_path / "tally"), FileTally(tmp_path / "tally")
    one.halt()
    other.refresh()
    assert other.halted
