"""Where traces are while a run goes on, and afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_looplet.phase1.places import OWN_RESULT, Places

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "case-replay")


def _write(folder: Path, text: str) -> None:
    folder.mkdir(parents=True)
    (folder / "journal.jsonl").write_text(text)


def _found(places: Places) -> dict[str, str]:
    folder = places.trace.parent
    return {path.relative_to(folder).as_posix(): path.read_text() for path in sorted(folder.rglob("*.jsonl"))}


@pytest.mark.parametrize("number", [1, 2])
def test_the_trace_of_the_only_loop_is_the_directory_of_the_run(places: Places, number: int) -> None:
    _write(places.of_loop(number), "only")
    assert places.settle(3) == {str(places.of_loop(number)): str(places.trace)}
    assert _found(places) == {"case-replay/journal.jsonl": "only"}


def test_several_keep_their_numbers(places: Places) -> None:
    for number in (1, 2, 11):
        _write(places.of_loop(number), str(number))
    moves = places.settle(12)
    assert moves == {str(places.of_loop(number)): str(places.trace / f"run_{number}") for number in (1, 2, 11)}
    assert _found(places) == {f"case-replay/run_{number}/journal.jsonl": str(number) for number in (1, 11, 2)}


def test_the_result_of_the_agent_itself_stands_beside_the_loops(places: Places) -> None:
    _write(places.of_loop(1), "loop")
    _write(places.of_own_result, "own")
    places.settle(1)
    assert _found(places) == {"case-replay/journal.jsonl": "loop", f"case-replay/{OWN_RESULT}/journal.jsonl": "own"}


@pytest.mark.parametrize("loops", [1, 2])
def test_what_was_there_before_makes_room(places: Places, loops: int) -> None:
    _write(places.trace / "run_3", "old")
    for number in range(1, loops + 1):
        _write(places.of_loop(number), "new")
    places.settle(loops)
    assert set(_found(places).values()) == {"new"}


def test_loops_that_never_began_leave_nothing(places: Places) -> None:
    places.of_loop(1).mkdir(parents=True)
    assert places.settle(2) == {}
    assert list(places.trace.parent.iterdir()) == []


def test_an_earlier_attempt_is_cleared_and_other_runs_stay(tmp_path: Path) -> None:
    places, other = Places(tmp_path / "a"), Places(tmp_path / "a-t2")
    for folder in (places.of_loop(1), places.of_loop(2), places.of_own_result, other.of_loop(1)):
        _write(folder, folder.name)
    places.clear()
    assert list(_found(places)) == ["a-t2.partial/run_1/journal.jsonl"]
