"""The loop as a whole: what runs, in which order, and where it stops."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING, Any

import pytest

from looplet import (
    CancelToken,
    DefaultState,
    LoopConfig,
    MockLLMBackend,
    Prompt,
    Reply,
    ToolCall,
    composable_loop,
    tool,
)
from looplet.events import RunFinished, StepFinished

if TYPE_CHECKING:
    from tests.support.drive import Drive

    from looplet.events import Event

DONE = ToolCall("done", {"answer": "42"})


@tool
def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


class Recorder:
    """A watcher that keeps every event."""

    def __init__(self) -> None:
        self.events: list[Event] = []

    def on_event(self, event: Event) -> None:
        self.events.append(event)


def adding(n: int) -> ToolCall:
    return ToolCall("add", {"a": n, "b": 1})


def test_an_accepted_done_completes_the_run_with_its_answer(drive: Drive) -> None:
    result = drive([adding(1), DONE], tools=[add])
    assert (result.status, result.stop_reason, result.output) == ("completed", "done", "42")
    assert result.tool_sequence == ["add", "done"]
    assert result.steps[0].tool_result.data == 2


def test_the_output_is_what_a_done_tool_of_the_users_own_returned(drive: Drive) -> None:
    @tool
    def done(amount: int) -> dict[str, int]:
        return {"amount": amount}

    assert drive([ToolCall("done", {"amount": 25})], tools=[done]).output == {"amount": 25}


def test_a_done_with_wrong_arguments_is_not_a_completion(drive: Drive) -> None:
    result = drive([ToolCall("done", {"result": "x"}), DONE])
    assert result.tool_sequence == ["done", "done"]
    assert result.steps[0].tool_result.error_kind == "validation"
    assert result.output == "42"


def test_a_failing_done_is_not_a_completion(drive: Drive) -> None:
    @tool
    def done(answer: str) -> str:
        if answer == "bad":
            raise ValueError("no")
        return answer

    result = drive([ToolCall("done", {"answer": "bad"}), ToolCall("done", {"answer": "good"})], tools=[done])
    assert result.output == "good"
    assert result.errors == ("done: ValueError: no",)


@pytest.mark.parametrize("together", [False, True])
def test_one_turn_never_exceeds_the_budget(drive: Drive, together: bool) -> None:
    @tool(concurrent_safe=together)
    def one_more(n: int) -> int:
        """Count."""
        return n + 1

    result = drive([[ToolCall("one_more", {"n": n}) for n in range(6)]], tools=[one_more], max_steps=2)
    assert result.stop_reason == "max_steps"
    assert [step.tool_result.data for step in result.steps] == [1, 2]


def test_failed_and_invalid_steps_count_against_the_budget(drive: Drive) -> None:
    result = drive([ToolCall("add", {"a": "x", "b": 1}), ToolCall("nope"), DONE], tools=[add], max_steps=2)
    assert result.stop_reason == "max_steps"
    assert [step.tool_result.error_kind for step in result.steps] == ["validation", "validation"]


def test_free_tools_do_not_count_but_cannot_run_for_ever(drive: Drive) -> None:
    @tool(free=True)
    def think(thought: str) -> str:
        """Think."""
        return "ok"

    result = drive(MockLLMBackend([ToolCall("think", {"thought": "hm"})], cycle=True), tools=[think], max_steps=2)
    assert result.stop_reason == "max_steps"
    assert len(result.steps) == 8


def test_calls_of_a_turn_run_as_the_consumer_advances() -> None:
    ran: list[int] = []

    @tool
    def note(n: int) -> None:
        ran.append(n)

    for step in composable_loop(
        llm=MockLLMBackend([[ToolCall("note", {"n": n}) for n in range(4)]]), tools=[note], task="go"
    ):
        assert step.number == 1
        break
    assert ran == [0]


def test_break_out_of_an_unnamed_run_tears_it_down_at_once_without_the_garbage_collector() -> None:
    watcher = Recorder()
    gc.disable()
    try:
        for _ in composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=[watcher]):
            break
        finished = [event for event in watcher.events if isinstance(event, RunFinished)]
    finally:
        gc.enable()
    assert [event.stop_reason for event in finished] == ["closed"]


def test_a_named_run_goes_on_after_break_and_finishes_once() -> None:
    watcher = Recorder()
    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=[watcher])
    for _ in run:
        break
    assert run.result.stop_reason == "running"
    assert [step.tool_call.tool for step in run] == ["done"]
    run.close()
    assert [event.stop_reason for event in watcher.events if isinstance(event, RunFinished)] == ["done"]


def test_leaving_a_with_block_closes_the_run() -> None:
    with composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go") as run:
        next(run)
    assert run.result.stop_reason == "closed"
    assert list(run) == []


def test_an_exception_in_a_with_block_is_the_runs_error() -> None:
    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go")

    def body() -> None:
        with run:
            next(run)
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError):
        body()
    assert (run.result.stop_reason, run.result.status) == ("error", "failed")
    assert run.result.errors == ("ZeroDivisionError: mine",)


def test_a_run_that_was_never_started_tells_nobody() -> None:
    watcher = Recorder()
    composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", hooks=[watcher]).close()
    assert watcher.events == []


def test_a_step_is_announced_before_the_consumer_sees_it() -> None:
    watcher = Recorder()
    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=[watcher])
    step = next(run)
    last = watcher.events[-1]
    assert isinstance(last, StepFinished)
    assert last.step is step


def test_next_from_inside_a_hook_of_the_run_is_an_error() -> None:
    class Reenter:
        def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> None:
            next(run)

    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=[Reenter()])
    with pytest.raises(RuntimeError, match="being advanced right now: from inside one of its own hooks"):
        list(run)


def test_a_watcher_that_raises_is_logged_once_and_stops_nothing(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def on_event(self, event: Event) -> None:
            raise ValueError("watcher down")

    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=[Broken()])
    assert len(list(run)) == 2
    assert [record.message for record in caplog.records] == [
        "Broken.on_event() raised ValueError: watcher down; the run goes on, this is logged once"
    ]


def test_usage_is_summed_and_each_step_holds_what_was_spent_for_it(drive: Drive) -> None:
    result = drive([adding(1), [adding(2), adding(3)], DONE], tools=[add])
    spent = [step.usage.input_tokens for step in result.steps]
    assert spent[2] == 0, "the second call of one turn costs nothing more"
    assert sum(spent) == result.usage.input_tokens > 0


@pytest.mark.parametrize(
    ("task", "expected"),
    [
        ("just text", ["just text"]),
        ({"goal": "g", "rows": [1, {"x": "y"}]}, ["goal: g", 'rows: [1,{"x":"y"}]']),
        (["a", 2], ['["a",2]']),
    ],
)
def test_every_value_of_the_task_reaches_the_model(drive: Drive, task: Any, expected: list[str]) -> None:
    llm = MockLLMBackend([DONE])
    drive(llm, task=task)
    for part in expected:
        assert part.replace(" ", "") in llm.prompts[0].messages[0].content.replace(" ", "")


def test_the_prefix_of_each_prompt_is_the_previous_prompt(drive: Drive) -> None:
    llm = MockLLMBackend([adding(1), [adding(2), adding(3)], ToolCall("nope"), DONE])
    drive(llm, tools=[add])
    for earlier, later in zip(llm.prompts, llm.prompts[1:], strict=False):
        assert later.messages[: len(earlier.messages)] == earlier.messages
        assert (later.system, later.tools) == (earlier.system, earlier.tools)


def test_final_answer_asks_once_more_without_tools_and_keeps_the_stop_reason(drive: Drive) -> None:
    llm = MockLLMBackend([[adding(1), adding(2)], "I think it is 2."])
    result = drive(llm, tools=[add], config=LoopConfig(max_steps=1, final_answer=True))
    assert (result.stop_reason, result.output) == ("max_steps", "I think it is 2.")
    last = llm.prompts[-1]
    assert last.tools == ()
    assert "not executed" in last.messages[-2].content


def test_final_answer_prompts_pass_the_hooks(drive: Drive) -> None:
    class Scrub:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Prompt:
            return ctx.map_text(lambda text: text.replace("secret", "***"))

    llm = MockLLMBackend([adding(1), "fine"])
    drive(llm, tools=[add], task="secret", hooks=[Scrub()], config=LoopConfig(max_steps=1, final_answer=True))
    assert not any("secret" in str(prompt) for prompt in llm.prompts)


def test_budget_argument_beats_config_beats_state() -> None:
    def budget(**arguments: Any) -> int | None:
        run = composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", **arguments)
        assert isinstance(run.state, DefaultState)
        return run.state.budget_remaining

    assert budget() == 15
    assert budget(state=DefaultState(max_steps=4)) == 4
    assert budget(config=LoopConfig(max_steps=3)) == 3
    assert budget(config=LoopConfig(max_steps=3), max_steps=2) == 2
    with pytest.warns(UserWarning, match=r"LoopConfig\(max_steps=3\) and DefaultState\(max_steps=4\) disagree"):
        assert budget(config=LoopConfig(max_steps=3), state=DefaultState(max_steps=4)) == 3


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"tools": None}, ValueError, "tools=None"),
        ({"task": None}, ValueError, "say what the agent should do"),
        ({"task": "  "}, ValueError, "say what the agent should do"),
        ({"task": {}}, ValueError, "say what the agent should do"),
        ({"config": {"max_steps": 3}}, TypeError, r"config is a dict; give a LoopConfig"),
        ({"hooks": Recorder()}, TypeError, r"give a list of hooks: hooks=\[Recorder\(\)\]"),
        ({"max_steps": 0}, ValueError, "max_steps is 0: use a whole number of at least 1"),
        ({"max_steps": True}, ValueError, "max_steps is True"),
        ({"llm": None}, TypeError, "llm is None"),
        ({"llm": object()}, TypeError, "generate"),
        ({"state": object()}, TypeError, "has no 'max_steps'"),
    ],
)
def test_nonsense_is_refused_before_anything_is_sent(
    arguments: dict[str, Any], error: type[Exception], message: str
) -> None:
    llm = MockLLMBackend([DONE])
    everything: dict[str, Any] = {"llm": llm, "task": "go", "tools": []} | arguments
    with pytest.raises(error, match=message):
        composable_loop(**everything)
    assert llm.prompts == []


def test_a_state_serves_one_run() -> None:
    state = DefaultState()
    list(composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", state=state))
    with pytest.raises(ValueError, match="give every run a new"):
        composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", state=state)


def test_a_state_class_of_the_users_own_needs_two_members() -> None:
    class Mine:
        max_steps = 3

        def __init__(self) -> None:
            self.steps: list[Any] = []

    mine = Mine()
    seen: list[Any] = []

    class Look:
        def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> None:
            seen.append((state, len(state.steps)))

    list(composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", state=mine, hooks=[Look()]))
    assert seen == [(mine, 1), (mine, 2)]


def test_a_backend_error_before_the_first_step_is_not_silent(caplog: pytest.LogCaptureFixture) -> None:
    from looplet.errors import AuthError

    run = composable_loop(llm=MockLLMBackend([AuthError("wrong key; set OPENAI_API_KEY")]), tools=[], task="go")
    assert list(run) == []
    assert run.result.stop_reason == "llm_error"
    assert "wrong key; set OPENAI_API_KEY" in caplog.text


def test_reply_objects_can_be_scripted(drive: Drive) -> None:
    assert drive([Reply(text="the answer")], config=LoopConfig(tool_mode="native")).stop_reason in {
        "done",
        "parse_error",
    }


def test_a_state_that_cannot_be_appended_to_is_refused() -> None:
    class Fixed:
        max_steps = 3
        steps = ()

    with pytest.raises(TypeError, match="make it a list"):
        composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", state=Fixed())  # type: ignore[arg-type]


def test_native_mode_with_a_model_that_has_none_is_refused() -> None:
    run = composable_loop(llm=MockLLMBackend(["x"]), tools=[], task="go", config=LoopConfig(tool_mode="native"))
    with pytest.raises(ValueError, match="takes no native tool calls; use 'auto'"):
        list(run)


def test_a_run_is_freed_at_once_also_after_errors_the_backend_keeps() -> None:
    from looplet.errors import MalformedReply

    watcher = Recorder()
    llm = MockLLMBackend([MalformedReply("kept by the script"), adding(1), DONE])
    gc.disable()
    try:
        for _ in composable_loop(llm=llm, tools=[add], task="go", hooks=[watcher]):
            break
        assert isinstance(watcher.events[-1], RunFinished)
    finally:
        gc.enable()


def test_a_finished_run_leaves_no_cycle_behind() -> None:
    gc.collect()
    gc.disable()
    try:
        list(composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go"))
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_a_tool_did_is_a_step_even_when_a_hook_raises_over_it(drive: Drive) -> None:
    class Raises:
        def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> None:
            raise ValueError("hook down")

    seen: list[Any] = []
    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=[Raises()])
    with pytest.raises(ValueError, match="hook down"):
        seen.extend(run)
    assert [step.tool_result.data for step in run.result.steps] == [2]


def test_an_interrupt_ends_the_run_as_cancelled() -> None:
    class Interrupts:
        def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> None:
            raise KeyboardInterrupt

    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=[Interrupts()])
    with pytest.raises(KeyboardInterrupt):
        list(run)
    assert run.result.stop_reason == "cancelled"


class FailingJournal:
    """A journal that cannot write its last line."""

    def __init__(self) -> None:
        self.closed = False

    def filter_prompt(self, prompt: Prompt) -> Prompt:
        return prompt

    def write(self, event: Event) -> None:
        if isinstance(event, RunFinished):
            raise OSError("disk full")

    def close(self) -> None:
        self.closed = True
        raise OSError("still full")


def test_a_failing_journal_does_not_hide_the_users_own_error_and_all_are_closed() -> None:
    journals = [FailingJournal(), FailingJournal()]
    run = composable_loop(llm=MockLLMBackend([adding(1), DONE]), tools=[add], task="go", hooks=journals)

    def body() -> None:
        with run:
            next(run)
            raise ZeroDivisionError("mine")

    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        body()
    assert "ending the run failed, too" in caught.value.__notes__[0]
    assert all(journal.closed for journal in journals)


def test_each_broken_watcher_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    class Broken:
        def on_event(self, event: Event) -> None:
            raise ValueError("down")

    list(composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", hooks=[Broken(), Broken()]))
    assert len(caplog.records) == 2


def test_cancelling_from_the_for_body_begins_nothing_more() -> None:
    ran: list[int] = []

    @tool
    def note(n: int) -> None:
        """Note."""
        ran.append(n)

    token = CancelToken()
    llm = MockLLMBackend([[ToolCall("note", {"n": n}) for n in range(3)]])
    run = composable_loop(llm=llm, tools=[note], task="go", config=LoopConfig(cancel_token=token))
    for _ in run:
        token.cancel()
    assert (ran, len(run.result.steps), run.result.stop_reason) == ([0], 1, "cancelled")
