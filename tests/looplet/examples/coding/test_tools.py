"""The tools of the coding agent, as a model meets them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from looplet import BaseToolRegistry, MockLLMBackend, ToolCall, ToolResult, composable_loop
from looplet.examples.coding.tools import permissions, tools
from looplet.examples.coding.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    (tmp_path / "a.py").write_text("one\ntwo\ntwo\n")
    (tmp_path / "b.md").write_text("two\n")
    with Workspace(tmp_path) as made:
        yield made


def call(workspace: Workspace, tool: str, **args: Any) -> ToolResult:
    registry = BaseToolRegistry()
    for spec in tools(workspace):
        registry.register(spec)
    return registry.dispatch(ToolCall(tool, args))


def test_the_seven_tools(workspace: Workspace) -> None:
    assert [tool.name for tool in tools(workspace)] == ["read", "write", "edit", "glob", "grep", "bash", "think"]


def test_read_shows_a_part_of_a_file(workspace: Workspace) -> None:
    assert call(workspace, "read", path="a.py").data == "one\ntwo\ntwo\n"
    assert call(workspace, "read", path="a.py", first=2, lines=1).data == "two\n"
    assert call(workspace, "read", path="a.py", first=-3, lines=-1).data == ""


@pytest.mark.parametrize(("old", "message"), [("two", "occurs 2 times"), ("x", "occurs 0 times"), ("", "occurs no t")])
def test_edit_wants_a_text_that_is_there_once(workspace: Workspace, old: str, message: str) -> None:
    result = call(workspace, "edit", path="a.py", old=old, new="y")
    assert message in (result.error or "")
    assert result.error_kind == "validation"
    assert workspace.read("a.py") == "one\ntwo\ntwo\n"


def test_edit_replaces_it(workspace: Workspace) -> None:
    assert call(workspace, "edit", path="a.py", old="one\ntwo", new="1").ok
    assert workspace.read("a.py") == "1\ntwo\n"


def test_glob_and_grep_find_files_and_lines(workspace: Workspace) -> None:
    workspace.write("deep/c.py", "three\n")
    assert call(workspace, "glob", pattern="*.py").data == ["a.py", "deep/c.py"]
    assert call(workspace, "grep", pattern="^t").data == [
        "a.py:2: two",
        "a.py:3: two",
        "b.md:1: two",
        "deep/c.py:1: three",
    ]
    assert call(workspace, "grep", pattern="two", files="*.md").data == ["b.md:1: two"]


def test_grep_passes_over_what_is_no_text_and_stops_at_many(workspace: Workspace) -> None:
    (workspace.root / "binary").write_bytes(b"\xfftwo")
    workspace.write("many", "x\n" * 200)
    assert call(workspace, "grep", pattern="two", files="binary").data == []
    found = call(workspace, "grep", pattern="x").data
    assert len(found) == 101
    assert found[-1].startswith("... and more")


def test_a_broken_expression_is_the_callers_mistake(workspace: Workspace) -> None:
    result = call(workspace, "grep", pattern="(")
    assert "'(' is no regular expression" in (result.error or "")


def test_a_path_outside_is_an_error_the_model_reads(workspace: Workspace) -> None:
    result = call(workspace, "write", path="../x", text="")
    assert "not a path inside the workspace" in (result.error or "")
    assert not (workspace.root.parent / "x").exists()


def test_bash_runs_only_what_the_permissions_allow(workspace: Workspace) -> None:
    script: list[Any] = [
        ToolCall("bash", {"command": "ls"}),
        ToolCall("bash", {"command": "ls; rm a.py"}),
        ToolCall("think", {"thought": "hm"}),
        ToolCall("done", {"answer": ""}),
    ]
    run = composable_loop(MockLLMBackend(script), "t", tools(workspace), hooks=[permissions()])
    allowed, denied, *_ = [step.tool_result for step in run]
    assert allowed.data == "exit status 0\na.py\nb.md\n"
    assert denied.error_kind == "permission_denied"
    assert "only one plain command is run, of these: python -m unittest" in (denied.error or "")
    assert (workspace.root / "a.py").exists()


def test_a_tool_no_rule_names_is_denied(workspace: Workspace) -> None:
    def upload() -> str:
        raise AssertionError("must not run")

    script = [ToolCall("upload"), ToolCall("done", {"answer": ""})]
    run = composable_loop(MockLLMBackend(script), "t", [*tools(workspace), upload], hooks=[permissions()])
    assert next(run).tool_result.error_kind == "permission_denied"
    run.close()


def test_thinking_costs_no_step(workspace: Workspace) -> None:
    script = [
        ToolCall("think", {"thought": "1"}),
        ToolCall("think", {"thought": "2"}),
        ToolCall("done", {"answer": ""}),
    ]
    run = composable_loop(MockLLMBackend(script), "t", tools(workspace), max_steps=1)
    assert [step.tool_call.tool for step in run] == ["think", "think", "done"]
    assert run.result.stop_reason == "done"
