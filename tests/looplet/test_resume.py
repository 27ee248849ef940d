"""Resuming: wherever a run is killed, going on leaves what the uninterrupted run would have left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.drive import run_async, run_sync
from tests.support.resuming import Scripted, double, fail, newest, square, without_process

from looplet import (
    ApprovalHook,
    CheckpointHook,
    Compact,
    LoopConfig,
    MockLLMBackend,
    Prompt,
    ProvenanceSink,
    Reply,
    Resume,
    ToolCall,
    ToolContext,
    approve,
    composable_loop,
    load_trace,
    tool,
)
from looplet._core.save import RESUMABLE
from looplet.errors import ContextOverflow, ServerError, TraceError
from looplet.trace.directory import JOURNAL

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DONE = ToolCall("done", {"answer": "x"})


def call(name: str, n: int) -> ToolCall:
    return ToolCall(name, {"n": n})


TURNS = st.one_of(
    st.builds(call, st.sampled_from(["double", "square", "fail", "unknown"]), st.integers(0, 9)),
    st.lists(st.builds(call, st.sampled_from(["double", "square"]), st.integers(0, 9)), min_size=2, max_size=4),
    st.just("no call in this reply"),
    st.just(Reply("cut", finish_reason="length")),
    st.builds(ServerError, st.just("busy")),
)
SCRIPTS = st.lists(TURNS, max_size=5).map(lambda turns: [*turns, DONE, *["last words"] * 3])


class CompactOften:
    """Shortens whenever the conversation has grown; remembers nothing."""

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact | None:
        return Compact(newest) if len(ctx.messages) > 6 else None


def arguments(script: list[Any], folder: Path, asked: int = 0) -> dict[str, Any]:
    return {
        "llm": Scripted(script, asked),
        "task": {"goal": "compute"},
        "tools": [double, square, fail],
        "hooks": [CheckpointHook(folder), CompactOften()],
    }


def answered(journal: bytes) -> int:
    """How many requests the journal knows an outcome of; a line that was cut short tells nothing."""
    lines = journal[: journal.rfind(b"\n")].splitlines()
    return sum(b'"event":"model_replied"' in line or b'"event":"model_failed"' in line for line in lines)


def cut(folder: Path, journal: bytes) -> None:
    folder.mkdir()
    (folder / JOURNAL).write_bytes(journal)


@settings(max_examples=25)
@given(script=SCRIPTS, torn=st.booleans(), final_answer=st.booleans())
def test_killed_at_any_event_and_resumed_equals_uninterrupted(
    tmp_path_factory: pytest.TempPathFactory, script: list[Any], torn: bool, final_answer: bool
) -> None:
    base = tmp_path_factory.mktemp("resume")
    config = LoopConfig(max_steps=4, final_answer=final_answer)
    whole = run_sync(**arguments(script, base / "whole") | {"config": config})
    lines = (base / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    # without its last line, RunFinished, a run is unfinished; one that failed goes on, so its last failure is cut, too
    most = len(lines) - (whole.stop_reason in RESUMABLE)
    for kept in range(1, most):
        journal = b"".join(lines[:kept]) + (lines[kept][: len(lines[kept]) // 2] if torn else b"")
        folder = base / f"cut-{kept}"
        cut(folder, journal)
        again = run_sync(**arguments(script, folder, answered(journal)) | {"config": config, "resume": folder})
        assert without_process(again) == without_process(whole), f"killed after line {kept}: {lines[kept - 1][:200]!r}"
        assert without_process(load_trace(folder)) == without_process(whole)


@pytest.mark.parametrize("run", [run_sync, run_async])
def test_a_call_that_was_interrupted_is_reported_and_never_repeated(tmp_path: Path, run: Callable[..., Any]) -> None:
    ran: list[int] = []

    @tool
    def pay(n: int) -> str:
        """Pay."""
        ran.append(n)
        return "paid"

    script = [call("pay", 7), DONE]
    run(Scripted(script), tools=[pay], task="t", hooks=[CheckpointHook(tmp_path / "whole")])
    lines = (tmp_path / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    started = next(index for index, line in enumerate(lines) if b'"event":"call_started"' in line)
    cut(tmp_path / "cut", b"".join(lines[: started + 1]))
    llm = Scripted(script, 1)
    result = run(llm, tools=[pay], task="t", resume=tmp_path / "cut")
    assert ran == [7], "only the first process ran it"
    assert result.steps[0].tool_result.error_kind == "interrupted"
    assert "may or may not have had its effect" in llm.prompts[0].messages[-1].content
    assert result.stop_reason == "done"


@pytest.mark.parametrize("run", [run_sync, run_async])
def test_results_of_a_wave_that_are_on_disk_are_not_run_again(tmp_path: Path, run: Callable[..., Any]) -> None:
    ran: list[int] = []

    @tool(concurrent_safe=True)
    def work(n: int) -> int:
        """Work."""
        ran.append(n)
        return n

    script = [[call("work", n) for n in range(3)], DONE]
    run(Scripted(script), tools=[work], task="t", hooks=[CheckpointHook(tmp_path / "whole")])
    lines = (tmp_path / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    finished = [index for index, line in enumerate(lines) if b'"event":"call_finished"' in line]
    cut(tmp_path / "cut", b"".join(lines[: finished[2] + 1]))
    result = run(Scripted(script, 1), tools=[work], task="t", resume=tmp_path / "cut")
    assert sorted(ran) == [0, 1, 2]
    assert [step.tool_result.data for step in result.steps] == [0, 1, 2, "x"]


def broken_off(folder: Path, steps: int = 1) -> None:
    """Leave a run that was closed after some steps."""
    run = composable_loop(
        llm=Scripted([call("double", 1), call("double", 2), DONE]),
        task="t",
        tools=[double],
        hooks=[CheckpointHook(folder)],
        max_steps=3,
    )
    for _ in range(steps):
        next(run)
    run.close()


def test_a_closed_run_goes_on_in_the_same_journal_with_its_budget(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    result = run_sync(
        Scripted([call("double", 2), call("double", 3)]), tools=[double], task="t", resume=tmp_path / "run"
    )
    assert (result.stop_reason, [step.tool_result.data for step in result.steps]) == ("max_steps", [2, 4, 6])
    journal = (tmp_path / "run" / JOURNAL).read_text()
    assert journal.count('"event":"run_started"') == 1
    assert journal.count('"event":"run_resumed"') == 1
    assert load_trace(tmp_path / "run").stop_reason == "max_steps"


def test_the_task_may_be_left_out_when_resuming(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    result = run_sync(Scripted([DONE]), tools=[double], task=None, resume=tmp_path / "run")
    assert (result.task, result.stop_reason) == ("t", "done")


def test_a_finished_run_is_never_continued(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    run_sync(Scripted([DONE]), task="t", hooks=[CheckpointHook(tmp_path / "run")])
    result = run_sync(Scripted([DONE]), task="t", resume=tmp_path / "run")
    assert len(result.steps) == 1
    assert "is finished (done); a new one starts" in caplog.text


def test_without_a_run_a_new_one_starts_with_a_notice(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    assert run_sync(Scripted([DONE]), task="t", resume=tmp_path / "run").stop_reason == "done"
    assert "there is no run in" in caplog.text
    assert load_trace(tmp_path / "run").stop_reason == "done"


def test_a_run_of_another_task_is_never_continued_and_nothing_is_lost(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    before = (tmp_path / "run" / JOURNAL).read_bytes()
    with pytest.raises(TraceError, match="holds a run of another task, 't'; give that task, or another directory"):
        run_sync(Scripted([DONE]), task="other", resume=tmp_path / "run")
    assert (tmp_path / "run" / JOURNAL).read_bytes() == before


@pytest.mark.parametrize(("redact", "message"), [(True, "is redacted"), (None, "has no checkpoints")])
def test_a_provenance_trace_is_nothing_to_go_on_from(tmp_path: Path, redact: Any, message: str) -> None:
    run_sync(
        Scripted([call("double", 1), DONE]),
        tools=[double],
        task="t",
        hooks=[ProvenanceSink(tmp_path / "t", redact=redact)],
    )
    lines = (tmp_path / "t" / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / "t" / JOURNAL).write_bytes(b"".join(lines[:-1]))
    with pytest.raises(TraceError, match=message):
        run_sync(Scripted([DONE]), task="t", resume=tmp_path / "t")


def test_a_trace_of_a_resumed_run_holds_its_history(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    sink = ProvenanceSink(tmp_path / "trace")
    result = run_sync(Scripted([DONE]), tools=[double], task="t", resume=tmp_path / "run", hooks=[sink])
    assert load_trace(tmp_path / "trace").steps == result.steps
    assert len(result.steps) == 2


def test_two_journals_never_share_a_directory(tmp_path: Path) -> None:
    from looplet.errors import HookError

    with pytest.raises(HookError, match="ProvenanceSink and CheckpointHook cannot share"):
        composable_loop(
            llm=Scripted([DONE]), task="t", tools=[], hooks=[CheckpointHook(tmp_path), ProvenanceSink(tmp_path)]
        )


def test_a_checkpoint_grows_with_what_is_new_only(tmp_path: Path) -> None:
    script: list[Any] = [call("double", n) for n in range(200)]
    run_sync(Scripted(script), tools=[double], task="t", max_steps=200, hooks=[CheckpointHook(tmp_path / "run")])
    lines = (tmp_path / "run" / JOURNAL).read_bytes().splitlines()
    sizes = [len(line) for line in lines if b'"event":"step_finished"' in line]
    assert max(sizes[150:-1]) < 1.2 * max(sizes[10:50])  # the last one also says how the run ended


@settings(max_examples=5)
@given(script=SCRIPTS)
def test_a_last_line_without_its_newline_counts_for_the_state_and_for_the_journal(
    tmp_path_factory: pytest.TempPathFactory, script: list[Any]
) -> None:
    base = tmp_path_factory.mktemp("newline")
    whole = run_sync(**arguments(script, base / "whole"))
    lines = (base / "whole" / JOURNAL).read_bytes().splitlines(keepends=True)
    for kept in range(1, len(lines) - (whole.stop_reason in RESUMABLE)):
        journal = b"".join(lines[:kept])
        cut(base / f"cut-{kept}", journal.removesuffix(b"\n"))
        again = run_sync(
            **arguments(script, base / f"cut-{kept}", answered(journal)) | {"resume": base / f"cut-{kept}"}
        )
        assert without_process(again) == without_process(whole)
        assert without_process(load_trace(base / f"cut-{kept}")) == without_process(whole)


def events_of(folder: Path) -> list[str]:
    return [json.loads(line)["event"] for line in (folder / JOURNAL).read_text().splitlines()]


def killed_after(folder: Path, event: str, which: int = -1) -> None:
    """Cut the journal behind one of its `event` lines."""
    lines = (folder / JOURNAL).read_bytes().splitlines(keepends=True)
    places = [index for index, name in enumerate(events_of(folder)) if name == event]
    (folder / JOURNAL).write_bytes(b"".join(lines[: places[which] + 1]))


@pytest.mark.parametrize("event", ["call_started", "call_finished"])
def test_an_approved_call_is_not_repeated_when_its_process_dies(tmp_path: Path, event: str) -> None:
    ran: list[int] = []

    @tool(needs_approval=True)
    def pay(n: int) -> str:
        """Pay."""
        ran.append(n)
        return "paid"

    folder = tmp_path / "run"
    run_sync(Scripted([call("pay", 1)]), tools=[pay], task="t", hooks=[ApprovalHook(), CheckpointHook(folder)])
    answer = Resume(folder, approve())
    run_sync(Scripted([DONE]), tools=[pay], task="t", hooks=[ApprovalHook()], resume=answer)
    killed_after(folder, event, 0)
    result = run_sync(Scripted([DONE]), tools=[pay], task="t", hooks=[ApprovalHook()], resume=answer)
    assert ran == [1]
    expected = "interrupted" if event == "call_started" else None
    assert result.steps[0].tool_result.error_kind == expected


def test_a_call_that_asked_by_itself_is_announced_when_it_runs_for_real(tmp_path: Path) -> None:
    ran: list[int] = []

    @tool
    def pay(n: int, ctx: ToolContext) -> Any:
        """Pay, and ask first."""
        if not ctx.approved:
            return {"needs_approval": True}
        ran.append(n)
        raise KeyboardInterrupt

    folder = tmp_path / "run"
    hooks: list[Any] = [CheckpointHook(folder), ApprovalHook(lambda call: True)]
    with pytest.raises(KeyboardInterrupt):
        run_sync(Scripted([call("pay", 3)]), tools=[pay], task="t", hooks=hooks)
    again = run_sync(Scripted([DONE]), tools=[pay], task="t", hooks=[ApprovalHook(lambda call: True)], resume=folder)
    assert ran == [3]
    assert again.steps[0].tool_result.error_kind == "interrupted"


def test_the_question_of_a_strategy_is_never_taken_for_the_agents_reply(tmp_path: Path) -> None:
    def summary(messages: Any) -> Any:
        yield Prompt("Summarise.", tuple(messages[:1]))
        return [messages[0], *messages[-2:]]

    class Asks:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Any:
            return Compact(summary) if len(ctx.messages) > 4 else None

    def policy(prompt: Prompt) -> Any:
        if prompt.system == "Summarise.":
            return "SUMMARY"
        return call("double", len(prompt.messages)) if len(prompt.messages) < 5 else DONE

    folder, arguments = tmp_path / "run", {"tools": [double], "task": "t", "max_steps": 4}
    whole = run_sync(MockLLMBackend(policy), **arguments, hooks=[CheckpointHook(folder), Asks()])
    lines = (folder / JOURNAL).read_text().splitlines()
    asked = next(index for index, line in enumerate(lines) if '"SUMMARY"' in line)
    (folder / JOURNAL).write_text("\n".join(lines[: asked + 1]) + "\n")
    again = run_sync(MockLLMBackend(policy), **arguments, hooks=[Asks()], resume=folder)
    assert again.tool_sequence == whole.tool_sequence
    assert again.output == whole.output


def test_a_smaller_budget_than_was_spent_ends_the_run_at_once(tmp_path: Path) -> None:
    broken_off(tmp_path / "run", steps=2)
    llm = Scripted([[call("square", n) for n in range(6)]])
    result = run_sync(llm, tools=[double, square], task="t", resume=tmp_path / "run", max_steps=1)
    assert (result.stop_reason, len(result.steps), llm.prompts) == ("max_steps", 2, [])


def test_a_budget_that_was_raised_stays_raised(tmp_path: Path) -> None:
    broken_off(tmp_path / "run", steps=2)
    run = composable_loop(
        Scripted([call("double", n) for n in range(9)]), "t", [double], max_steps=6, resume=tmp_path / "run"
    )
    next(run)
    run.close()
    result = run_sync(
        Scripted([call("double", n) for n in range(9)]), tools=[double], task="t", resume=tmp_path / "run"
    )
    assert (result.stop_reason, len(result.steps)) == ("max_steps", 6)


def test_a_run_that_failed_of_its_length_may_go_on_with_another_model(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    failed = run_sync(Scripted([ContextOverflow("too long")]), task="t", hooks=[CheckpointHook(folder)])
    assert failed.stop_reason == "llm_error"
    assert run_sync(Scripted([DONE]), task="t", resume=folder).stop_reason == "done"


def test_notes_and_approval_of_a_started_call_are_taken_up(tmp_path: Path) -> None:
    approved: list[bool] = []

    @tool(needs_approval=True, idempotent=True)
    def pay(n: int, ctx: ToolContext) -> str:
        """Pay."""
        approved.append(ctx.approved)
        return "paid"

    folder = tmp_path / "run"
    script = [ToolCall("pay", {"n": "3"}), DONE]
    hooks: list[Any] = [ApprovalHook(lambda call: True)]
    whole = run_sync(Scripted(script), tools=[pay], task="t", hooks=[*hooks, CheckpointHook(folder)])
    killed_after(folder, "call_started", 0)
    again = run_sync(Scripted(script, 1), tools=[pay], task="t", hooks=hooks, resume=folder)
    assert approved == [True, True]
    assert again.steps[0].tool_result.warnings == whole.steps[0].tool_result.warnings != ()


def test_a_run_that_has_gone_on_since_it_was_read_is_not_gone_on_with(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    first, second = (
        composable_loop(llm=Scripted([call("double", 2), DONE]), task="t", tools=[double], resume=tmp_path / "run")
        for _ in range(2)
    )
    assert [step.number for step in first] == [2, 3]
    before = (tmp_path / "run" / JOURNAL).read_bytes()
    with pytest.raises(TraceError, match=r"run': this run has gone on in the meantime; resume it again"):
        next(second)
    assert (tmp_path / "run" / JOURNAL).read_bytes() == before
    assert load_trace(tmp_path / "run").stop_reason == "done"


def test_a_hook_that_was_refused_keeps_the_run_when_it_is_resumed_again(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    hook = CheckpointHook(tmp_path / "run")
    late: dict[str, Any] = {"task": "t", "tools": [double], "resume": tmp_path / "run", "hooks": [hook]}
    stale = composable_loop(llm=Scripted([DONE]), **late)
    run = composable_loop(
        llm=Scripted([call("double", 2)]), task="t", tools=[double], resume=tmp_path / "run", max_steps=3
    )
    next(run)
    run.close()
    with pytest.raises(TraceError, match="gone on in the meantime"):
        next(stale)
    result = run_sync(Scripted([DONE]), **late)
    assert [step.number for step in result.steps] == [1, 2, 3]
    assert load_trace(tmp_path / "run").steps == result.steps


@pytest.mark.parametrize("behind", ["checkpoints", "trace"])
def test_a_kill_between_two_journals_of_a_run_spoils_neither(tmp_path: Path, behind: str) -> None:
    def journals() -> list[Any]:
        return [CheckpointHook(tmp_path / "checkpoints"), ProvenanceSink(tmp_path / "trace")]

    script = [call("double", 1), call("double", 2), DONE]
    whole = run_sync(Scripted(script), task="t", tools=[double], hooks=journals())
    for name in ("checkpoints", "trace"):
        lines = (tmp_path / name / JOURNAL).read_bytes().splitlines(keepends=True)
        finished = next(index for index, line in enumerate(lines) if b'"event":"call_finished"' in line)
        (tmp_path / name / JOURNAL).write_bytes(b"".join(lines[: finished + (name != behind)]))
    again = run_sync(Scripted(script, 1), task="t", tools=[double], hooks=journals(), resume=tmp_path / "checkpoints")
    assert without_process(again) == without_process(whole)
    for name in ("checkpoints", "trace"):
        assert without_process(load_trace(tmp_path / name)) == without_process(whole)


def test_a_second_journal_of_checkpoints_is_written_whole_and_can_be_resumed_from(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    for folder, other in (("run", "copy"), ("copy", "run")):
        hooks = [CheckpointHook(tmp_path / other)]
        run = composable_loop(
            llm=Scripted([call("double", 2)]),
            task="t",
            tools=[double],
            resume=tmp_path / folder,
            hooks=hooks,
            max_steps=9,
        )
        next(run)
        run.close()
        assert load_trace(tmp_path / folder).steps == load_trace(tmp_path / other).steps
    assert len(load_trace(tmp_path / "run").steps) == 3


def test_an_older_trace_stays_until_that_of_the_resumed_run_is_complete(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    run_sync(Scripted([DONE]), task="older", hooks=[ProvenanceSink(tmp_path / "trace")])
    sink = ProvenanceSink(tmp_path / "trace")
    run = composable_loop(
        llm=Scripted([call("double", 2), DONE]), task="t", tools=[double], resume=tmp_path / "run", hooks=[sink]
    )
    next(run)
    assert not sink.complete
    assert load_trace(tmp_path / "trace.previous").task == "older"
    list(run)
    assert sink.complete
    assert not (tmp_path / "trace.previous").exists()


def test_what_a_resumed_run_tells_of_its_past_is_redacted(tmp_path: Path) -> None:
    broken_off(tmp_path / "run")
    sink = ProvenanceSink(tmp_path / "trace", redact=lambda text: text.replace("double", "[hidden]"))
    run_sync(Scripted([DONE]), task="t", tools=[double], resume=tmp_path / "run", hooks=[sink])
    journal = (tmp_path / "trace" / JOURNAL).read_text()
    assert "[hidden]" in journal
    assert "double" not in journal


@pytest.mark.parametrize("journal", [b"", b"{", b'{"event":"run_sta'])
def test_a_run_killed_before_its_first_line_was_whole_begins_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, journal: bytes
) -> None:
    cut(tmp_path / "run", journal)
    assert run_sync(Scripted([DONE]), task="t", resume=tmp_path / "run").stop_reason == "done"
    assert "there is no run in" in caplog.text
    assert load_trace(tmp_path / "run").stop_reason == "done"


def test_a_file_that_is_no_journal_is_never_taken_for_an_empty_one(tmp_path: Path) -> None:
    cut(tmp_path / "run", b"broken\n")
    with pytest.raises(TraceError, match="is damaged: line 1 is not JSON"):
        run_sync(Scripted([DONE]), task="t", resume=tmp_path / "run")
    assert (tmp_path / "run" / JOURNAL).read_bytes() == b"broken\n"
