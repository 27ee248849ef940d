"""What holds for every run, whatever the model, the tools and the hooks do."""

from __future__ import annotations

import datetime
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.drive import run_sync

if TYPE_CHECKING:
    from looplet import Run

from looplet import (
    ApprovalHook,
    CheckpointHook,
    Compact,
    DefaultState,
    Deny,
    InjectContext,
    LoopConfig,
    MockLLMBackend,
    Prompt,
    ProvenanceSink,
    Reply,
    Stop,
    ToolCall,
    composable_loop,
    load_trace,
    tool,
)
from looplet.errors import ContextOverflow, MalformedReply, ReplayMismatch, ServerError
from looplet.events import Compacted, RunFinished
from looplet.trace.journal import JournalWriter
from looplet.trace.replay import ReplayBackend

DONE = ToolCall("done", {"answer": "x"})


@tool
def echo(n: int) -> int:
    """Say it back."""
    return n


@tool(concurrent_safe=True)
def fail(n: int) -> int:
    """Fail on odd numbers."""
    if n % 2:
        raise ValueError(f"{n} is odd")
    return n


CALLS = st.builds(
    lambda name, n: ToolCall(name, {"n": n}), st.sampled_from(["echo", "fail", "unknown", "done"]), st.integers(0, 9)
)
TURNS = st.one_of(
    CALLS,
    st.lists(CALLS, min_size=2, max_size=4),
    st.sampled_from(["prose", "", Reply("cut", finish_reason="length"), '{"tool": "echo", "args": {"n": 1}}']),
    st.sampled_from([ServerError("busy"), MalformedReply("bad", text="<call"), ContextOverflow("too long")]),
)
SCRIPTS = st.lists(TURNS, max_size=8).map(lambda turns: [*turns, *[DONE] * 6])


class Moody:
    """Decides by step number alone, so that it does the same in a replay."""

    def __init__(self, moods: dict[int, Any]) -> None:
        self.moods = moods
        self.denied: list[str] = []

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Any:
        mood = self.moods.get(step)
        return mood if isinstance(mood, (InjectContext, Compact)) else None

    def pre_dispatch(self, state: Any, log: Any, call: Any, step: int) -> Any:
        mood = self.moods.get(step)
        return mood if isinstance(mood, Deny) else None

    def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> Any:
        mood = self.moods.get(step)
        return mood if isinstance(mood, Stop) else None


MOODS = st.dictionaries(
    st.integers(1, 8),
    st.sampled_from([InjectContext("by the way"), Compact(), Deny("no"), Stop("enough")]),
    max_size=4,
)
CONFIGS = st.builds(LoopConfig, max_steps=st.integers(1, 6), final_answer=st.booleans(), retries=st.just(1))


class Watch:
    def __init__(self, llm: MockLLMBackend) -> None:
        self.llm = llm
        self.ended: list[str] = []
        self.compacted_before: set[int] = set()

    def on_event(self, event: Any) -> None:
        if isinstance(event, RunFinished):
            self.ended.append(event.stop_reason)
        if isinstance(event, Compacted):
            self.compacted_before.add(len(self.llm.prompts))


@given(script=SCRIPTS, moods=MOODS, config=CONFIGS)
def test_requests_are_valid_budgets_hold_and_the_run_ends_once(
    script: list[Any], moods: dict[int, Any], config: LoopConfig
) -> None:
    """The scripted model refuses what a strict server would refuse, so a run that gets here sent nothing invalid."""
    llm = MockLLMBackend(script)
    watch = Watch(llm)
    result = run_sync(llm, tools=[echo, fail], hooks=[Moody(moods), watch], config=config)
    assert len(result.steps) <= (config.max_steps or 0)
    assert watch.ended == [result.stop_reason]
    assert [step.number for step in result.steps] == list(range(1, len(result.steps) + 1))


@given(script=SCRIPTS, moods=MOODS, config=CONFIGS)
def test_the_prefix_of_a_request_is_stable_until_a_compaction(
    script: list[Any], moods: dict[int, Any], config: LoopConfig
) -> None:
    calm = {step: mood for step, mood in moods.items() if not isinstance(mood, InjectContext)}
    llm = MockLLMBackend(script)
    watch = Watch(llm)
    run_sync(llm, tools=[echo, fail], hooks=[Moody(calm), watch], config=config)
    for number, (earlier, later) in enumerate(zip(llm.prompts, llm.prompts[1:], strict=False), start=1):
        if number not in watch.compacted_before and later.tools == earlier.tools:
            assert later.messages[: len(earlier.messages)] == earlier.messages


@given(script=SCRIPTS, moods=MOODS, config=CONFIGS)
def test_a_replay_asks_nobody_and_gives_the_same_steps(
    script: list[Any], moods: dict[int, Any], config: LoopConfig
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        arguments: dict[str, Any] = {"tools": [echo, fail], "config": config, "task": "t"}
        sink = ProvenanceSink(Path(folder) / "t")
        live = run_sync(MockLLMBackend(script), hooks=[Moody(moods), sink], **arguments)
        again = run_sync(ReplayBackend(sink.dir), hooks=[Moody(moods)], **arguments)
    assert again.stop_reason == live.stop_reason
    assert again.output == live.output
    assert [(step.tool_call, step.tool_result.data, step.tool_result.error) for step in again.steps] == [
        (step.tool_call, step.tool_result.data, step.tool_result.error) for step in live.steps
    ]


@given(script=SCRIPTS, end=st.sampled_from(["exhaust", "break", "raise"]), after=st.integers(0, 3))
def test_a_run_finishes_exactly_once_however_it_ends(script: list[Any], end: str, after: int) -> None:
    llm = MockLLMBackend(script)
    watch = Watch(llm)
    run = composable_loop(llm=llm, task="t", tools=[echo, fail], hooks=[watch], config=LoopConfig(retries=1))

    left: list[str] = []

    def body() -> None:
        with run:
            for step in run:
                if end != "exhaust" and step.number > after:
                    left.append(reason_of(run) or {"break": "closed", "raise": "error"}[end])
                    if end == "raise":
                        raise ZeroDivisionError
                    break

    with suppress(ZeroDivisionError):
        body()
    expected = left[0] if left else reason_of(run)
    assert watch.ended == [expected], "the with block has ended it"
    run.close()
    assert watch.ended == [run.result.stop_reason] == [expected]


def reason_of(run: Run) -> str | None:
    """Why the run stopped, as hooks see it; None while it goes on."""
    assert isinstance(run.state, DefaultState)
    return run.state.stop_reason


def test_a_dropped_run_ends_as_closed() -> None:
    llm = MockLLMBackend([ToolCall("echo", {"n": 1}), DONE])
    watch = Watch(llm)
    run = composable_loop(llm=llm, task="t", tools=[echo], hooks=[watch])
    next(run)
    del run
    assert watch.ended == ["closed"]


def test_a_datetime_result_does_not_stop_a_checkpointed_run(tmp_path: Path) -> None:
    @tool
    def now() -> Any:
        """Tell the time."""
        return datetime.datetime(2026, 3, 2, tzinfo=datetime.UTC)

    result = run_sync([ToolCall("now"), DONE], tools=[now], hooks=[CheckpointHook(tmp_path / "run")])
    assert result.stop_reason == load_trace(tmp_path / "run").stop_reason == "done"


def test_a_list_result_does_not_trouble_an_approval_hook() -> None:
    @tool
    def rows() -> Any:
        """Rows."""
        return [1, 2]

    assert (
        run_sync([ToolCall("rows"), DONE], tools=[rows], hooks=[ApprovalHook(lambda call: True)]).stop_reason == "done"
    )


def test_a_clock_that_jumps_changes_no_deadline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    times = (2e9 - 3600.0 * n for n in range(400))  # back by an hour at every look
    monkeypatch.setattr("time.time", lambda: next(times))
    monkeypatch.setitem(JournalWriter.__init__.__kwdefaults__, "clock", lambda: next(times))  # type: ignore[arg-type]  # it has some

    @tool(timeout_s=30.0)
    def quick() -> str:
        """Be quick."""
        return "quick"

    result = run_sync([ToolCall("quick"), DONE], tools=[quick], hooks=[ProvenanceSink(tmp_path / "t")])
    assert result.steps[0].tool_result.data == "quick"
    assert 0 <= load_trace(tmp_path / "t").duration < 30


def test_a_replay_that_runs_out_leaves_the_loop_as_an_error(tmp_path: Path) -> None:
    class Reject:
        def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> Any:
            return Deny("more") if state.finishing else None

    sink = ProvenanceSink(tmp_path / "t")
    run_sync([DONE], hooks=[sink], task="t")
    run = composable_loop(llm=ReplayBackend(sink.dir), task="t", tools=[], hooks=[Reject()])
    with pytest.raises(ReplayMismatch, match="were played, and the run asks for more"):
        list(run)
    assert (run.result.stop_reason, run.result.status) == ("error", "failed")
