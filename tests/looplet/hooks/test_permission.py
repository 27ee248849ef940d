"""What no rule allows does not execute, whatever the model asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.drive import run_async, run_sync

from looplet import (
    Allow,
    Capabilities,
    Deny,
    ErrorKind,
    HookError,
    LoopConfig,
    MockLLMBackend,
    PermissionHook,
    PermissionRule,
    ToolCall,
    ToolResult,
    tool,
)
from looplet.events import RunResumed, RunStarted

if TYPE_CHECKING:
    from tests.support.drive import Drive

DONE = ToolCall("done", {"answer": "x"})


class Disk:
    """Tools that remember what they did."""

    def __init__(self) -> None:
        self.did: list[str] = []

        @tool
        def read(path: str) -> str:
            """Read."""
            self.did.append(f"read {path}")
            return "text"

        @tool
        def write(path: str, force: bool = True) -> str:
            """Write."""
            self.did.append(f"write {path}")
            return "ok"

        self.tools = [read, write]

    def run(self, drive: Any, hook: object, *calls: ToolCall, **options: Any) -> Any:
        self.llm = MockLLMBackend([*calls, DONE])
        return drive(self.llm, tools=self.tools, hooks=[hook] if hook else [], **options)


def read(path: str = "a") -> ToolCall:
    return ToolCall("read", {"path": path})


def write(path: str = "a") -> ToolCall:
    return ToolCall("write", {"path": path})


def test_without_a_rule_nothing_runs_but_done(drive: Drive) -> None:
    disk = Disk()
    result = disk.run(drive, PermissionHook(), read(), write())
    assert disk.did == []
    assert [step.tool_result.error_kind for step in result.steps] == [ErrorKind.PERMISSION_DENIED] * 2 + [None]
    assert result.stop_reason == "done"


def test_without_the_hook_the_same_calls_run() -> None:
    disk = Disk()
    disk.run(run_sync, None, read(), write())
    assert disk.did == ["read a", "write a"]


def test_the_first_matching_rule_decides(drive: Drive) -> None:
    rules = [
        PermissionRule("*", "deny", args={"path": "*.env"}, reason="secrets stay secret"),
        PermissionRule("read", "allow"),
    ]
    disk = Disk()
    result = disk.run(drive, PermissionHook(rules), read("b.env"), read("b"), write("b"))
    assert set(disk.did) == {"read b"}
    assert result.steps[0].tool_result.error == "secrets stay secret"
    assert "this call of write is not allowed" in (result.steps[2].tool_result.error or "")


def test_the_reason_reaches_the_model_and_the_list_of_denials(drive: Drive) -> None:
    disk, hook = Disk(), PermissionHook([PermissionRule("write", "deny", reason="read-only today")])
    disk.run(drive, hook, write())
    assert "read-only today" in disk.llm.prompts[-1].messages[-1].content
    assert [(denial.step, denial.tool_call.tool, denial.reason) for denial in hook.denials] == [
        (1, "write", "read-only today")
    ]


def test_a_default_can_allow() -> None:
    disk = Disk()
    disk.run(run_sync, PermissionHook([PermissionRule("write", "deny")], default="allow"), read(), write())
    assert disk.did == ["read a"]


def test_asking_without_a_handler_is_a_denial(drive: Drive) -> None:
    disk = Disk()
    result = disk.run(drive, PermissionHook([PermissionRule("write", "ask")]), write())
    assert disk.did == []
    assert result.steps[0].tool_result.error == "write needs somebody's permission; nobody is here to give it"


@pytest.mark.parametrize(
    ("answer", "did", "error"),
    [
        (True, ["write a"], None),
        (Allow(), ["write a"], None),
        (Allow(args={"path": "b"}), ["write b"], None),
        (False, [], "permission for this call of write was refused"),
        ("", [], "permission for this call of write was refused"),
        ("not on Fridays", [], "not on Fridays"),
        (Deny("later", retry=True), [], "later"),
    ],
)
def test_a_handler_is_asked_once_and_its_answer_holds(answer: Any, did: list[str], error: str | None) -> None:
    asked: list[ToolCall] = []

    def handler(call: ToolCall) -> Any:
        asked.append(call)
        return answer

    disk, hook = Disk(), PermissionHook([PermissionRule("write", "ask")], handler=handler)
    result = disk.run(run_sync, hook, write())
    assert (disk.did, result.steps[0].tool_result.error) == (did, error)
    assert len(asked) == 1
    assert len(hook.denials) == (error is not None)


def test_a_handler_may_be_async_in_an_async_run() -> None:
    async def handler(call: ToolCall) -> bool:
        return bool(call.args["path"] == "a")

    disk, hook = Disk(), PermissionHook(default="ask", handler=handler)
    disk.run(run_async, hook, write("a"), write("b"))
    assert disk.did == ["write a"]
    assert len(hook.denials) == 1


def test_an_async_handler_in_a_sync_run_is_an_error_and_nothing_runs() -> None:
    async def handler(call: ToolCall) -> bool:
        raise AssertionError("never awaited")

    disk = Disk()
    with pytest.raises(HookError, match="use async_composable_loop"):
        disk.run(run_sync, PermissionHook(default="ask", handler=handler), write())
    assert disk.did == []


@pytest.mark.parametrize("answer", [None, 1, ["yes"]])
def test_an_unclear_answer_is_an_error_and_nothing_runs(answer: Any) -> None:
    disk = Disk()
    message = r"the handler of PermissionHook answered .* about write; it may answer True, False, a reason"
    with pytest.raises(HookError, match=message):
        disk.run(run_sync, PermissionHook(default="ask", handler=lambda _call: answer), write())
    assert disk.did == []


def test_a_rule_that_cannot_judge_a_call_denies_it(drive: Drive) -> None:
    hook = PermissionHook([PermissionRule("write", "allow", args={"path": lambda path: path > 5})])
    disk = Disk()
    result = disk.run(drive, hook, write())
    assert disk.did == []
    assert "permission rule 1 cannot judge this call: TypeError" in (result.steps[0].tool_result.error or "")


def test_a_rule_sees_the_values_a_call_leaves_out() -> None:
    disk = Disk()
    disk.run(run_sync, PermissionHook([PermissionRule("write", "deny", args={"force": True})], "allow"), write())
    assert disk.did == []


def test_done_is_allowed_unless_a_rule_has_its_name() -> None:
    disk = Disk()
    assert disk.run(run_sync, PermissionHook([PermissionRule("*", "deny")])).stop_reason == "done"
    denied = disk.run(run_sync, PermissionHook([PermissionRule("done", "deny")]), max_steps=1)
    assert denied.stop_reason == "max_steps"


def test_the_done_tool_may_have_another_name() -> None:
    llm = MockLLMBackend([ToolCall("finish", {"answer": "x"})])
    result = run_sync(llm, hooks=[PermissionHook()], config=LoopConfig(done_tool="finish"))
    assert result.stop_reason == "done"


def test_a_call_rewritten_by_another_hook_is_judged_as_it_would_run(drive: Drive) -> None:
    class Elsewhere:
        def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Allow | None:
            return Allow(args={"path": "secret"}) if tool_call.tool == "read" else None

    disk, hook = Disk(), PermissionHook([PermissionRule("read", "allow", args={"path": "a"})])
    drive(MockLLMBackend([read("a"), DONE]), tools=disk.tools, hooks=[hook, Elsewhere()])
    assert disk.did == []


def test_a_cached_result_needs_permission_too() -> None:
    class Cache:
        def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> ToolResult | None:
            return ToolResult("read", data="cached") if tool_call.tool == "read" else None

    llm = MockLLMBackend([read("a"), DONE])
    result = run_sync(llm, tools=Disk().tools, hooks=[PermissionHook(), Cache()])
    assert result.steps[0].tool_result.error_kind == ErrorKind.PERMISSION_DENIED


def test_denials_are_those_of_the_latest_run() -> None:
    hook = PermissionHook()
    for _ in range(2):
        Disk().run(run_sync, hook, write())
    assert len(hook.denials) == 1


def test_a_resumed_run_keeps_the_name_of_its_done_tool() -> None:
    hook = PermissionHook()
    began = RunStarted("id", "task", "", (), 5, {"done_tool": "finish"}, "m", Capabilities())
    hook.on_event(RunResumed("id", 1, (began,)))
    assert hook.pre_dispatch(None, [], ToolCall("finish"), 2) is None


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rules": PermissionRule("x", "allow")}, r"takes a list of rules: write \[PermissionRule"),
        ({"rules": ["write"]}, r"'write' is no rule; write PermissionRule\('tool', 'ask'\)"),
        ({"default": "maybe"}, r"PermissionHook\(default='maybe'\): use 'deny', 'allow' or 'ask'"),
        ({"handler": "me"}, r"PermissionHook\(handler='me'\): give a function of the call"),
    ],
)
def test_nonsense_is_refused_at_construction(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        PermissionHook(**arguments)


names = st.sampled_from(["read", "write", "*", "r*"])
rules = st.builds(PermissionRule, names, st.sampled_from(["allow", "deny", "ask"]))


@given(st.lists(rules, max_size=4), st.lists(st.sampled_from([read(), write()]), max_size=6))
def test_a_call_executes_only_where_the_first_matching_rule_allows_it(
    given_rules: list[PermissionRule], calls: list[ToolCall]
) -> None:
    disk = Disk()
    disk.run(run_sync, PermissionHook(given_rules), *calls)
    allowed = [
        f"{call.tool} a"
        for call in calls
        if next((rule.decision for rule in given_rules if rule.matches(call)), "deny") == "allow"
    ]
    assert disk.did == allowed
