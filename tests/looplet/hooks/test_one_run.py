"""A hook that counts for one run refuses to count for two at once."""

from __future__ import annotations

from typing import Any

import pytest

from looplet import EvalHook, HookError, LimitHook, MockLLMBackend, StagnationHook, ToolCall, composable_loop, tool


@tool
def look() -> int:
    """Look."""
    return 1


SCRIPT = [ToolCall("look"), ToolCall("look"), ToolCall("done", {"answer": "x"})]


def hooks() -> list[Any]:
    return [LimitHook(calls={"look": 1}), StagnationHook(), EvalHook(lambda run: True, every=1)]


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: type(hook).__name__)
def test_two_runs_at_once_cannot_share_it(hook: Any) -> None:
    first, second = (composable_loop(MockLLMBackend(SCRIPT), "x", [look], hooks=[hook]) for _ in range(2))
    next(first)
    with pytest.raises(
        HookError, match=rf"this {type(hook).__name__} is used by 2 runs at once; give every run its own"
    ):
        list(second)
    first.close()


@pytest.mark.parametrize("hook", hooks(), ids=lambda hook: type(hook).__name__)
def test_runs_one_after_another_can_even_when_one_was_left(hook: Any) -> None:
    for _ in composable_loop(MockLLMBackend(SCRIPT), "x", [look], hooks=[hook]):
        break
    assert len(list(composable_loop(MockLLMBackend(SCRIPT), "x", [look], hooks=[hook]))) == 3
