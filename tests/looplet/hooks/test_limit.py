"""A limit is never exceeded, and the model is told before it is reached."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.drive import run_sync

from looplet import (
    CheckpointHook,
    Deny,
    HookError,
    LimitHook,
    MockLLMBackend,
    Prompt,
    Reply,
    ToolCall,
    Usage,
    composable_loop,
    tool,
)
from looplet.events import CallStarted, RunResumed
from looplet.messages import RawCall
from looplet.types import ErrorKind

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.drive import Drive


@tool(concurrent_safe=True)
def search(query: str = "") -> str:
    """Search."""
    return f"found {query}"


@tool
def other() -> str:
    """Do something else."""
    return "ok"


DONE = ToolCall("done", {"answer": "x"})
SEARCH, OTHER = ToolCall("search", {"query": "x"}), ToolCall("other")


def spending(tokens: int, cost: float | None = None) -> Reply:
    return Reply(calls=(RawCall("search", {}),), usage=Usage(tokens, 0, 0, cost))


def last(prompt: Prompt) -> str:
    return prompt.messages[-1].content


def test_further_calls_of_a_tool_are_denied_and_the_run_goes_on(drive: Drive) -> None:
    llm = MockLLMBackend([SEARCH, SEARCH, SEARCH, OTHER, DONE])
    result = drive(llm, tools=[search, other], hooks=[LimitHook(calls={"search": 2})])
    assert [step.tool_result.error_kind for step in result.steps] == [
        None,
        None,
        ErrorKind.PERMISSION_DENIED,
        None,
        None,
    ]
    assert result.steps[2].tool_result.error == "search may be called 2 times in a run; go on without it"


def test_without_the_hook_they_run() -> None:
    result = run_sync([SEARCH, SEARCH, SEARCH, DONE], tools=[search, other])
    assert all(step.tool_result.ok for step in result.steps)


def test_calls_that_run_together_are_counted_together(drive: Drive) -> None:
    result = drive([[SEARCH] * 4, DONE], tools=[search], hooks=[LimitHook(calls={"search": 2})])
    assert [step.tool_result.ok for step in result.steps] == [True, True, False, False, True]


def test_a_call_another_hook_refused_uses_nothing(drive: Drive) -> None:
    class RefuseTheFirst:
        def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Deny | None:
            return Deny("not yet") if step == 1 else None

    hooks = [LimitHook(calls={"search": 1}), RefuseTheFirst()]
    result = drive([SEARCH, SEARCH, SEARCH, DONE], tools=[search], hooks=hooks)
    assert [step.tool_result.ok for step in result.steps] == [False, True, False, True]


@pytest.mark.parametrize(("each", "requests"), [(40, 3), (50, 2)])
def test_no_request_is_made_once_the_tokens_are_used(drive: Drive, each: int, requests: int) -> None:
    llm = MockLLMBackend(lambda _prompt: spending(each))
    result = drive(llm, tools=[search], hooks=[LimitHook(tokens=100)], max_steps=9)
    assert (result.stop_reason, result.usage.total_tokens, len(result.steps)) == (
        "token_limit",
        each * requests,
        requests,
    )


def test_the_last_reply_may_still_finish_the_run() -> None:
    llm = MockLLMBackend([Reply(calls=(RawCall("done", {"answer": "x"}),), usage=Usage(150, 0))])
    assert run_sync(llm, hooks=[LimitHook(tokens=100)]).stop_reason == "done"


def test_replies_without_a_call_count_too() -> None:
    llm = MockLLMBackend(lambda _prompt: Reply(text="", usage=Usage(60, 0)))
    result = run_sync(llm, tools=[search], hooks=[LimitHook(tokens=100)])
    assert (result.stop_reason, len(llm.prompts)) == ("token_limit", 2)


def test_money_is_limited_where_prices_are_known() -> None:
    llm = MockLLMBackend(lambda _prompt: spending(10, cost=0.03))
    result = run_sync(llm, tools=[search], hooks=[LimitHook(cost=0.05)])
    assert (result.stop_reason, len(result.steps)) == ("cost_limit", 2)


def test_a_limit_on_money_without_prices_is_an_error() -> None:
    llm = MockLLMBackend(lambda _prompt: spending(10))
    with pytest.raises(HookError, match=r"the backend reports no cost; give it prices, or limit tokens"):
        run_sync(llm, tools=[search], hooks=[LimitHook(cost=0.05)])


class Clock:
    """Time passes with every look at it."""

    def __init__(self, step: float) -> None:
        self.now, self.step = 0.0, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def test_after_the_time_nothing_begins() -> None:
    clock = Clock(0.0)

    @tool
    def slow() -> str:
        """Take four seconds."""
        clock.now += 4
        return "ok"

    turn = [ToolCall("slow"), ToolCall("slow"), ToolCall("slow")]
    result = run_sync([turn, DONE], tools=[slow], hooks=[LimitHook(seconds=5, clock=clock)])
    assert (result.stop_reason, len(result.steps)) == ("time_limit", 2)


def test_done_is_accepted_after_the_time() -> None:
    clock = Clock(0.0)

    def late(prompt: Prompt) -> ToolCall:
        clock.now += 9
        return DONE

    assert run_sync(MockLLMBackend([late]), hooks=[LimitHook(seconds=5, clock=clock)]).stop_reason == "done"


def test_the_model_is_warned_once_with_the_numbers(drive: Drive) -> None:
    llm = MockLLMBackend([spending(50), spending(32), spending(5), DONE])
    drive(llm, tools=[search], hooks=[LimitHook(tokens=100)])
    told = [prompt for prompt in llm.prompts if "tokens are used" in str(prompt)]
    assert told == [llm.prompts[2]]
    assert "82 of 100 tokens are used. Come to an end with what is left." in last(told[0])


def test_the_warning_is_repeated_when_its_request_failed() -> None:
    llm = MockLLMBackend([spending(90), ConnectionError("down"), spending(5), DONE])
    run_sync(llm, tools=[search], hooks=[LimitHook(tokens=100)])
    assert ["90 of 100" in last(prompt) for prompt in llm.prompts] == [False, True, True, False]


def test_the_model_is_told_of_calls_that_are_nearly_used_up() -> None:
    llm = MockLLMBackend([SEARCH, SEARCH, SEARCH, DONE])
    run_sync(llm, tools=[search], hooks=[LimitHook(calls={"search": 4}, warn_at=0.5)])
    assert ["2 of 4 calls of search are used." in last(prompt) for prompt in llm.prompts] == [False, False, True, False]


def test_a_hook_may_serve_one_run_after_another() -> None:
    hook = LimitHook(calls={"search": 1}, tokens=1_000)
    for _ in range(2):
        result = run_sync([SEARCH, DONE], tools=[search], hooks=[hook])
        assert result.steps[0].tool_result.ok


def test_a_resumed_run_has_used_what_it_used_before() -> None:
    hook = LimitHook(calls={"search": 1}, seconds=5, clock=Clock(0.0))
    asked = ToolCall("search", call_id="call_1")
    hook.on_event(RunResumed("id", 1, (CallStarted(1, asked, asked),)))
    assert isinstance(hook.pre_dispatch(None, [], asked.replace(call_id="call_2"), 2), Deny)
    assert hook.pre_dispatch(None, [], ToolCall("other"), 2) is None


def test_the_limits_of_a_checkpointed_run_hold_after_resuming(tmp_path: Path) -> None:
    def hooks() -> list[object]:
        return [CheckpointHook(tmp_path / "run"), LimitHook(calls={"search": 3})]

    for step in composable_loop(MockLLMBackend([SEARCH] * 3), "x", [search], hooks=hooks()):
        if step.number == 2:
            break
    result = run_sync([SEARCH, SEARCH, DONE], task="x", tools=[search], hooks=hooks(), resume=tmp_path / "run")
    assert [step.tool_result.ok for step in result.steps] == [True, True, True, False, True]


def test_a_limit_for_a_tool_that_is_not_there_is_an_error() -> None:
    with pytest.raises(HookError, match=r"limits 'serch', but the tools are: done, search"):
        run_sync([DONE], tools=[search], hooks=[LimitHook(calls={"serch": 1})])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"calls": {"x": -1}}, r"LimitHook\(calls=\{'x': ...\}\) is -1: use a whole number of at least 0"),
        ({"tokens": 0}, r"LimitHook\(tokens=...\) is 0: use a whole number of at least 1"),
        ({"cost": -1}, r"LimitHook\(cost=...\) is -1: give a number above 0"),
        ({"seconds": "5"}, r"LimitHook\(seconds=...\) is '5': give a number above 0"),
        ({"warn_at": 80}, r"LimitHook\(warn_at=...\) is 80: give a share above 0 and up to 1"),
    ],
)
def test_nonsense_is_refused_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LimitHook(**arguments)


calls = st.sampled_from([SEARCH, OTHER])


@given(st.lists(st.lists(calls, min_size=1, max_size=4), max_size=5), st.integers(0, 4), st.integers(0, 4))
def test_limits_are_never_exceeded(turns: list[list[ToolCall]], searches: int, others: int) -> None:
    executed: Counter[str] = Counter()

    @tool(name="search", concurrent_safe=True)
    def counting(query: str = "") -> str:
        """Search."""
        executed["search"] += 1
        return ""

    @tool(name="other")
    def counting_other() -> str:
        """Do."""
        executed["other"] += 1
        return ""

    limits = {"search": searches, "other": others}
    run_sync([*turns, DONE], tools=[counting, counting_other], hooks=[LimitHook(calls=limits)], max_steps=30)
    wanted = Counter(call.tool for turn in turns for call in turn)
    assert executed == Counter({name: min(limits[name], wanted[name]) for name in limits})
