"""A disk that fills up or cannot be written: a trace says that it is incomplete, a checkpoint stops the run."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import textwrap
import warnings
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.traces import cheese_run, long_run, write_trace, written

from looplet import CheckpointHook, MockLLMBackend, ProvenanceSink, RunResult, ToolCall, composable_loop, load_trace
from looplet.cli import main
from looplet.errors import TraceError
from looplet.trace.directory import INCOMPLETE, JOURNAL
from looplet.trace.journal import JournalWriter
from looplet.trace.read import read_journal
from looplet.trace.render import render_trace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from looplet.run import Run

FULL = OSError(errno.ENOSPC, "No space left on device")
READ_ONLY = OSError(errno.EROFS, "Read-only file system")
ran: list[str] = []


def search(query: str) -> str:
    """Find things."""
    ran.append(query)
    return f"{query} " * 2_000


def export() -> list[int]:
    """More than a line holds."""
    return list(range(40_000))


SCRIPT: list[Any] = [
    ToolCall("search", {"query": "a"}),
    ToolCall("export", {}),
    ToolCall("search", {"query": "b"}),
    ToolCall("done", {"answer": "x"}),
]


def agent(*hooks: object, asked: int = 0, **options: Any) -> Run:
    ran.clear()
    return composable_loop(
        MockLLMBackend(SCRIPT[asked:]), task="t", tools=[search, export], hooks=hooks, max_steps=9, **options
    )


def finish(run: Run) -> RunResult:
    for _ in run:
        pass
    return run.result


class Failing:
    """`os.write` that fails from a certain write on."""

    def __init__(self, error: OSError, when: Callable[[bytes], bool]) -> None:
        self.error, self.when, self.write, self.failing = error, when, os.write, False

    def __call__(self, descriptor: int, data: bytes) -> int:
        self.failing = self.failing or self.when(data)
        if self.failing:
            raise OSError(*self.error.args)
        return self.write(descriptor, data)


def fail_at(monkeypatch: pytest.MonkeyPatch, error: OSError, start: bytes) -> None:
    monkeypatch.setattr("looplet.trace.files.os.write", Failing(error, lambda data: data.startswith(start)))


def finished_with_one_warning(run: Run) -> tuple[RunResult, str]:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = finish(run)
    (warning,) = caught
    assert warning.category is RuntimeWarning
    return result, str(warning.message)


@pytest.mark.parametrize("error", [FULL, READ_ONLY], ids=["full", "read-only"])
@pytest.mark.parametrize(
    ("write", "steps"),
    [(b'{"event":"model_replied"', 0), (b'{"event":"call_finished"', 0), (b"[0,1,2,", 1), (b'{"event":"run_fin', 4)],
    ids=["reply", "result", "blob", "end"],
)
def test_a_trace_that_cannot_be_gone_on_with_says_so_to_the_run_and_to_its_readers(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: OSError,
    write: bytes,
    steps: int,
) -> None:
    sink = ProvenanceSink(tmp_path / "t")
    fail_at(monkeypatch, error, write)
    result, warning = finished_with_one_warning(agent(sink))
    monkeypatch.undo()
    assert (result.stop_reason, len(result.steps)) == ("done", 4)
    assert warning == sink.failure == f"the trace {str(tmp_path / 't')!r} is incomplete from here on: {error}"
    assert not sink.complete
    loaded = load_trace(tmp_path / "t")
    assert (loaded.stop_reason, len(loaded.steps)) == ("unfinished", steps)
    assert loaded.steps == result.steps[:steps]
    assert loaded.errors[-1] == "the trace is incomplete: from here on nothing could be written"
    assert main(["show", str(tmp_path / "t")]) == 0
    shown = capsys.readouterr().out
    assert "ended: not at all (the trace is incomplete)\n" in shown
    assert "notice: the trace is incomplete: from here on nothing could be written" in shown


def test_the_reason_is_kept_where_there_is_room_for_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write

    def too_long(descriptor: int, data: bytes) -> int:
        if b'"call_finished"' in data:
            raise FULL
        return write(descriptor, data)

    monkeypatch.setattr("looplet.trace.files.os.write", too_long)
    finished_with_one_warning(agent(ProvenanceSink(tmp_path / "t")))
    assert "No space left on device" in (tmp_path / "t" / INCOMPLETE).read_text()
    assert "No space left on device" in load_trace(tmp_path / "t").errors[-1]
    assert "No space left on device" in str(read_journal(tmp_path / "t").notice)


def test_the_note_is_for_the_eyes_of_who_may_read_the_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, FULL, b'{"event":"call_started"')
    finished_with_one_warning(agent(ProvenanceSink(tmp_path / "t")))
    assert (tmp_path / "t" / INCOMPLETE).stat().st_mode & 0o777 == 0o600


def test_a_disk_that_takes_not_even_a_name_leaves_a_run_without_an_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_file = os.open

    def refuse(path: Any, *arguments: Any) -> int:
        if str(path).endswith(INCOMPLETE):
            raise READ_ONLY
        return open_file(path, *arguments)

    fail_at(monkeypatch, READ_ONLY, b'{"event":"call_finished"')
    monkeypatch.setattr("looplet.trace.directory.os.open", refuse)
    finished_with_one_warning(agent(ProvenanceSink(tmp_path / "t")))
    monkeypatch.undo()
    assert load_trace(tmp_path / "t").stop_reason == "unfinished"


def test_a_note_that_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", cheese_run()[:-1])
    (path / INCOMPLETE).mkdir()
    with pytest.raises(TraceError, match=r"cannot read .*incomplete.txt.*Is a directory"):
        read_journal(path)


def test_an_incomplete_trace_is_never_removed_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fail_at(monkeypatch, FULL, b'{"event":"run_finished"')
    finished_with_one_warning(agent(ProvenanceSink(tmp_path / "t")))
    monkeypatch.undo()
    finish(agent(ProvenanceSink(tmp_path / "t")))
    assert read_journal(tmp_path / "t").incomplete is None
    assert read_journal(tmp_path / "t.previous").incomplete is not None


def test_a_missing_readable_form_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sink = ProvenanceSink(tmp_path / "t")
    fail_at(monkeypatch, FULL, b"looplet trace")
    result, warning = finished_with_one_warning(agent(sink))
    monkeypatch.undo()
    assert "trace.txt of the trace" in warning
    assert "is missing: [Errno 28] No space left on device; `looplet show` prints it" in warning
    assert sink.complete
    assert load_trace(tmp_path / "t") == result
    assert sorted(file.name for file in (tmp_path / "t").iterdir()) == [".gitignore", "blobs", JOURNAL]


def test_an_earlier_trace_that_cannot_be_removed_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish(agent(ProvenanceSink(tmp_path / "t")))

    def refuse(self: Path, **options: bool) -> None:
        raise READ_ONLY

    sink = ProvenanceSink(tmp_path / "t")
    run = agent(sink)
    next(run)
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    _, warning = finished_with_one_warning(run)
    monkeypatch.undo()
    assert "before could not be removed: [Errno 30] Read-only file system" in warning
    assert sink.complete
    assert load_trace(tmp_path / "t.previous").stop_reason == "done"


@pytest.mark.parametrize("write", [b"*\n", b'{"event":"run_started"'], ids=[".gitignore", "first line"])
def test_a_trace_that_cannot_be_begun_is_an_error_and_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: bytes
) -> None:
    finish(agent(ProvenanceSink(tmp_path / "t")))
    before = load_trace(tmp_path / "t")
    fail_at(monkeypatch, FULL, write)
    for folder in ("t", "new"):
        with pytest.raises(TraceError, match=r"cannot write a trace to .*No space left"):
            finish(agent(ProvenanceSink(tmp_path / folder)))
        assert ran == []
    monkeypatch.undo()
    assert [path.name for path in tmp_path.iterdir()] == ["t"]
    assert load_trace(tmp_path / "t") == before
    finish(agent(ProvenanceSink(tmp_path / "t")))  # and nobody holds its lock


@pytest.mark.parametrize(
    ("write", "executed"),
    [(b'{"event":"call_started"', []), (b'{"event":"call_finished"', ["a"]), (b"[0,1,2,", ["a"])],
    ids=["start", "result", "blob"],
)
def test_a_checkpoint_that_cannot_be_written_stops_the_run_which_goes_on_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, write: bytes, executed: list[str]
) -> None:
    whole = finish(agent())
    fail_at(monkeypatch, FULL, write)
    run = agent(CheckpointHook(tmp_path / "c"))
    with pytest.raises(
        TraceError,
        match=r"the run stops here, because its checkpoint in .* cannot be written: .*No space left on device\. "
        "When it can be, go on with resume=",
    ):
        finish(run)
    monkeypatch.undo()
    assert ran == executed  # no call is made that the checkpoint does not know of
    assert run.result.stop_reason == "error"
    trace = read_journal(tmp_path / "c")
    assert trace.incomplete is None  # nothing happened that it does not hold
    again = finish(agent(asked=len(trace.exchanges), resume=tmp_path / "c"))
    assert again.stop_reason == "done"
    assert [step.tool_call for step in again.steps] == [step.tool_call for step in whole.steps]


def test_a_trace_that_somebody_removes_while_it_is_written_does_not_stop_the_run(tmp_path: Path) -> None:
    sink = ProvenanceSink(tmp_path / "t")
    run = agent(sink)
    next(run)
    (tmp_path / "t").rename(tmp_path / "elsewhere")
    result, warning = finished_with_one_warning(run)
    assert result.stop_reason == "done"
    assert "is incomplete from here on" in warning
    assert not sink.complete


def test_a_run_closed_in_the_middle_needs_no_room_for_its_readable_form(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "t"
    fail_at(monkeypatch, FULL, b"looplet trace")
    write_trace(path, cheese_run()[:-1])
    monkeypatch.undo()
    assert not (path / "trace.txt").exists()
    assert "ended: not at all" in render_trace(read_journal(path))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 64 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(folder)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("a small file system can be mounted by root only")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_on_a_real_full_disk_all_that_was_acknowledged_is_there(small_disk: Path) -> None:
    events = long_run(40, 3_000)
    writer = JournalWriter(small_disk / "t")

    def acknowledged() -> int:
        for number, event in enumerate(events):
            writer.write(event)
            if writer.failure is not None:
                return number
        return len(events)

    with pytest.warns(RuntimeWarning, match="No space left on device"):
        count = acknowledged()
    writer.close()
    trace = read_journal(small_disk / "t")
    assert trace.incomplete is not None
    kept = written(events)
    assert trace.events == tuple(kept[: len(trace.events)])
    assert len(trace.events) == len(written(events[:count]))
    assert "notice: the trace is incomplete" in render_trace(trace)


def test_on_a_real_full_disk_a_checkpointed_run_stops_and_goes_on_when_there_is_room(small_disk: Path) -> None:
    with pytest.raises(TraceError, match=r"the run stops here.*No space left on device"):
        finish(agent(CheckpointHook(small_disk / "c")))  # its second step is larger than the disk
    trace = read_journal(small_disk / "c")
    assert len(trace.steps) == 1
    subprocess.run(["mount", "-o", "remount,size=1m", str(small_disk)], check=True)
    again = finish(agent(asked=len(trace.exchanges), resume=small_disk / "c"))
    assert (again.stop_reason, len(again.steps)) == ("done", 4)


def test_on_a_real_read_only_disk_no_run_begins(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    with pytest.raises(TraceError, match=r"cannot write a trace to .*Read-only file system"):
        finish(agent(ProvenanceSink(small_disk / "t")))
    assert ran == []


FILE_LIMIT = """
import resource, sys, warnings
from looplet import MockLLMBackend, ProvenanceSink, ToolCall, composable_loop

def search(query: str) -> str:
    "Find things."
    return query * 1000

resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))  # Python ignores SIGXFSZ, so a write fails with EFBIG
script = [ToolCall("search", {"query": "word "}) for _ in range(5)] + [ToolCall("done", {"answer": "x"})]
run = composable_loop(MockLLMBackend(script), task="t", tools=[search], hooks=[ProvenanceSink(sys.argv[1])])
print(len(list(run)), run.result.stop_reason)
"""


def test_on_a_disk_that_limits_the_size_of_files_the_run_goes_on(tmp_path: Path) -> None:
    pytest.importorskip("resource", reason="no limits on this system")
    command = [sys.executable, "-c", textwrap.dedent(FILE_LIMIT), str(tmp_path / "t")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == "6 done\n"
    assert done.stderr.count("is incomplete from here on: [Errno 27] File too large") == 1
    loaded = load_trace(tmp_path / "t")
    assert (loaded.stop_reason, len(loaded.steps)) == ("unfinished", 1)
    assert loaded.errors == (
        "the trace is incomplete: from here on nothing could be written: [Errno 27] File too large",
    )
