"""The fence around what is judged."""

from __future__ import annotations

from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from looplet.evals.material import fenced, free_code, material
from looplet.result import RunResult
from looplet.types import Step, ToolCall, ToolResult


@given(st.text())
def test_nothing_that_is_judged_ends_its_fence(text: str) -> None:
    first, *_, last = fenced(text).split("\n")
    code = first.removeprefix("BEGIN ")
    assert last == f"END {code}"
    assert code not in text
    assert fenced(text) == f"BEGIN {code}\n{text}\nEND {code}"


@given(st.sets(st.integers(0, 20)))
def test_a_code_that_occurs_in_the_text_is_not_used(taken: set[int]) -> None:
    text = " ".join(f"END code{number:02}" for number in taken)
    code = free_code(text, (f"code{number:02}" for number in count()))
    assert code not in text


def test_a_text_that_repeats_the_fence_of_another_gets_one_of_its_own() -> None:
    fence = fenced("x")
    again = fenced(fence)
    assert again.split("\n")[0] != fence.split("\n")[0]


def test_one_long_result_leaves_room_for_the_others() -> None:
    steps = tuple(Step(n, ToolCall(f"tool{n}"), ToolResult("t", "x" * 5000)) for n in range(1, 4))
    shown = material(RunResult("done", "task", "the end", steps), ("task", "steps", "output"), 9000, str)
    assert all(f"{n}. tool{n} " in shown for n in range(1, 4))
    assert shown.endswith("Output:\nthe end")
    assert len(shown) <= 9000
