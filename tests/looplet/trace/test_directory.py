from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.traces import Script, cheese_run, large_result, write_trace

from looplet.errors import TraceError
from looplet.trace.directory import TraceDirectory, is_finished, whole_lines
from looplet.trace.journal import JournalWriter
from looplet.trace.read import load_trace, read_journal

if TYPE_CHECKING:
    from pathlib import Path

UNFINISHED = cheese_run()[:-1]


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_given_directory_is_the_trace_and_missing_parents_are_made(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "a" / "b", cheese_run())
    assert sorted(file.name for file in trace.iterdir()) == [".gitignore", "journal.jsonl", "trace.txt"]
    assert (trace / ".gitignore").read_text() == "*\n"


def test_only_the_owner_may_read_a_trace(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir(mode=0o755)
    trace = write_trace(tmp_path / "t", cheese_run())
    assert mode(trace) == 0o700
    assert {mode(file) for file in trace.iterdir()} == {0o600}


def test_a_shared_trace_has_the_usual_permissions_and_can_be_committed(tmp_path: Path) -> None:
    (tmp_path / "probe").touch()
    trace = write_trace(tmp_path / "t", cheese_run(), shared=True)
    assert {mode(file) for file in trace.iterdir()} == {mode(tmp_path / "probe")}
    assert not (trace / ".gitignore").exists()


def test_a_directory_with_other_files_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").write_text("years of work")
    with pytest.raises(TraceError, match=r"is not a trace: it has no journal.jsonl but other files \('thesis.doc'"):
        write_trace(tmp_path, cheese_run())
    assert [file.name for file in tmp_path.iterdir()] == ["thesis.doc"]


def test_a_finished_trace_is_set_aside_and_removed_when_the_new_one_is_complete(tmp_path: Path) -> None:
    write_trace(tmp_path / "t", cheese_run())
    writer = JournalWriter(tmp_path / "t")
    for event in UNFINISHED:
        writer.write(event)
    assert load_trace(tmp_path / "t.previous").stop_reason == "done"
    writer.write(cheese_run()[-1])
    writer.close()
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    assert load_trace(tmp_path / "t").stop_reason == "done"


def test_a_finished_trace_stays_when_the_new_one_never_completes(tmp_path: Path) -> None:
    write_trace(tmp_path / "t", cheese_run())
    write_trace(tmp_path / "t", UNFINISHED)
    assert load_trace(tmp_path / "t.previous").stop_reason == "done"


def test_an_unfinished_trace_is_never_removed(tmp_path: Path) -> None:
    for _ in range(2):
        write_trace(tmp_path / "t", UNFINISHED)
    write_trace(tmp_path / "t", cheese_run())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["t", "t.previous", "t.previous-2"]


def test_files_of_yours_in_a_finished_trace_survive(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t", cheese_run())
    (trace / "notes.md").write_text("mine")
    (trace / "blobs").mkdir()
    (trace / "blobs" / "drawing.svg").write_text("mine, too")
    write_trace(trace, cheese_run())
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.glob("t.previous/**/*") if path.is_file())
    assert left == ["t.previous/blobs/drawing.svg", "t.previous/notes.md"]


def test_what_a_killed_process_left_half_written_is_removed_with_its_trace(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t", [*cheese_run()[:-4], *large_result("x" * 200_000), cheese_run()[-1]])
    (trace / ".trace.txt.tmp").write_text("looplet tr")
    (trace / "blobs" / f".{'0' * 64}.json.tmp").write_text("[1, 2")
    write_trace(trace, cheese_run())
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_run_killed_before_its_first_line_leaves_nothing_to_keep(tmp_path: Path) -> None:
    (tmp_path / "t").mkdir()
    (tmp_path / "t" / "journal.jsonl").touch()
    write_trace(tmp_path / "t", cheese_run())
    assert [path.name for path in tmp_path.iterdir()] == ["t"]


def test_a_torn_end_is_not_a_finished_run(tmp_path: Path) -> None:
    journal = write_trace(tmp_path / "t", cheese_run()) / "journal.jsonl"
    assert is_finished(journal)
    journal.write_bytes(journal.read_bytes()[:-5])
    assert not is_finished(journal)


def test_a_journal_cut_anywhere_is_gone_on_with_after_the_lines_its_readers_see(tmp_path: Path) -> None:
    whole = (write_trace(tmp_path / "t", cheese_run()) / "journal.jsonl").read_bytes()
    last = whole.rfind(b"\n", 0, -1) + 1
    for end in range(last, len(whole) + 1):
        (tmp_path / "t" / "journal.jsonl").write_bytes(whole[:end])
        seen = read_journal(tmp_path / "t")
        TraceDirectory(tmp_path / "t", resume=True).close()
        assert read_journal(tmp_path / "t") == seen.replace(notice=None)
        assert (tmp_path / "t" / "journal.jsonl").read_bytes() == whole_lines(whole[:end])


def test_two_runs_of_one_process_cannot_share_a_trace(tmp_path: Path) -> None:
    first = JournalWriter(tmp_path / "t")
    first.write(cheese_run()[0])
    with pytest.raises(
        TraceError, match=r"another run is writing its trace to .*; give every run a directory of its own"
    ):
        write_trace(tmp_path / "t", cheese_run())
    for event in cheese_run()[1:]:
        first.write(event)
    first.close()
    assert load_trace(tmp_path / "t").stop_reason == "done"


HOLD = """
import sys
from looplet.trace.journal import JournalWriter
from tests.support.traces import cheese_run
writer = JournalWriter(sys.argv[1])
for event in cheese_run()[:4]:
    writer.write(event)
print("holding", flush=True)
sys.stdin.read()
"""


def hold(path: Path) -> subprocess.Popen[str]:
    """Another process that is in the middle of a run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "holding\n"
    return process


def test_two_processes_never_write_one_trace_and_a_killed_one_frees_it(tmp_path: Path) -> None:
    process = hold(tmp_path / "t")
    try:
        with pytest.raises(TraceError, match="another run is writing"):
            write_trace(tmp_path / "t", cheese_run())
    finally:
        process.kill()
        process.communicate()
    killed = read_journal(tmp_path / "t")
    assert len(killed.events) == 3  # all that was acknowledged; ModelCalled stands with its reply
    write_trace(tmp_path / "t", cheese_run())
    assert read_journal(tmp_path / "t.previous").events == killed.events


def test_of_two_processes_that_start_together_one_gets_the_trace(tmp_path: Path) -> None:
    first = TraceDirectory(tmp_path / "t")
    (tmp_path / "t" / "journal.jsonl").unlink()  # as if the other one had just moved it aside
    second = TraceDirectory(tmp_path / "t")
    with pytest.raises(TraceError, match="another run"):
        TraceDirectory(tmp_path / "t")
    first.close()
    second.close()


def test_of_two_processes_that_find_nothing_only_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def appear(self: Path, **options: object) -> None:  # the other one is faster
        monkeypatch.undo()
        write_trace(self, UNFINISHED)

    monkeypatch.setattr("pathlib.Path.mkdir", appear)
    with pytest.raises(TraceError, match="another run is writing its trace"):
        write_trace(tmp_path / "t", cheese_run())
    assert read_journal(tmp_path / "t").finished is None


def test_a_directory_that_cannot_be_written_is_an_error_at_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: Path, **options: object) -> None:  # not by permissions: root may write anywhere
        raise PermissionError(13, "Permission denied", str(self))

    monkeypatch.setattr("pathlib.Path.mkdir", refuse)
    with pytest.raises(TraceError, match=r"cannot write a trace to .* give a directory you may write to"):
        write_trace(tmp_path / "t", cheese_run())


def test_a_file_in_place_of_the_directory_is_an_error_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "t").write_text("")
    with pytest.raises(TraceError, match=r"cannot write a trace to .*Not a directory"):
        write_trace(tmp_path / "t", Script().finish())


@pytest.mark.parametrize("number", [errno.ENOLCK, errno.EOPNOTSUPP])
def test_a_file_system_without_locks_is_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("looplet.trace.directory.fcntl.flock", refuse)
    assert load_trace(write_trace(tmp_path / "t", cheese_run())).stop_reason == "done"


def test_a_lock_that_fails_otherwise_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(descriptor: int, how: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr("looplet.trace.directory.fcntl.flock", refuse)
    with pytest.raises(TraceError, match=r"cannot write a trace to .*Input/output error"):
        write_trace(tmp_path / "t", cheese_run())


def test_a_schema_of_another_version_is_an_error_that_says_what_to_do(tmp_path: Path) -> None:
    journal = write_trace(tmp_path / "t", cheese_run()) / "journal.jsonl"
    journal.write_text(journal.read_text().replace('"schema":1', '"schema":2', 1))
    with pytest.raises(TraceError, match="has schema 2; this looplet reads 1; read it with a newer one"):
        read_journal(tmp_path / "t")


def test_a_journal_with_the_line_ends_of_windows_is_read(tmp_path: Path) -> None:
    journal = write_trace(tmp_path / "t", cheese_run(), shared=True) / "journal.jsonl"
    before = read_journal(tmp_path / "t")
    journal.write_bytes(journal.read_bytes().replace(b"\n", b"\r\n"))  # git may do that to a recording
    assert read_journal(tmp_path / "t") == before
