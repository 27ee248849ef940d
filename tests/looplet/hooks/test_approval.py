"""ApprovalHook: no gated call runs without a person's agreement, and an agreed one runs exactly once."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_async, run_sync

from looplet import (
    Allow,
    ApprovalHook,
    CheckpointHook,
    Deny,
    MockLLMBackend,
    PermissionRule,
    Resume,
    ToolCall,
    ToolContext,
    ToolResult,
    approve,
    composable_loop,
    load_trace,
    tool,
)
from looplet.errors import HookError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

DONE = ToolCall("done", {"answer": "x"})
LIVE = pytest.mark.parametrize("run", [run_sync, run_async])
SAFE = ToolCall("look", {})
PAY = ToolCall("pay", {"amount": 5})


class Shop:
    """Two tools, and what ran."""

    def __init__(self) -> None:
        self.ran: list[Any] = []

        @tool(needs_approval=True)
        def pay(amount: int, ctx: ToolContext) -> str:
            """Pay."""
            self.ran.append((amount, ctx.approved))
            return "paid"

        @tool
        def look() -> str:
            """Look."""
            self.ran.append("look")
            return "seen"

        self.tools = [pay, look]


@LIVE
@pytest.mark.parametrize(
    ("answer", "ran", "error", "data"),
    [
        (True, [(5, True)], None, "paid"),
        (Allow({"amount": 3}), [(3, True)], None, "paid"),
        (False, [], "a person refused this call", None),
        ("too much", [], "too much", None),
        (Deny("no"), [], "no", None),
        (ToolResult("pay", "pretend"), [], None, "pretend"),
    ],
)
def test_a_handler_answers_in_place(run: Callable[..., Any], answer: Any, ran: Any, error: Any, data: Any) -> None:
    shop, asked = Shop(), []

    def handler(call: ToolCall) -> Any:
        asked.append(call.tool)
        return answer

    result = run([PAY, DONE], tools=shop.tools, hooks=[ApprovalHook(handler)])
    assert (shop.ran, asked) == (ran, ["pay"])
    assert (result.steps[0].tool_result.error, result.steps[0].tool_result.data) == (error, data)


def test_an_async_handler_is_awaited() -> None:
    shop = Shop()

    async def handler(call: ToolCall) -> bool:
        return True

    run_async([PAY, DONE], tools=shop.tools, hooks=[ApprovalHook(handler)])
    assert shop.ran == [(5, True)]


def test_an_unclear_answer_is_an_error_and_nothing_runs() -> None:
    shop = Shop()
    with pytest.raises(HookError, match="an approval was answered with None"):
        run_sync([PAY, DONE], tools=shop.tools, hooks=[ApprovalHook(lambda call: None)])  # type: ignore[arg-type, return-value]
    assert shop.ran == []


@LIVE
def test_without_any_approval_hook_a_call_that_needs_one_is_refused(run: Callable[..., Any]) -> None:
    shop = Shop()
    result = run([PAY, DONE], tools=shop.tools)
    assert shop.ran == []
    assert result.steps[0].tool_result.error_kind == "permission_denied"
    assert "this run has no ApprovalHook" in result.steps[0].tool_result.error


@LIVE
@pytest.mark.parametrize(
    ("answer", "ran", "error"),
    [
        (approve(), ["look", (5, True), "look"], None),
        (approve({"amount": 2}), ["look", (2, True), "look"], None),
        (Deny("not today"), ["look", "look"], "not today"),
        (ToolResult("pay", "pretend"), ["look", "look"], None),
    ],
)
def test_a_paused_run_goes_on_elsewhere_and_the_call_runs_once(
    run: Callable[..., Any], tmp_path: Path, answer: Any, ran: Any, error: Any
) -> None:
    shop = Shop()
    paused = run([[SAFE, PAY, SAFE]], tools=shop.tools, hooks=[ApprovalHook(), CheckpointHook(tmp_path / "run")])
    assert (paused.status, paused.stop_reason, shop.ran) == ("paused", "waiting_for_approval", ["look"])

    resumed = run(
        MockLLMBackend([DONE]), tools=shop.tools, hooks=[ApprovalHook()], resume=Resume(tmp_path / "run", answer)
    )
    assert (resumed.stop_reason, shop.ran) == ("done", ran)
    assert resumed.steps[1].tool_result.error == error
    assert load_trace(tmp_path / "run").stop_reason == "done"


@LIVE
def test_resuming_without_an_answer_pauses_again(run: Callable[..., Any], tmp_path: Path) -> None:
    shop = Shop()
    run([PAY], tools=shop.tools, hooks=[ApprovalHook(), CheckpointHook(tmp_path / "run")])
    for _ in range(2):
        again = run(MockLLMBackend([]), tools=shop.tools, hooks=[ApprovalHook()], resume=tmp_path / "run")
        assert again.stop_reason == "waiting_for_approval"
    assert shop.ran == []
    run(MockLLMBackend([DONE]), tools=shop.tools, hooks=[ApprovalHook()], resume=Resume(tmp_path / "run", approve()))
    assert shop.ran == [(5, True)]


@tool
def transfer(amount: int, ctx: ToolContext) -> Any:
    """Transfer money, and ask first when it is much."""
    if amount > 100 and not ctx.approved:
        return {"needs_approval": True, "why": "much"}
    return f"moved {amount}"


MUCH = ToolCall("transfer", {"amount": 500})


@LIVE
def test_a_tool_that_asks_by_itself_is_called_again_once_approved(run: Callable[..., Any]) -> None:
    result = run([MUCH, DONE], tools=[transfer], hooks=[ApprovalHook(lambda call: True)])
    assert [step.tool_result.data for step in result.steps] == ["moved 500", "x"]


@LIVE
def test_a_tool_that_asks_by_itself_can_be_refused(run: Callable[..., Any]) -> None:
    result = run([MUCH, DONE], tools=[transfer], hooks=[ApprovalHook(lambda call: "no")])
    assert result.steps[0].tool_result.error == "no"


@LIVE
def test_a_tool_that_asks_by_itself_pauses_durably(run: Callable[..., Any], tmp_path: Path) -> None:
    paused = run([MUCH], tools=[transfer], hooks=[ApprovalHook(), CheckpointHook(tmp_path / "run")])
    assert (paused.stop_reason, paused.steps) == ("waiting_for_approval", ())
    answer = Resume(tmp_path / "run", approve())
    resumed = run(MockLLMBackend([DONE]), tools=[transfer], hooks=[ApprovalHook()], resume=answer)
    assert [step.tool_result.data for step in resumed.steps] == ["moved 500", "x"]


def test_a_predicate_gates_calls() -> None:
    shop = Shop()
    gate = ApprovalHook(lambda call: False, when=lambda call: call.tool == "look")
    run_sync([SAFE, DONE], tools=shop.tools, hooks=[gate])
    assert shop.ran == []


@tool
def send(amount: int = 1000) -> str:
    """Send."""
    return f"sent {amount}"


MANY = PermissionRule("send", "ask", args={"amount": lambda amount: amount > 10})


@pytest.mark.parametrize(
    "hook",
    [
        ApprovalHook(lambda call: "no", rules=[MANY]),
        ApprovalHook(lambda call: "no", when=lambda call: call.args.get("amount", 0) > 10),
    ],
)
@LIVE
def test_what_a_call_leaves_out_is_judged_by_its_default(run: Callable[..., Any], hook: ApprovalHook) -> None:
    result = run([ToolCall("send"), ToolCall("send", {"amount": 5}), DONE], tools=[send], hooks=[hook])
    assert [step.tool_result.error or step.tool_result.data for step in result.steps] == ["no", "sent 5", "x"]


def test_defaults_are_known_in_a_resumed_run_too(tmp_path: Path) -> None:
    hooks = [ApprovalHook(rules=[MANY]), CheckpointHook(tmp_path / "run")]
    run_sync([ToolCall("send")], tools=[send], hooks=hooks)
    answer = Resume(tmp_path / "run", Deny("no"))
    script = [ToolCall("send"), DONE]
    again = run_sync(MockLLMBackend(script), tools=[send], hooks=[ApprovalHook(rules=[MANY])], resume=answer)
    assert again.stop_reason == "waiting_for_approval"


def test_the_first_rule_about_a_call_decides_and_allow_means_nobody_is_asked() -> None:
    rules = [PermissionRule("send", "allow", args={"amount": 500}), MANY]
    calls = [ToolCall("send", {"amount": 500}), ToolCall("send", {"amount": 600})]
    result = run_sync([*calls, DONE], tools=[send], hooks=[ApprovalHook(lambda call: "no", rules=rules)])
    assert [step.tool_result.error for step in result.steps] == [None, "no", None]


def test_a_call_that_a_rule_cannot_judge_is_for_a_person() -> None:
    rule = PermissionRule("send", "allow", args={"amount": lambda amount: amount["much"]})
    result = run_sync([ToolCall("send"), DONE], tools=[send], hooks=[ApprovalHook(lambda call: "no", rules=[rule])])
    assert result.steps[0].tool_result.error == "no"


def test_a_predicate_that_is_async_is_no_answer() -> None:
    async def when(call: ToolCall) -> bool:
        raise AssertionError("never awaited")

    hook = ApprovalHook(lambda call: True, when=when)  # type: ignore[arg-type]
    with pytest.raises(
        TypeError, match=r"ApprovalHook\(when=...\) is async; give a plain one, and ask people in the h"
    ):
        run_sync([ToolCall("send"), DONE], tools=[send], hooks=[hook])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"rules": [PermissionRule("send", "deny")]},
            r"rules=\[...\]\): .* refuses; give that one to a PermissionHook",
        ),
        ({"rules": MANY}, r"ApprovalHook takes a list of rules: write \[PermissionRule"),
        ({"rules": ["send"]}, r"ApprovalHook\(rules=...\): 'send' is no rule; write PermissionRule\('tool', 'ask'\)"),
        ({"when": "always"}, r"ApprovalHook\(when='always'\): give a function of the tool call, or None"),
    ],
)
def test_what_could_never_work_is_refused_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        ApprovalHook(**arguments)


def waiting(folder: Path, shop: Shop) -> Path:
    """A run that waits for approval."""
    run_sync([PAY], tools=shop.tools, hooks=[ApprovalHook(), CheckpointHook(folder / "run")])
    return folder / "run"


@LIVE
@pytest.mark.parametrize(
    ("answer", "hooks", "message"),
    [
        (
            approve(),
            [],
            r"answers the call of 'pay' that waits, but nothing in this run takes it up; add ApprovalHook\(\)",
        ),
        (5, [ApprovalHook()], r"an approval was answered with 5; answer True, False, a reason"),
    ],
)
def test_an_answer_that_could_not_reach_its_call_is_refused_before_anything_is_written(
    run: Callable[..., Any], tmp_path: Path, answer: Any, hooks: list[ApprovalHook], message: str
) -> None:
    shop = Shop()
    path = waiting(tmp_path, shop)
    before = {file: file.read_bytes() for file in path.iterdir()}
    with pytest.raises(HookError, match=message):
        run(MockLLMBackend([DONE]), tools=shop.tools, hooks=hooks, resume=Resume(path, answer))
    assert {file: file.read_bytes() for file in path.iterdir()} == before


@LIVE
def test_an_answer_nobody_waits_for_is_told(
    run: Callable[..., Any], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    shop = Shop()
    answer = Resume(tmp_path / "new", approve())
    run(MockLLMBackend([DONE]), tools=shop.tools, hooks=[ApprovalHook()], resume=answer)
    assert "resume: no call waits for an answer; Allow(args=None, approved=True) is not used" in caplog.messages


def test_a_pause_that_dies_with_the_process_is_said_at_loop_start() -> None:
    with pytest.warns(UserWarning, match="without a CheckpointHook the pause dies with the process"):
        composable_loop(llm=MockLLMBackend([DONE]), task="t", tools=[], hooks=[ApprovalHook()])


def test_a_handler_that_cannot_be_called_is_refused() -> None:
    with pytest.raises(TypeError, match="give a function of the tool call, or None to pause"):
        ApprovalHook("yes")  # type: ignore[arg-type]


@LIVE
def test_edited_arguments_of_a_tool_that_asked_by_itself_are_what_runs(run: Callable[..., Any]) -> None:
    result = run([MUCH, DONE], tools=[transfer], hooks=[ApprovalHook(lambda call: Allow({"amount": 101}))])
    assert result.steps[0].tool_result.data == "moved 101"
    assert result.steps[0].tool_call.args == {"amount": 101}


def test_a_tool_that_asks_again_after_its_approval_has_had_its_answer() -> None:
    @tool(needs_approval=True)
    def insist() -> Any:
        """Insist."""
        return {"needs_approval": True}

    result = run_sync([ToolCall("insist"), DONE], tools=[insist], hooks=[ApprovalHook(lambda call: True)])
    assert result.stop_reason == "done"


@LIVE
def test_ungated_calls_of_a_wave_keep_their_results(run: Callable[..., Any], tmp_path: Path) -> None:
    ran: list[str] = []

    @tool(concurrent_safe=True)
    def look() -> str:
        """Look."""
        ran.append("look")
        return "seen"

    @tool(concurrent_safe=True, needs_approval=True)
    def act() -> str:
        """Act."""
        ran.append("act")
        return "acted"

    hooks: list[Any] = [ApprovalHook(), CheckpointHook(tmp_path / "run")]
    paused = run([[ToolCall("look"), ToolCall("act")]], tools=[look, act], hooks=hooks)
    assert [step.tool_result.data for step in paused.steps] == ["seen"]
    answer = Resume(tmp_path / "run", approve())
    resumed = run(MockLLMBackend([DONE]), tools=[look, act], hooks=[ApprovalHook()], resume=answer)
    assert [step.tool_result.data for step in resumed.steps] == ["seen", "acted", "x"]
    assert ran == ["look", "act"]
