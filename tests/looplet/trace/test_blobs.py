from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from tests.support.traces import Script, json_values, write_trace

from looplet import (
    CheckpointHook,
    LoopConfig,
    MockLLMBackend,
    ProvenanceSink,
    ToolCall,
    composable_loop,
    load_trace,
    replay_loop,
)
from looplet.cli import main
from looplet.errors import TraceError
from looplet.trace.blobs import LINE_LIMIT, Blobs, move_out
from looplet.trace.read import read_journal
from looplet.trace.redact import redaction
from looplet.types import ToolResult
from pytest_looplet.golden.recordings import replace_recording

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from looplet.run import Run

LARGE = {"rows": [f"row {number}: käse" for number in range(8_000)]}
SECRET = "sk-" + "live0123456789abcdef"


def export(note: str = "") -> dict[str, Any]:
    """Give everything there is."""
    return LARGE | {"note": note} if note else LARGE


def agent(*hooks: object, script: Sequence[Any] = (), **options: Any) -> Run:
    calls = script or [ToolCall("export", {}), ToolCall("export", {}), ToolCall("done", {"answer": "x"})]
    return composable_loop(MockLLMBackend(list(calls)), task="export", tools=[export], hooks=hooks, **options)


def finished(run: Run) -> Run:
    for _ in run:
        pass
    return run


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    finished(agent(ProvenanceSink(tmp_path / "t")))
    return tmp_path / "t"


def blobs(path: Path) -> list[Path]:
    return sorted((path / "blobs").iterdir())


def test_a_result_too_large_for_a_line_is_a_file_named_after_its_content(trace: Path) -> None:
    (blob,) = blobs(trace)  # the same result twice is one file
    data = blob.read_bytes()
    assert blob.name == hashlib.sha256(data).hexdigest() + ".json"
    assert json.loads(data) == LARGE
    lines = [json.loads(line) for line in (trace / "journal.jsonl").read_text().splitlines()]
    results = [line["result"] for line in lines if line["event"] == "call_finished"]
    assert [result.get("blob") for result in results] == [blob.name, blob.name, None]
    assert all("data" not in result for result in results[:2])


def test_only_what_is_too_large_goes_there(tmp_path: Path) -> None:
    kept: list[bytes] = []

    def keep(data: bytes) -> str:
        kept.append(data)
        return "name"

    fits, too_large = "x" * (LINE_LIMIT - 3), "x" * (LINE_LIMIT - 2)  # quotes and a newline come with it
    for record in ({"result": {"data": fits}}, {"result": {"error": too_large}}, {"output": 3}, {"result": None}):
        assert move_out(record, keep) == record
    assert kept == []
    assert move_out({"step": 1, "result": {"tool": "t", "data": too_large}}, keep) == {
        "step": 1,
        "result": {"tool": "t", "blob": "name"},
    }
    assert move_out({"output": [too_large], "usage": {}}, keep) == {"usage": {}, "output_blob": "name"}
    assert len(kept) == 2


def test_a_key_called_blob_in_a_result_of_yours_means_nothing(tmp_path: Path) -> None:
    script = Script()
    script.turn(ToolCall("search", {}), ToolResult("search", {"blob": "../../secret", "data": 1}))
    path = write_trace(tmp_path / "t", script.finish(output={"output_blob": "x"}))
    assert load_trace(path).steps[0].tool_result.data == {"blob": "../../secret", "data": 1}
    assert load_trace(path).output == {"output_blob": "x"}


def test_every_reader_sees_the_whole_result(trace: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    live = finished(agent(ProvenanceSink(tmp_path / "u"))).result
    assert [step.tool_result.data for step in load_trace(trace).steps] == [LARGE, LARGE, "x"]
    assert [step.tool_result.data for step in live.steps] == [LARGE, LARGE, "x"]
    again = finished(replay_loop(trace)).result
    assert [step.tool_result.data for step in again.steps] == [LARGE, LARGE, "x"]
    assert main(["show", str(trace), "--step", "2"]) == 0
    assert "row 7999: käse" in capsys.readouterr().out
    assert main(["diff", str(trace), str(tmp_path / "u")]) == 0
    capsys.readouterr()
    assert main(["show", str(trace), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"][0]["tool_result"]["data"] == LARGE


def test_a_large_output_is_a_blob_too_and_shares_the_file_of_its_step(tmp_path: Path) -> None:
    answer = "word " * 30_000
    run = finished(agent(ProvenanceSink(tmp_path / "t"), script=[ToolCall("done", {"answer": answer})]))
    assert len(blobs(tmp_path / "t")) == 1
    assert load_trace(tmp_path / "t") == run.result


def test_a_model_that_reads_whole_results_is_replayed(tmp_path: Path) -> None:
    config = LoopConfig(result_chars=1_000_000)
    run = finished(agent(ProvenanceSink(tmp_path / "t"), config=config))
    assert (tmp_path / "t" / "journal.jsonl").stat().st_size < LINE_LIMIT / 2  # messages refer to results
    assert load_trace(tmp_path / "t") == run.result
    assert finished(replay_loop(tmp_path / "t", config=config)).result.stop_reason == "done"


def test_a_run_goes_on_from_a_checkpoint_with_blobs(tmp_path: Path) -> None:
    run = agent(CheckpointHook(tmp_path / "c"))
    next(run)
    run.close()
    llm = MockLLMBackend([ToolCall("export", {}), ToolCall("done", {"answer": "x"})])
    resumed = finished(composable_loop(llm, task="export", tools=[export], resume=tmp_path / "c"))
    assert [step.tool_result.data for step in resumed.result.steps] == [LARGE, LARGE, "x"]
    assert len(blobs(tmp_path / "c")) == 1


def test_redaction_comes_before_the_blob(tmp_path: Path) -> None:
    script = [ToolCall("export", {"note": SECRET}), ToolCall("done", {"answer": "x"})]
    finished(agent(ProvenanceSink(tmp_path / "t", redact=True), script=script))
    (blob,) = blobs(tmp_path / "t")
    assert SECRET.encode() not in blob.read_bytes()
    assert b"[redacted]" in blob.read_bytes()


def test_blobs_have_the_permissions_of_their_trace(tmp_path: Path, trace: Path) -> None:
    finished(agent(ProvenanceSink(tmp_path / "s", shared=True)))
    (tmp_path / "probe").touch()
    (tmp_path / "folder").mkdir()

    def modes(path: Path) -> list[int]:
        return [stat.S_IMODE(each.stat().st_mode) for each in (path / "blobs", *blobs(path))]

    assert modes(trace) == [0o700, 0o600]
    assert modes(tmp_path / "s") == [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("folder", "probe")]


def test_a_recording_made_of_a_trace_has_its_blobs_for_everybody(tmp_path: Path, trace: Path) -> None:
    replace_recording(tmp_path / "recording", trace)
    assert load_trace(tmp_path / "recording").steps == load_trace(trace).steps
    assert stat.S_IMODE((tmp_path / "recording" / "blobs").stat().st_mode) == 0o755


def test_a_trace_that_is_replaced_takes_its_blobs_along(trace: Path) -> None:
    run = agent(ProvenanceSink(trace))
    next(run)
    assert len(load_trace(trace.with_name("t.previous")).steps) == 3
    finished(run)
    assert [path.name for path in trace.parent.iterdir()] == ["t"]


def test_a_missing_blob_is_an_error_that_says_where(trace: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(trace / "blobs")
    with pytest.raises(
        TraceError,
        match=r"t': the result of step 1 is in 'blobs/[0-9a-f]{64}\.json', which is missing; "
        "copy a trace with its blobs folder, or record the run again",
    ):
        load_trace(trace)
    assert main(["show", str(trace)]) == 2
    assert "which is missing" in capsys.readouterr().err


def test_a_changed_blob_is_an_error(trace: Path) -> None:
    (blob,) = blobs(trace)
    blob.write_bytes(blob.read_bytes().replace(b"row 7:", b"row 8:"))
    with pytest.raises(TraceError, match=r"the result of step 1 is in .*, which was changed after it was written"):
        read_journal(trace)


def test_a_blob_that_cannot_be_read_is_an_error(trace: Path) -> None:
    (blob,) = blobs(trace)
    blob.unlink()
    blob.mkdir()
    with pytest.raises(TraceError, match=r"step 1 is in .*, which cannot be read: .*Is a directory"):
        read_journal(trace)


@pytest.mark.parametrize("name", ["../journal.jsonl", "/etc/passwd", "", 3, ["x"], "A" * 64 + ".json"])
def test_only_the_name_of_a_blob_is_opened(tmp_path: Path, name: Any) -> None:
    with pytest.raises(TraceError, match="which is no name of a blob; the journal is damaged"):
        Blobs(tmp_path).put_back({"step": 1, "result": {"blob": name}})
    with pytest.raises(TraceError, match=r"the output is in .* no name of a blob"):
        Blobs(tmp_path).put_back({"output_blob": name})


def test_fsync_waits_for_the_blob_and_its_name_before_the_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[int] = []
    monkeypatch.setattr("looplet.trace.files.os.fsync", lambda file: synced.append(os.fstat(file).st_ino))
    run = agent(ProvenanceSink(tmp_path / "t", fsync=True))
    next(run)
    (blob,) = blobs(tmp_path / "t")
    order = [synced.index(path.stat().st_ino) for path in (blob, blob.parent)]
    assert order == sorted(order)
    assert tmp_path.joinpath("t").stat().st_ino in synced[order[-1] :]
    assert synced[-1] == (tmp_path / "t" / "journal.jsonl").stat().st_ino
    run.close()


def test_what_moves_out_comes_back(tmp_path: Path) -> None:
    @given(json_values)
    def there_and_back(value: Any) -> None:
        large = {"value": value, "half": "\ud800", "filler": "x" * LINE_LIMIT}
        record = {"step": 1, "result": {"data": large}, "output": [large]}
        path = tmp_path / "blobs"
        path.mkdir(exist_ok=True)

        def keep(data: bytes) -> str:
            name = hashlib.sha256(data).hexdigest() + ".json"
            (path / name).write_bytes(data)
            return name

        back = Blobs(tmp_path).put_back(move_out(record, keep))
        assert (back["result"]["data"], back["output"]) == (large, [large])

    there_and_back()


def test_a_redaction_of_your_own_is_not_asked_twice_for_a_blob(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", Script().finish(output="y" * LINE_LIMIT), redaction=redaction(True))
    assert load_trace(path).output == "y" * LINE_LIMIT
