from __future__ import annotations

import errno
import json
import os
from typing import TYPE_CHECKING

import pytest
from tests.support.traces import Script, cheese_run, long_run, write_trace, written

from looplet import CheckpointHook, MockLLMBackend, composable_loop
from looplet.errors import TraceError
from looplet.events import ModelReplied, RunResumed
from looplet.messages import RawCall, Reply
from looplet.trace.journal import JournalWriter
from looplet.trace.read import load_trace, read_journal
from looplet.trace.redact import redaction
from looplet.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.events import Event


def lines(path: Path) -> list[bytes]:
    return (path / "journal.jsonl").read_bytes().splitlines(keepends=True)


def write_all(writer: JournalWriter, events: list[Event]) -> None:
    for event in events:
        writer.write(event)


def test_the_first_line_is_the_header_with_the_time_of_day(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t", cheese_run(), clock=lambda: 1_700_000_000.12345)
    header = json.loads(lines(trace)[0])
    assert header["schema"] == 1
    assert header["task"] == "find cheese"
    assert header["redactor"] is None
    assert header["t"] == 1_700_000_000.123


def test_lines_have_the_seconds_since_the_first_unless_written_in_the_same_millisecond(tmp_path: Path) -> None:
    ticks = iter([7.0, 7.0, 8.5, 8.5004, 8.5006, *range(9, 99)])
    trace = write_trace(tmp_path / "t", cheese_run(), clock=lambda: next(ticks))
    times = [json.loads(line).get("t") for line in lines(trace)]
    assert times[:6] == [7.0, None, 1.5, None, 1.501, 2]


def test_a_journal_that_is_gone_on_with_counts_from_its_first_line(tmp_path: Path) -> None:
    write_trace(tmp_path / "t", cheese_run()[:5], clock=lambda: 100.0, checkpoints=True)
    past = read_journal(tmp_path / "t")
    writer = JournalWriter(tmp_path / "t", clock=lambda: 160.0, checkpoints=True)
    writer.resume_from(past)
    writer.write(RunResumed("r1", 1, past.events))
    writer.close()
    assert json.loads(lines(tmp_path / "t")[-1])["t"] == 60.0
    assert load_trace(tmp_path / "t").duration == 60.0


def test_every_event_is_on_disk_before_the_next_one(tmp_path: Path) -> None:
    writer = JournalWriter(tmp_path / "t")
    events = cheese_run()
    for index, event in enumerate(events):
        writer.write(event)
        assert read_journal(tmp_path / "t").events == tuple(written(events[: index + 1]))
    writer.close()


def test_step_500_costs_what_step_50_costs(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t", long_run(500), clock=lambda: 1e9)
    sizes = [len(line) for line in lines(trace)[1:-1]]
    assert len(sizes) == 4 * 500  # replied, started, finished, step
    assert sum(sizes[4 * 499 :]) - sum(sizes[4 * 49 : 4 * 50]) < 20  # the digits of the numbers


@pytest.mark.parametrize("chars", [1_000, 5_000])
def test_the_directory_stays_near_the_size_of_the_messages(tmp_path: Path, chars: int) -> None:
    events = long_run(50, chars)
    last = [event.prompt for event in events if isinstance(event, ModelReplied)][-1]
    messages = len(json.dumps([message.to_dict() for message in last.messages]))
    trace = write_trace(tmp_path / "t", events)
    assert (trace / "journal.jsonl").stat().st_size <= 1.3 * messages
    assert sum(file.stat().st_size for file in trace.iterdir()) <= 2.5 * messages


class FullDisk:
    """`os.write` of a disk with `room` bytes left."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.write = os.write

    def __call__(self, descriptor: int, data: bytes) -> int:
        if self.room <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        count = self.write(descriptor, data[: self.room])
        self.room -= count
        return count


def test_a_disk_that_fills_up_marks_the_trace_incomplete_and_warns_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("looplet.trace.journal.os.write", FullDisk(2_000))
    writer = JournalWriter(tmp_path / "t")
    with pytest.warns(RuntimeWarning, match=r"is incomplete from here on: .*No space left") as caught:
        write_all(writer, cheese_run())
    writer.close()
    assert len(caught) == 1
    assert not writer.complete
    trace = read_journal(tmp_path / "t")
    assert trace.notice is not None
    assert trace.events == tuple(written(cheese_run())[: len(trace.events)])


def test_a_strict_journal_that_cannot_be_written_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    writer = JournalWriter(tmp_path / "t", strict=True)
    writer.write(cheese_run()[0])
    monkeypatch.setattr("looplet.trace.journal.os.write", FullDisk(0))
    with pytest.raises(TraceError, match="No space left"):
        writer.write(cheese_run()[2])
    writer.close()


def test_a_disk_that_is_full_at_the_start_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("looplet.trace.journal.os.write", FullDisk(10))
    with pytest.raises(TraceError, match=r"cannot write a trace to .*No space left"):
        write_trace(tmp_path / "t", cheese_run())


def test_fsync_waits_for_the_disk_after_every_event(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("looplet.trace.journal.os.fsync", lambda file: synced.append(os.fstat(file).st_ino))
    write_trace(tmp_path / "plain", cheese_run())
    assert synced == []
    trace = write_trace(tmp_path / "synced", cheese_run(), fsync=True)
    assert synced.count((trace / "journal.jsonl").stat().st_ino) == len(written(cheese_run()))
    assert {trace.stat().st_ino, tmp_path.stat().st_ino} <= set(synced)  # a file without a name is lost all the same


def test_writing_before_the_run_started_or_after_close_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is not open"):
        JournalWriter(tmp_path / "t").write(cheese_run()[-1])


def test_closing_a_journal_that_was_never_opened_leaves_nothing(tmp_path: Path) -> None:
    JournalWriter(tmp_path / "t").close()
    assert list(tmp_path.iterdir()) == []


def test_an_unfinished_run_gets_its_readable_form_at_close(tmp_path: Path) -> None:
    trace = write_trace(tmp_path / "t", cheese_run()[:5])
    assert "ended: not at all" in (trace / "trace.txt").read_text()


def test_a_result_of_any_kind_can_be_written(tmp_path: Path) -> None:
    cycle: list[object] = []
    cycle.append(cycle)
    script = Script()
    script.reply(Reply("", (RawCall("search", {}, "c1"),)))
    data = {"bytes": b"\xff", "nan": float("nan"), "set": {1}, "object": object(), "cycle": cycle, 3: "\udc80"}
    script.step(ToolCall("search", {"q": object()}, call_id="c1"), ToolResult("search", data))
    result = load_trace(write_trace(tmp_path / "t", script.finish(output=data)))
    assert result.output["nan"] == "NaN"
    assert result.steps[0].tool_result.data["3"] == "\udc80"


def test_a_redaction_that_fails_is_never_swallowed(tmp_path: Path) -> None:
    def broken(text: str) -> str:
        raise ValueError("no")

    with pytest.raises(TraceError, match="nothing was sent or written"):
        write_trace(tmp_path / "t", cheese_run(), redaction=redaction(broken))


def test_a_write_that_takes_only_a_part_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr("looplet.trace.journal.os.write", lambda descriptor, data: write(descriptor, data[:7]))
    trace = read_journal(write_trace(tmp_path / "t", cheese_run()))
    assert (trace.notice, trace.events) == (None, tuple(written(cheese_run())))


def test_a_journal_that_writes_a_run_refuses_another_and_goes_on_with_its_own(tmp_path: Path) -> None:
    hook = CheckpointHook(tmp_path / "c")
    events = iter(cheese_run())
    hook.write(next(events))
    for _ in range(2):
        refused = composable_loop(MockLLMBackend(["x"]), task="another", tools=[], hooks=[hook])
        with pytest.raises(
            TraceError, match=r"this CheckpointHook\(.*\) already belongs to a run; give every run a new"
        ):
            next(refused)
    for event in events:
        hook.write(event)
    hook.close()
    assert read_journal(tmp_path / "c").events == tuple(written(cheese_run()))


def test_a_bare_trace_is_its_journal_alone(tmp_path: Path) -> None:
    bare = write_trace(tmp_path / "bare", cheese_run(), bare=True)
    assert [path.name for path in bare.iterdir()] == ["journal.jsonl"]
    assert load_trace(bare).output == load_trace(write_trace(tmp_path / "whole", cheese_run())).output
    closed = write_trace(tmp_path / "closed", cheese_run()[:-1], bare=True)
    assert [path.name for path in closed.iterdir()] == ["journal.jsonl"]
