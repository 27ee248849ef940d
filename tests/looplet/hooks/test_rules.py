"""A rule matches what it says it matches, and a rule that cannot work is refused when it is written."""

from __future__ import annotations

from typing import Any

import pytest

from looplet import PermissionRule, ToolCall


def matches(rule: PermissionRule, tool: str = "write", **args: Any) -> bool:
    return rule.matches(ToolCall(tool, args))


@pytest.mark.parametrize(
    ("glob", "tool", "expected"),
    [("write", "write", True), ("file_*", "file_read", True), ("file_*", "files", False), ("*", "x", True)],
)
def test_the_tool_is_a_glob(glob: str, tool: str, expected: bool) -> None:
    assert matches(PermissionRule(glob, "allow"), tool) is expected


def test_all_arguments_named_must_match_and_be_there() -> None:
    rule = PermissionRule("write", "deny", args={"path": "*.env", "mode": "w"})
    assert matches(rule, path="a.env", mode="w", text="x")
    assert not matches(rule, path="a.env", mode="a")
    assert not matches(rule, path="a.env")


@pytest.mark.parametrize(
    ("want", "value", "expected"),
    [
        (3, 3, True),
        (4, 4.0, True),
        (1, True, False),
        (False, 0, False),
        ("5", 5, True),
        ("*rm*", ["rm", "-r"], True),
        ({"a": 1}, {"a": 1}, True),
        (None, None, True),
        (lambda value: value > 5, 6, True),
        (lambda value: value > 5, 5, False),
        ("A*", "abc", False),
    ],
)
def test_an_argument_is_compared_with_a_value_a_glob_or_a_function(want: Any, value: Any, expected: bool) -> None:
    assert matches(PermissionRule("write", "deny", args={"x": want}), x=value) is expected


def test_a_function_may_judge_the_whole_call() -> None:
    rule = PermissionRule("*", "allow", args=lambda call: call.tool == "write" and len(call.args) == 1)
    assert matches(rule, x=1)
    assert not matches(rule, x=1, y=2)


def test_an_allow_glob_does_not_let_a_path_climb_out() -> None:
    climbing = {"path": "src/../../etc/passwd"}
    assert not matches(PermissionRule("write", "allow", args={"path": "src/*"}), **climbing)
    assert matches(PermissionRule("write", "deny", args={"path": "src/*"}), **climbing)
    assert matches(PermissionRule("write", "allow", args={"path": "src/*"}), path="src/a.py")
    assert matches(PermissionRule("write", "allow", args={"path": ".."}), path="..")


@pytest.mark.parametrize("args", [{"x": "f"}, "f"])
def test_an_async_function_is_no_answer(args: Any) -> None:
    async def judge(value: object) -> bool:
        raise AssertionError("never awaited")

    rule = PermissionRule("write", "allow", args={"x": judge} if isinstance(args, dict) else judge)
    with pytest.raises(TypeError, match=r"the function of a PermissionRule is async; give a plain one"):
        matches(rule, x=1)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("", "allow"), r"PermissionRule\(tool=''\): give a tool name or a glob"),
        ((5, "allow"), r"PermissionRule\(tool=5\): give a tool name or a glob"),
        (("x", "block"), r"PermissionRule\('x', 'block'\): decide 'allow', 'deny' or 'ask'"),
        (("x", "deny", "*.env"), r"PermissionRule\('x', args='\*.env'\): give a dict of arguments, a function"),
        (("x", "deny", {1: "*"}), r"PermissionRule\('x', args=...\): 1 is no argument name"),
        (("x", "deny", None, None), r"PermissionRule\('x', reason=None\): give a str"),
    ],
)
def test_a_rule_that_cannot_work_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        PermissionRule(*arguments)
