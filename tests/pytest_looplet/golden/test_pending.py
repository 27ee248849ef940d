"""What waits for a decision: written whole, decided about once, and never against a target that changed since."""

from __future__ import annotations

import json
import os
import shutil
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.traces import Script, write_trace

from looplet.messages import Message, RawCall, Reply
from looplet.trace.read import load_trace, read_journal
from looplet.types import ToolCall, ToolResult, Usage
from pytest_looplet.golden import decide, pending
from pytest_looplet.golden.pending import RECORDING, SNAPSHOT, Pending, PendingError

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.events import Event

ID = "evals/eval_shop.py::eval_trace[refund-17]"
TARGET = "evals/__snapshots__/eval_shop/eval_trace[refund-17].trace"
RECORDED = "evals/__recordings__/eval_shop/agent/refund-17"
COMMAND = "pytest evals/eval_shop.py -k '[refund-17]' --looplet-backend=ollama --looplet-record"


def _snapshot(root: Path, text: str = "new\n", *, why: str = "step 2: tool refund → escalate", **more: str) -> Pending:
    assert pending.write_snapshot(root, ID, Path(TARGET), text, why, **more)
    return next(each for each in pending.load_all(root) if each.id == ID)


def _run(system: str = "Be brief.", query: str = "brie", model: str = "mock", t: float = 1.0) -> list[Event]:
    script = Script(system=system, model=model, labels={"backend": model, "case": "refund-17"})
    script.conversation.append(Message("user", "please"))
    call = ToolCall("search", {"query": query}, call_id="c1")
    raw = RawCall("search", json.dumps(call.args), "c1")
    script.reply(Reply("", (raw,), Usage(int(10 * t), 5), "tool_calls"))
    script.step(call, ToolResult("search", "Brie, soft", duration_ms=12.0 * t), usage=Usage(int(10 * t), 5))
    return script.finish()


def _recording(root: Path, new: list[Event]) -> Pending:
    """A recording of a live model, and the run that was played from it."""
    write_trace(root / RECORDED, _run(model="gemma", t=3.0), shared=True)
    write_trace(root / "played", new)
    why = "messages[0].content differs at char 8"
    assert pending.write_recording(root, "file::recording[agent/case]", Path(RECORDED), root / "played", why, COMMAND)
    (entry,) = pending.load_all(root)
    return entry


# --- the entry


def test_an_entry_says_what_is_pending_and_why(tmp_path: Path) -> None:
    entry = _snapshot(tmp_path)
    assert json.loads((entry.folder / "pending.json").read_text()) == {
        "schema": 1,
        "kind": "snapshot",
        "id": ID,
        "target": TARGET,
        "digest": None,
        "why": "step 2: tool refund → escalate",
        "command": "",
        "session": "",
    }
    assert entry.new.read_text() == "new\n"
    assert (tmp_path / ".looplet/.gitignore").read_text() == "*\n"
    assert pending.FIELDS.keys() == json.loads((entry.folder / "pending.json").read_text()).keys()


def test_a_target_has_one_entry(tmp_path: Path) -> None:
    _snapshot(tmp_path, "first\n")
    assert _snapshot(tmp_path, "second\n").new.read_text() == "second\n"
    assert len(pending.load_all(tmp_path)) == 1
    assert [path.name for path in pending.pending_dir(tmp_path).iterdir()] == [pending.load_all(tmp_path)[0].slug]


@pytest.mark.parametrize("first", ["a/b-c.trace", "a-b/c.trace", "A/B-c.trace", "ä/b-c.trace", "a/b[c].trace"])
@pytest.mark.parametrize("second", ["a/b.c.trace", "x/a/b-c.trace", "a/b:c.trace", "a/" + "b" * 250 + ".trace"])
def test_names_of_entries_are_safe_and_differ(tmp_path: Path, first: str, second: str) -> None:
    folders = [pending.write_snapshot(tmp_path, ID, Path(name), "", "") for name in (first, second)]
    assert len(set(folders)) == 2
    for folder in folders:
        assert folder is not None
        assert set(folder.name) <= set("abcdefghijklmnopqrstuvwxyz0123456789-_.")
        assert len(folder.name) < 200
    assert {each.target for each in pending.load_all(tmp_path)} == {tmp_path / first, tmp_path / second}


def test_entries_are_sorted_by_id_and_those_that_cannot_be_read_are_reported(tmp_path: Path) -> None:
    for number in (3, 1, 2):
        pending.write_snapshot(tmp_path, f"id-{number}", Path(f"{number}.trace"), "", "")
    (pending.pending_dir(tmp_path) / "id-9").mkdir()
    *whole, broken = pending.load_all(tmp_path)
    assert [each.id for each in whole] == ["id-1", "id-2", "id-3"]
    assert broken.id == "id-9"
    assert broken.problem is not None
    assert broken.problem.startswith("cannot read pending.json: [Errno 2]")
    with pytest.raises(PendingError, match=r"id-9: cannot read pending.json: .*; reject it and run pytest again"):
        decide.accept(broken)
    decide.reject(broken)
    assert len(pending.load_all(tmp_path)) == 3


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"schema": 2}, "it is not of schema 1"),
        ({"kind": "other"}, "kind 'other' is unknown"),
        ({"why": 3}, "a field has the wrong type"),
        ({"digest": 3}, "a field has the wrong type"),
        ({"target": None}, "a field has the wrong type"),
        ({"target": "../outside.trace"}, "target '../outside.trace' does not belong to it"),
        ({"target": "/etc/x.trace"}, "target '/etc/x.trace' does not belong to it"),
        ({"target": "other.trace"}, "target 'other.trace' does not belong to it"),
    ],
)
def test_an_edited_entry_leads_nowhere(tmp_path: Path, changes: dict[str, Any], said: str) -> None:
    entry = _snapshot(tmp_path)
    path = entry.folder / "pending.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    (read,) = pending.load_all(tmp_path)
    assert read.problem == f"cannot read pending.json: {said}"


@pytest.mark.parametrize("target", ["../outside.trace", "/etc/outside.trace", "a/../../outside.trace"])
def test_an_entry_made_by_hand_does_not_lead_out_of_the_project(tmp_path: Path, target: str) -> None:
    entry = _snapshot(tmp_path)
    path = entry.folder / "pending.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"target": target}))
    entry.folder.rename(entry.folder.with_name(pending._slug(SNAPSHOT, target)))
    (read,) = pending.load_all(tmp_path)
    assert read.problem == f"cannot read pending.json: target {target!r} does not belong to it"


def test_an_entry_that_names_a_python_file_leads_nowhere(tmp_path: Path) -> None:
    pending.write_snapshot(tmp_path, ID, Path("setup.py"), "import os", "")
    (read,) = pending.load_all(tmp_path)
    assert read.problem == "cannot read pending.json: target 'setup.py' is no snapshot"


def test_nothing_outside_of_the_project_is_pending(tmp_path: Path) -> None:
    assert pending.write_snapshot(tmp_path / "project", ID, tmp_path / "x.trace", "", "") is None
    pending.discard(tmp_path / "project", SNAPSHOT, tmp_path / "x.trace")
    assert pending.load_all(tmp_path / "project") == []


def test_workers_that_write_one_target_leave_one_whole_entry(tmp_path: Path) -> None:
    texts = [f"{number}\n" for number in range(8)]
    threads = [
        threading.Thread(target=pending.write_snapshot, args=(tmp_path, ID, Path(TARGET), text, text)) for text in texts
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (entry,) = pending.load_all(tmp_path)
    assert entry.why == entry.new.read_text()
    assert [path for path in pending.pending_dir(tmp_path).iterdir() if path.name.startswith(".")] == []


def test_a_lone_surrogate_can_be_pending(tmp_path: Path) -> None:
    assert _snapshot(tmp_path, "half \ud83d\n", why="half \ud83d").new.read_text() == "half \\ud83d\n"


@pytest.mark.parametrize(("ci", "allowed"), [(None, True), ("", True), ("true", False), ("1", False)])
def test_nothing_is_written_in_ci(monkeypatch: pytest.MonkeyPatch, ci: str | None, allowed: bool) -> None:
    monkeypatch.delenv("CI", raising=False)
    if ci is not None:
        monkeypatch.setenv("CI", ci)
    assert pending.writes_allowed() is allowed


# --- what becomes of it


def test_a_target_that_is_as_it_should_be_is_no_longer_pending(tmp_path: Path) -> None:
    _snapshot(tmp_path)
    pending.discard(tmp_path, RECORDING, Path(TARGET))
    pending.discard(tmp_path, SNAPSHOT, Path("other.trace"))
    assert len(pending.load_all(tmp_path)) == 1
    pending.discard(tmp_path, SNAPSHOT, tmp_path / TARGET)
    assert pending.load_all(tmp_path) == []


def test_a_match_does_not_hide_a_mismatch_of_the_same_session(tmp_path: Path) -> None:
    """Two backends compare with one snapshot, in two workers."""
    _snapshot(tmp_path, session="s1")
    pending.discard(tmp_path, SNAPSHOT, Path(TARGET), session="s1")
    assert len(pending.load_all(tmp_path)) == 1
    pending.discard(tmp_path, SNAPSHOT, Path(TARGET), session="s2")
    assert pending.load_all(tmp_path) == []


def test_accepting_writes_the_snapshot(tmp_path: Path) -> None:
    entry = _snapshot(tmp_path)
    decide.accept(entry)
    assert (tmp_path / TARGET).read_text() == "new\n"
    assert pending.load_all(tmp_path) == []
    assert [path.name for path in (tmp_path / TARGET).parent.iterdir()] == [Path(TARGET).name]


def test_accepting_replaces_the_snapshot_that_was_compared(tmp_path: Path) -> None:
    (tmp_path / TARGET).parent.mkdir(parents=True)
    (tmp_path / TARGET).write_text("old\n")
    decide.accept(_snapshot(tmp_path))
    assert (tmp_path / TARGET).read_text() == "new\n"


@pytest.mark.parametrize("before", [None, "old\n"])
@pytest.mark.parametrize("since", [None, "edited\n"])
def test_a_snapshot_that_changed_since_is_not_replaced(tmp_path: Path, before: str | None, since: str | None) -> None:
    target = tmp_path / TARGET
    target.parent.mkdir(parents=True)
    if before is not None:
        target.write_text(before)
    entry = _snapshot(tmp_path)
    target.unlink(missing_ok=True)
    if since is not None:
        target.write_text(since)
    if before == since:
        return
    with pytest.raises(PendingError) as refused:
        decide.accept(entry)
    changed = f"{target.name} has changed since it was compared; run pytest again, then review"
    assert str(refused.value) == f"{ID}: {changed if since else 'its snapshot is gone; reject this entry'}"
    assert (target.read_text() if target.exists() else None) == since
    assert len(pending.load_all(tmp_path)) == 1


def test_an_entry_without_its_text_is_refused(tmp_path: Path) -> None:
    entry = _snapshot(tmp_path)
    entry.new.unlink()
    assert decide.refusal(entry) == (f"{ID}: new.trace is missing from {entry.folder}; reject it and run pytest again")


@pytest.mark.parametrize("decision", [decide.accept, decide.reject])
def test_what_was_written_again_since_it_was_looked_at_is_not_decided_about(
    tmp_path: Path, decision: Callable[[Pending], None]
) -> None:
    seen = _snapshot(tmp_path, "new\n")
    now = _snapshot(tmp_path, "newer\n")
    with pytest.raises(PendingError) as refused:
        decision(seen)
    assert str(refused.value) == f"{ID}: was written again since you looked; look at it again, then decide"
    assert not (tmp_path / TARGET).exists()
    assert now.new.read_text() == "newer\n"


@pytest.mark.parametrize("decision", [decide.accept, decide.reject])
def test_a_session_that_found_the_same_leaves_what_was_looked_at(
    tmp_path: Path, decision: Callable[[Pending], None]
) -> None:
    seen = _snapshot(tmp_path, session="1")
    _snapshot(tmp_path, session="2")
    decision(seen)
    assert pending.load_all(tmp_path) == []


@pytest.mark.parametrize("decision", [decide.accept, decide.reject])
def test_what_was_decided_elsewhere_is_not_decided_again(tmp_path: Path, decision: Callable[[Pending], None]) -> None:
    entry = _snapshot(tmp_path)
    decide.reject(entry)
    with pytest.raises(PendingError) as refused:
        decision(entry)
    assert str(refused.value) == f"{ID}: already decided elsewhere; nothing is left to do"
    assert not (tmp_path / TARGET).exists()


def test_entries_are_sorted_as_a_person_counts(tmp_path: Path) -> None:
    for number in ("100", "10", "2", "9" * 5000, "1-10", "1-9", "²"):
        assert pending.write_snapshot(tmp_path, f"e::a[{number}]", Path(f"{number[:5]}.trace"), "x", "")
    assert [each.id[5:10] for each in pending.load_all(tmp_path)] == [
        "1-9]",
        "1-10]",
        "2]",
        "10]",
        "100]",
        "99999",
        "²]",
    ]


def test_rejecting_leaves_the_snapshot(tmp_path: Path) -> None:
    entry = _snapshot(tmp_path)
    decide.reject(entry)
    assert not (tmp_path / TARGET).exists()
    assert pending.load_all(tmp_path) == []


# --- recordings


def test_new_wording_is_accepted_and_keeps_what_is_known_of_the_recorded_run(tmp_path: Path) -> None:
    entry = _recording(tmp_path, _run(system="Be brief and kind.", t=1.0))
    before = load_trace(tmp_path / RECORDED)
    decide.accept(entry)
    trace, after = read_journal(tmp_path / RECORDED), load_trace(tmp_path / RECORDED)
    assert trace.exchanges[0].prompt.system == "Be brief and kind."
    assert (trace.header["model"], trace.header["labels"]["backend"]) == ("gemma", "gemma")
    assert (after.usage, after.duration) == (before.usage, before.duration)
    assert [step.tool_result.duration_ms for step in after.steps] == [36.0]
    assert [step.usage for step in after.steps] == [step.usage for step in before.steps]
    text = (tmp_path / RECORDED / "trace.txt").read_text()
    assert "model: gemma" in text
    assert "Be brief and kind." in text
    assert pending.load_all(tmp_path) == []
    assert list(pending.pending_dir(tmp_path).iterdir()) == []


def test_an_accepted_recording_is_fit_to_be_committed(tmp_path: Path) -> None:
    decide.accept(_recording(tmp_path, _run(system="Be brief and kind.")))
    recording = tmp_path / RECORDED
    assert sorted(path.name for path in recording.iterdir()) == ["journal.jsonl", "trace.txt"]
    assert all(path.stat().st_mode & 0o044 == 0o044 for path in (recording, *recording.iterdir()))


def test_new_behaviour_is_recorded_again(tmp_path: Path) -> None:
    entry = _recording(tmp_path, _run(query="gouda"))
    before = pending.digest_of(tmp_path / RECORDED)
    refused = decide.refusal(entry)
    assert refused is not None
    assert refused.startswith("file::recording[agent/case]: the agent's behaviour changed (step 1 search: ")
    assert refused.endswith(f"; record it again: {COMMAND}")
    with pytest.raises(PendingError):
        decide.accept(entry)
    assert pending.digest_of(tmp_path / RECORDED) == before


def test_a_recording_that_changed_since_is_not_replaced(tmp_path: Path) -> None:
    entry = _recording(tmp_path, _run(system="Be brief and kind."))
    write_trace(tmp_path / RECORDED, _run(model="qwen"), shared=True)
    with pytest.raises(PendingError, match="refund-17 has changed since it was compared; run pytest again"):
        decide.accept(entry)


@pytest.mark.parametrize(
    ("recorded", "ran", "said"), [(1, 2, "ran 2 loops and 1 is recorded"), (2, 1, "ran 1 loop and 2 are recorded")]
)
def test_another_number_of_loops_is_recorded_again(tmp_path: Path, recorded: int, ran: int, said: str) -> None:
    for folder, loops in ((tmp_path / RECORDED, recorded), (tmp_path / "played", ran)):
        for number in range(1, loops + 1):
            write_trace(folder / f"run_{number}", _run(), shared=True)
    pending.write_recording(tmp_path, ID, Path(RECORDED), tmp_path / "played", "", COMMAND)
    (entry,) = pending.load_all(tmp_path)
    assert decide.refusal(entry) == f"{ID}: the agent {said}; record it again: {COMMAND}"


def test_an_entry_whose_recording_is_gone_says_so(tmp_path: Path) -> None:
    entry = _recording(tmp_path, _run(system="Be brief and kind."))
    shutil.rmtree(tmp_path / RECORDED)
    assert decide.refusal(entry) == f"{entry.id}: its recording is gone; reject this entry"


def test_several_loops_are_accepted_one_by_one(tmp_path: Path) -> None:
    for number in (1, 2):
        write_trace(tmp_path / RECORDED / f"run_{number}", _run(model=f"m{number}"), shared=True)
        write_trace(tmp_path / "played" / f"run_{number}", _run(system=f"Be {number}."))
    pending.write_recording(tmp_path, ID, Path(RECORDED), tmp_path / "played", "", COMMAND)
    decide.accept(pending.load_all(tmp_path)[0])
    traces = [read_journal(tmp_path / RECORDED / f"run_{number}") for number in (1, 2)]
    assert [(each.header["model"], each.header["system"]) for each in traces] == [("m1", "Be 1."), ("m2", "Be 2.")]


def test_a_damaged_recording_is_recorded_again(tmp_path: Path) -> None:
    write_trace(tmp_path / "played", _run())
    write_trace(tmp_path / RECORDED, _run(), shared=True)
    (tmp_path / RECORDED / "journal.jsonl").write_text("{}\n{}\n")
    pending.write_recording(tmp_path, ID, Path(RECORDED), tmp_path / "played", "", COMMAND)
    refused = decide.refusal(pending.load_all(tmp_path)[0])
    assert refused is not None
    assert "has no header" in refused
    assert refused.endswith(f"record it again: {COMMAND}")


def test_a_file_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    target = tmp_path / "x.trace"
    target.write_text("old")

    def full(path: Path, data: bytes) -> int:
        with path.open("wb") as file:
            file.write(data[:2])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(OSError, match="No space left"):
        pending.write_whole(target, b"new text")
    assert target.read_text() == "old"
    assert os.listdir(tmp_path) == ["x.trace"]  # noqa: PTH208  # names are all that is wanted
