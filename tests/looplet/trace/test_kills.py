"""`kill -9` at two hundred moments: what was acknowledged is there, and the trace can be shown, replayed, resumed."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import killed_runs
from tests.support.killed_runs import agent, journal_of, told
from tests.support.resuming import without_process

from looplet import RunResult, load_trace, replay_loop
from looplet.cli import main
from looplet.errors import ReplayMismatch, TraceError
from looplet.events import CallFinished, CallStarted
from looplet.trace.directory import JOURNAL
from looplet.trace.read import is_begun, read_journal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from looplet.events import Event
    from looplet.run import Run
    from looplet.trace.read import Trace

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="children are forked from a warm process")

KINDS = ("provenance", "checkpoints")
BY_PARENT = 35  # of each kind
EVENTS = {
    *("run_started", "model_replied", "model_failed", "call_started", "call_finished", "step_finished"),
    *("compacted", "hook_decided", "run_finished"),
}
ROOT = Path(__file__).parents[3]


class Killed:
    """One run that was killed."""

    def __init__(self, entry: dict[str, Any]) -> None:
        self.kind, self.how = entry["kind"], entry["how"]
        self.dir, self.progress = Path(entry["dir"]), Path(entry["progress"])

    @property
    def acknowledged(self) -> list[str]:
        return self.progress.read_text().splitlines() if self.progress.exists() else []

    def __repr__(self) -> str:
        return f"{self.kind} killed at {self.how}"


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The trace of the run that nobody killed, of each kind."""
    base = tmp_path_factory.mktemp("whole")
    for kind in KINDS:
        finish(agent(journal_of(kind, base / kind)))
    return {kind: base / kind for kind in KINDS}


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory, whole: dict[str, Path]) -> list[Killed]:
    base = tmp_path_factory.mktemp("killed")
    plan: list[dict[str, Any]] = []
    for kind in KINDS:
        for how in moments((whole[kind] / JOURNAL).read_bytes().count(b"\n"), 200 // len(KINDS)):
            name = f"{kind}-{len(plan)}"
            plan.append({"kind": kind, "how": how, "dir": f"{base / name}", "progress": f"{base / name}.progress"})
    (base / "plan.json").write_text(json.dumps(plan))
    command = [sys.executable, "-m", killed_runs.__name__, str(base / "plan.json")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return [Killed(entry) for entry in plan]


def moments(lines: int, count: int) -> list[dict[str, Any]]:
    """Every line cut somewhere, .gitignore, the blob and trace.txt, further cuts at edges, and whenever it happens."""
    chance = random.Random(4)  # the same moments every time
    cuts: list[dict[str, Any]] = [{"line": line, "part": chance.uniform(0.02, 0.98)} for line in range(1, lines + 1)]
    cuts += [{"file": number, "part": part} for number in (1, 2, 3) for part in (0.0, 0.5, 1.0)]
    while len(cuts) < count - BY_PARENT:
        cuts.append({"line": chance.randint(1, lines), "part": chance.choice([0.0, 0.02, 0.5, 0.999, 1.0])})
    return cuts + [{"reports": chance.randint(1, lines)} for _ in range(count - len(cuts))]


def finish(run: Run) -> RunResult:
    for _ in run:
        pass
    return run.result


def readable(killed: list[Killed]) -> Iterator[tuple[Killed, Trace]]:
    for each in killed:
        if is_begun(each.dir):
            yield each, read_journal(each.dir)


def test_the_kills_are_many_and_hit_every_kind_of_event(killed: list[Killed], whole: dict[str, Path]) -> None:
    assert len(killed) == 200
    torn = [each for each in killed if not (each.dir / JOURNAL).read_bytes().endswith((b"\n", b"}"))]
    assert len([each for each in torn if (each.dir / JOURNAL).stat().st_size]) >= 50
    for kind in KINDS:
        lines = [json.loads(line)["event"] for line in (whole[kind] / JOURNAL).read_text().splitlines()]
        hit = {lines[each.how["line"] - 1] for each in killed if each.kind == kind and "line" in each.how}
        assert hit == set(lines) >= EVENTS
        assert ("saved" in hit) == (kind == "checkpoints")
    assert sum("reports" in each.how for each in killed) >= 2 * BY_PARENT


def test_no_acknowledged_event_is_lost(killed: list[Killed]) -> None:
    for each in killed:
        if not is_begun(each.dir):
            assert each.acknowledged == [], each
            with pytest.raises(TraceError, match="the run was killed before it wrote its first line"):
                read_journal(each.dir)
            continue
        events = [told(event) for event in read_journal(each.dir).events]
        assert events[: len(each.acknowledged)] == each.acknowledged, each
        assert len(events) <= len(each.acknowledged) + 1, each  # the one that was being acknowledged


def test_every_trace_is_shown(killed: list[Killed], capsys: pytest.CaptureFixture[str]) -> None:
    for each, trace in readable(killed):
        assert main(["show", str(each.dir)]) == 0, each
        shown = capsys.readouterr().out
        assert shown.count("\n[step ") == len(trace.steps), each
        assert ("\nended: done" in shown) == (trace.finished is not None), each
        assert ("was cut short" in shown) == (trace.notice is not None), each
        assert load_trace(each.dir).steps == trace.steps


def test_every_trace_is_replayed_up_to_the_cut(killed: list[Killed]) -> None:
    for each, trace in readable(killed):
        if not trace.exchanges:
            continue
        run = replay_loop(each.dir, hooks=[killed_runs.Rules()])
        with nullcontext() if trace.finished else suppress(ReplayMismatch):  # there is no more to be played
            finish(run)
        played = without_process(run.result).steps[: len(trace.steps)]
        assert [step.tool_call for step in played] == [step.tool_call for step in trace.steps], each
        assert [step.tool_result.data for step in played] == [step.tool_result.data for step in trace.steps], each


def test_every_checkpointed_run_goes_on_and_ends_as_if_nothing_had_happened(
    killed: list[Killed], whole: dict[str, Path]
) -> None:
    expected = without_process(load_trace(whole["checkpoints"]))
    resumed = 0
    for each in killed:
        if each.kind != "checkpoints":
            continue
        trace = read_journal(each.dir) if is_begun(each.dir) else None
        if trace is not None and trace.finished is not None:
            continue
        result = finish(agent(asked=len(trace.exchanges) if trace else 0, resume=each.dir))
        assert without_process(result) == expected, each
        assert without_process(load_trace(each.dir)) == expected, each
        assert_nothing_ran_again(read_journal(each.dir).events)
        resumed += 1
    assert resumed >= 90


def assert_nothing_ran_again(events: Sequence[Event]) -> None:
    """A call whose result is on disk is not made again; one that was interrupted may be, as its tool is idempotent."""
    finished: set[int] = set()
    for event in events:
        if isinstance(event, CallFinished):
            finished.add(event.step)
        assert not (isinstance(event, CallStarted) and event.step in finished), event
