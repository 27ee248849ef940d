"""The repository is really broken, and `done` is accepted only when it is really repaired."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from looplet import MockLLMBackend, ToolCall, composable_loop
from looplet.examples.coding.broken_repository import FILES, TEST_COMMAND, TESTS, DoneWhenTestsPass, create
from looplet.examples.coding.scripted import REPAIRS, scripted_model
from looplet.examples.coding.shell import run_bash
from looplet.examples.coding.tools import tools
from looplet.examples.coding.workspace import Workspace

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DONE = ToolCall("done", {"answer": "ready"})


@pytest.fixture
def workspace(tmp_path: Path) -> Iterator[Workspace]:
    create(tmp_path)
    with Workspace(tmp_path) as made:
        yield made


def repaired(workspace: Workspace) -> None:
    for path in ("shop/prices.py", "shop/stock.py"):
        text = FILES[path]
        for wrong, right in REPAIRS.items():
            text = text.replace(wrong, right)
        workspace.write(path, text)


def asked_to_finish(workspace: Workspace) -> str | None:
    """The error of the step in which the model calls done; None when that is accepted."""
    run = composable_loop(
        MockLLMBackend([DONE]), "t", tools(workspace), hooks=[DoneWhenTestsPass(workspace)], max_steps=1
    )
    error = next(run).tool_result.error
    run.close()
    return error


def test_both_of_its_tests_fail(workspace: Workspace) -> None:
    result = run_bash(TEST_COMMAND, workspace.root)
    assert result.status == 1
    assert "FAILED (failures=2)" in result.text


def test_done_is_rejected_while_the_tests_fail(workspace: Workspace) -> None:
    error = asked_to_finish(workspace) or ""
    assert "the tests still fail: exit status 1" in error
    assert "test_total" in error, "the model reads which"


def test_done_is_accepted_when_they_pass(workspace: Workspace) -> None:
    repaired(workspace)
    assert asked_to_finish(workspace) is None


def test_changing_the_tests_is_no_repair(workspace: Workspace) -> None:
    workspace.write(TESTS, "")
    assert "tests/test_shop.py was changed; write it as it was" in (asked_to_finish(workspace) or "")
    (workspace.root / TESTS).unlink()
    assert "was changed" in (asked_to_finish(workspace) or "")


def test_tests_that_do_not_run_are_no_repair(workspace: Workspace) -> None:
    workspace.write("tests/__init__.py", "import os\nos._exit(0)\n")
    assert "the tests still fail: exit status 0" in (asked_to_finish(workspace) or "")


def test_the_scripted_model_repairs_what_it_reads(workspace: Workspace) -> None:
    """With one bug repaired before, it makes one edit less."""
    text = FILES["shop/stock.py"]
    for wrong, right in REPAIRS.items():
        text = text.replace(wrong, right)
    workspace.write("shop/stock.py", text)
    run = composable_loop(MockLLMBackend(scripted_model), "t", [*tools(workspace), done_with(workspace)])
    calls = [step.tool_call for step in run]
    assert [call.args["path"] for call in calls if call.tool == "edit"] == ["shop/prices.py"]
    assert run_bash(TEST_COMMAND, workspace.root).status == 0


def test_the_scripted_model_gives_up_on_what_it_does_not_know(workspace: Workspace) -> None:
    workspace.write("shop/prices.py", "def total(prices, discount=0):\n    return 0\n")
    workspace.write("shop/stock.py", FILES["shop/stock.py"].replace("> wanted", ">= wanted"))
    run = composable_loop(MockLLMBackend(scripted_model), "t", [*tools(workspace), done_with(workspace)])
    assert [step.tool_result.data for step in run][-1] == "I could not repair it: I see nothing wrong in shop/prices.py"


def done_with(workspace: Workspace) -> Any:
    def done(summary: str) -> str:
        return summary

    return done
