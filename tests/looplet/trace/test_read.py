from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from tests.support.traces import cheese_run, runs, write_trace, written

from looplet.errors import TraceError
from looplet.events import Event, RunFinished
from looplet.result import RunResult
from looplet.trace.read import load_trace, read_journal, run_dirs
from looplet.trace.render import render_trace
from looplet.types import Usage

if TYPE_CHECKING:
    from pathlib import Path


def test_a_trace_is_the_header_the_records_and_the_events(tmp_path: Path) -> None:
    trace = read_journal(write_trace(tmp_path / "t", cheese_run()))
    assert trace.dir == str(tmp_path / "t")
    assert trace.header == trace.records[0]
    assert trace.events == tuple(written(cheese_run()))
    assert trace.notice is None
    assert isinstance(trace.finished, RunFinished)


def test_load_trace_is_the_result_of_the_run(tmp_path: Path) -> None:
    events = cheese_run()
    (tmp_path / "t").mkdir()
    path = write_trace(tmp_path / "t", events)
    (path / "artifacts.json").write_text('{"files": ["a.txt"]}')
    steps = read_journal(path).steps
    assert load_trace(path) == RunResult(
        stop_reason="done",
        task="find cheese",
        output="brie",
        steps=steps,
        errors=("search: ValueError: we are out of brie today",),
        usage=Usage(30, 15),
        duration=1.25,
        artifacts={"files": ["a.txt"]},
        trace_dir=str(path),
    )
    assert len(steps) == 3
    assert all(step.prompt for step in steps)


def test_a_torn_last_line_is_left_out_with_a_notice_wherever_it_was_torn(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", cheese_run())
    whole = (path / "journal.jsonl").read_bytes()
    last = whole.splitlines(keepends=True)[-1]
    before = tuple(written(cheese_run())[:-1])
    for cut in range(1, len(last)):
        (path / "journal.jsonl").write_bytes(whole[: len(whole) - len(last) + cut])
        trace = read_journal(path)
        if cut == len(last) - 1:  # only the newline is missing
            assert (trace.finished is not None, trace.notice) == (True, None)
            continue
        assert trace.events == before
        assert trace.notice == "the last line (14) was cut short when the run was interrupted; it is left out"
        assert load_trace(path).stop_reason == "unfinished"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(runs())
def test_a_journal_cut_anywhere_after_its_header_can_be_read_and_shown(tmp_path: Path, events: list[Event]) -> None:
    path = write_trace(tmp_path / "t", events)
    whole = (path / "journal.jsonl").read_bytes()
    header = whole.index(b"\n") + 1
    for cut in range(header, len(whole), max(1, (len(whole) - header) // 20)):
        (path / "journal.jsonl").write_bytes(whole[:cut])
        trace = read_journal(path)
        assert trace.events == tuple(written(events))[: len(trace.events)]
        assert render_trace(trace).startswith("looplet trace\n")


def test_an_unfinished_run_says_so_and_counts_what_it_did(tmp_path: Path) -> None:
    result = load_trace(write_trace(tmp_path / "t", cheese_run()[:-1], clock=iter(range(99)).__next__))
    assert (result.stop_reason, result.status) == ("unfinished", "stopped")
    assert result.usage == Usage(30, 15)
    assert result.errors == ("search: ValueError: we are out of brie today",)
    assert result.duration == 12


def test_an_unfinished_run_never_lasted_less_than_nothing(tmp_path: Path) -> None:
    times = (2e9 - 3600.0 * number for number in range(100))
    trace = write_trace(tmp_path / "t", cheese_run()[:-1], clock=lambda: next(times))
    assert load_trace(trace).duration == 0.0


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "has no header: the run was killed before it wrote its first line"),
        (b'{"event": "run_st', "has no header: the run was killed before it wrote its first line"),
        (b'{"event": "run_st\n', "line 1 is not JSON"),
        (b'{"event": "noticed"}\n', "has no header"),
        (b'{"event": "run_started", "schema": 2}\n', "has schema 2; this looplet reads 1; read it with a newer one"),
        (b'{"event": "run_started", "schema": 1}\n', "is damaged: line 1: KeyError: 'tools'"),
        (b"[]\n", "line 1 is not a JSON object"),
    ],
    ids=["empty", "torn", "broken", "headless", "newer", "incomplete", "list"],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "journal.jsonl").write_bytes(content)
    with pytest.raises(TraceError) as caught:
        read_journal(tmp_path)
    assert message in str(caught.value)
    assert str(tmp_path) in str(caught.value)


def test_damage_in_the_middle_is_an_error_with_its_line(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", cheese_run())
    rows = (path / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (path / "journal.jsonl").write_bytes(b"".join([*rows[:3], rows[3][:20] + b"\n", *rows[4:]]))
    with pytest.raises(TraceError, match="is damaged: line 4 is not JSON"):
        read_journal(path)


def test_what_is_no_trace_is_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match=r"nowhere' is not a trace: it has no journal.jsonl"):
        read_journal(tmp_path / "nowhere")


def test_a_directory_of_traces_is_named_with_its_runs_in_order(tmp_path: Path) -> None:
    for number in (1, 2, 10):
        write_trace(tmp_path / f"run_{number}", cheese_run())
    write_trace(tmp_path / "run_3.previous", cheese_run())
    assert [run.name for run in run_dirs(tmp_path)] == ["run_1", "run_2", "run_10"]
    with pytest.raises(TraceError, match=r"holds several traces \(run_1, run_2, run_10\); name one of them"):
        read_journal(tmp_path)


def test_an_unknown_model_call_is_named(tmp_path: Path) -> None:
    trace = read_journal(write_trace(tmp_path / "t", cheese_run()))
    with pytest.raises(TraceError, match="has no model call 9: it has 3, counted from 1"):
        trace.prompt(9)


def test_broken_artifacts_are_named(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", cheese_run())
    (path / "artifacts.json").write_text("{")
    with pytest.raises(TraceError, match=r"cannot read .*artifacts.json"):
        load_trace(path)
    (path / "artifacts.json").write_text(json.dumps([1]))
    assert load_trace(path).artifacts == {"artifacts": [1]}
