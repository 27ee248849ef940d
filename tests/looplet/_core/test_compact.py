"""Compaction keeps pairs, the task and the newest turn, and ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from looplet._core.compact import shorter, size
from looplet.backends.openai_wire import openai_message
from looplet.backends.request_check import RequestCheck
from looplet.messages import Message
from looplet.types import ToolCall


def turn(number: int, lengths: list[int]) -> list[Message]:
    calls = tuple(ToolCall("t", {}, call_id=f"{number}-{i}") for i in range(len(lengths)))
    results = [Message("tool", "x" * length, call_id=f"{number}-{i}") for i, length in enumerate(lengths)]
    return [Message("assistant", "", calls), *results]


turns = st.lists(st.lists(st.integers(0, 5_000), min_size=1, max_size=4), max_size=12)


@given(turns)
def test_pairs_are_never_split_the_task_stays_and_it_converges(lengths: list[list[int]]) -> None:
    messages = [Message("user", "the task")]
    for number, results in enumerate(lengths):
        messages += turn(number, results)
    for _ in range(200):
        before = sum(map(size, messages))
        shortened = shorter(messages)
        if shortened is None:
            break
        messages = shortened
        assert sum(map(size, messages)) < before or len(messages) > 0
        check = RequestCheck()
        for message in messages:
            check.add(openai_message(message))
        assert check.problems() == []
        assert messages[0].content == "the task"
    else:
        raise AssertionError("compaction did not come to an end")


def test_the_newest_turn_survives() -> None:
    messages = [Message("user", "task"), *turn(1, [900]), *turn(2, [900]), *turn(3, [900])]
    shortened = shorter(messages)
    assert shortened is not None
    assert shortened[-2:] == messages[-2:]
    assert len(shortened) < len(messages)
