"""The state folder: nothing of anybody else's is ever touched, and one process at a time has it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from looplet import CheckpointHook, MockLLMBackend, ToolCall, composable_loop
from looplet.examples.cleanup.contacts import example
from looplet.examples.cleanup.state_folder import StateError, StateFolder

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state"


def with_run(state: StateFolder) -> None:
    state.prepare()
    list(
        composable_loop(MockLLMBackend([ToolCall("done", {"answer": ""})]), "t", [], hooks=[CheckpointHook(state.run)])
    )


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def test_a_new_folder_gets_the_table(path: Path) -> None:
    with StateFolder(path) as state:
        assert (state.used, state.stop_reason) == (False, None)
        state.prepare()
        assert state.used
        assert state.contacts.rows() == example()


def test_a_table_that_is_there_stays(path: Path) -> None:
    with StateFolder(path) as state:
        state.prepare()
        state.contacts.delete([1])
        state.prepare()
        assert len(state.contacts.rows()) == 47


def test_the_end_of_its_run_is_known(path: Path) -> None:
    with StateFolder(path) as state:
        with_run(state)
        assert state.stop_reason == "done"


@pytest.mark.parametrize("journal", [b"", b'{"event": "run_sta'])
def test_a_run_killed_before_its_first_line_is_none(path: Path, journal: bytes) -> None:
    with StateFolder(path) as state:
        state.run.mkdir()
        (state.run / "journal.jsonl").write_bytes(journal)
        assert state.stop_reason is None


def test_a_run_without_its_table_is_not_gone_on_with(path: Path) -> None:
    with StateFolder(path) as state:
        with_run(state)
        (path / "contacts.csv").unlink()
        with pytest.raises(StateError, match=r"holds a run but no contacts.csv; --clean begins anew"):
            state.prepare()


def test_earlier_states_are_put_aside_one_beside_the_other(path: Path) -> None:
    for number in (1, 2):
        with StateFolder(path) as state:
            state.prepare()
            state.contacts.delete([number])
            state.put_aside()
            assert not state.used
    assert names(path.parent) == ["state", "state.previous", "state.previous-2"]
    first = StateFolder(path.parent / "state.previous").contacts.rows()[0]
    assert first["id"] == "2", "the earliest keeps the first name"


def test_clean_removes_this_state_and_those_put_aside_and_nothing_else(path: Path) -> None:
    (path.parent / "state.previous-copy").mkdir()
    with StateFolder(path) as state:
        state.prepare()
        state.put_aside()
        with_run(state)
        assert state.wipe() == [path, path.parent / "state.previous"]
        assert not state.used
        assert state.wipe() == []
    assert names(path.parent) == ["state", "state.previous-copy"]


@pytest.mark.parametrize("where", ["state", "state.previous"])
def test_a_folder_with_foreign_files_is_left_alone(path: Path, where: str) -> None:
    foreign = path.parent / where
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("years of work")
    message = "is not the state of a data_agent: it holds 'thesis.txt'; give a new folder"
    with pytest.raises(StateError, match=message), StateFolder(path) as state:
        state.wipe()
    assert names(foreign) == ["thesis.txt"]


def test_a_second_process_is_kept_out(path: Path) -> None:
    message = r"another data_agent works in .*; wait for it, or give another --dir"
    with StateFolder(path), pytest.raises(StateError, match=message):
        StateFolder(path).__enter__()
    with StateFolder(path):
        pass


def test_the_lock_goes_on_with_a_new_folder(path: Path) -> None:
    with StateFolder(path) as state:
        state.prepare()
        state.put_aside()
        with pytest.raises(StateError, match="another data_agent works"):
            StateFolder(path).__enter__()


def test_the_current_directory_may_be_the_folder(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.mkdir()
    monkeypatch.chdir(path)
    with StateFolder(type(path)(".")) as state:
        state.prepare()
        assert state.put_aside() == path.resolve().with_name("state.previous")
