"""A run that was broken off and resumed did what the straight run did."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.resuming import Scripted, double, fail, square

from looplet import CheckpointHook, ToolCall, composable_loop
from looplet.trace.diff import diff_traces
from looplet.trace.read import Trace, read_journal

TOOLS = [double, square, fail]
DONE = ToolCall("done", {"answer": "x"})
CALLS = st.builds(
    lambda name, n: ToolCall(name, {"n": n}), st.sampled_from(["double", "square", "fail"]), st.integers(0, 9)
)
TURNS = st.lists(CALLS | st.lists(CALLS, min_size=2, max_size=3), min_size=1, max_size=4)


def run(path: Path, script: list[Any], breaks: list[int]) -> Trace:
    """Broken off after each number of steps in `breaks`, and then resumed."""
    asked = 0
    for number, steps in enumerate([*breaks, None]):
        llm = Scripted(script, asked)
        how: dict[str, Any] = {"resume": path} if number else {"hooks": [CheckpointHook(path)]}
        for done, step in enumerate(composable_loop(llm, "T", TOOLS, **how), start=1):
            if done == steps and step.tool_call.tool != "done":
                break
        else:
            break  # it has come to its end
        asked += len(llm.prompts)
    return read_journal(path)


@settings(max_examples=25, deadline=None)
@given(TURNS, st.lists(st.integers(1, 3), min_size=1, max_size=2))
def test_a_run_that_was_broken_off_and_resumed_is_no_other_run(turns: list[Any], breaks: list[int]) -> None:
    script = [*turns, DONE]
    with tempfile.TemporaryDirectory() as folder:
        straight, resumed = run(Path(folder, "a"), script, []), run(Path(folder, "b"), script, breaks)
        assert [change.text for change in diff_traces(straight, resumed).significant] == []
        assert [change.text for change in diff_traces(resumed, straight).significant] == []


def test_what_a_resumed_run_did_then_is_compared(tmp_path: Path) -> None:
    one, other = (
        run(tmp_path / f"{n}", [ToolCall("double", {"n": 1}), ToolCall("double", {"n": n}), DONE], [1]) for n in (2, 3)
    )
    assert [change.text for change in diff_traces(one, other).significant] == [
        "step 2 double: arguments: n 2 → 3",
        "step 2 double: result: 4 → 6",
    ]
