from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looplet import LoopConfig, MockLLMBackend, composable_loop, tool
from looplet.messages import Message, Prompt, ToolSchema
from looplet.testing import first_divergence
from looplet.types import ToolCall

GREET = ToolSchema("greet", "Greet someone.", {"type": "object"})
CALL = ToolCall("greet", {"name": "Bo"}, call_id="c1")
TURN = (
    Message("user", "Greet Bo."),
    Message("assistant", "", (CALL,)),
    Message("tool", "Hello, Bo!", call_id="c1"),
)
PROMPT = Prompt("Be brief.", TURN, (GREET,))


@tool
def greet(name: str) -> str:
    """Greet someone."""
    return f"Hello, {name}!"


@pytest.mark.parametrize(
    ("other", "where", "first", "second"),
    [
        (PROMPT.replace(system="Be briefer."), "the system prompt differs at byte 8 (after 'Be brief')", ".", "er."),
        (
            PROMPT.replace(tools=(GREET.replace(description="Greet."),)),
            "tool 1 (greet) differs at byte 5 (after 'Greet')",
            ' someone. {"type": "object"}',
            '. {"type": "object"}',
        ),
        (
            PROMPT.replace(messages=(*TURN[:1], Message("assistant", "", (CALL.replace(args={"name": "Al"}),)))),
            """a call in message 2 (assistant) differs at byte 16 (after 'reet({"name": "')""",
            'Bo"}) with id c1',
            'Al"}) with id c1',
        ),
        (
            PROMPT.replace(messages=(*TURN[:2], TURN[2].replace(call_id="c2"))),
            "the call id of message 3 (tool) differs at byte 1 (after 'c')",
            "1",
            "2",
        ),
    ],
)
def test_the_first_difference_is_named(other: Prompt, where: str, first: str, second: str) -> None:
    assert (
        first_divergence(PROMPT, other) == f"{where}: the first prompt goes on {first!r}, the second goes on {second!r}"
    )


def test_a_text_may_end_where_the_other_goes_on() -> None:
    longer = PROMPT.replace(messages=(Message("user", "Greet Bo. Now."), *TURN[1:]))
    said = "message 1 (user) differs at byte 9 (after 'Greet Bo.'): the first prompt {}, the second {}"
    assert first_divergence(PROMPT, longer) == said.format("ends there", "goes on ' Now.'")
    assert first_divergence(longer, PROMPT) == said.format("goes on ' Now.'", "ends there")


@pytest.mark.parametrize(
    ("other", "first", "second"),
    [
        (PROMPT.replace(tools=()), "tool 1 (greet)", "the system prompt"),
        (PROMPT.replace(tools=(GREET.replace(name="meet"), GREET)), "tool 1 (greet)", "tool 1 (meet)"),
        (PROMPT.replace(messages=(TURN[0], Message("user", "x"))), "message 2 (assistant)", "message 2 (user)"),
    ],
)
def test_what_stands_in_another_s_place_is_named(other: Prompt, first: str, second: str) -> None:
    assert first_divergence(PROMPT, other) == f"the first prompt has {first} where the second has {second}"


def test_bytes_are_counted_and_control_characters_shown() -> None:
    prompts = [Prompt("", (Message("user", f"é\x1b{end}"),)) for end in "ab"]
    said = first_divergence(prompts[0], prompts[1])
    assert said is not None
    assert "at byte 3 " in said
    assert "\x1b" not in said


def test_going_on_is_no_divergence() -> None:
    shorter = PROMPT.replace(messages=TURN[:1])
    assert first_divergence(PROMPT, PROMPT) is None
    assert first_divergence(shorter, PROMPT) is None
    assert first_divergence(PROMPT, shorter) is None


def test_tools_are_read_first() -> None:
    other = PROMPT.replace(system="x", tools=(), messages=())
    assert "tool 1" in (first_divergence(PROMPT, other) or "")


@given(st.lists(st.text(max_size=5), max_size=4), st.lists(st.text(max_size=5), max_size=4))
def test_it_is_found_exactly_when_neither_begins_with_the_other(left: list[str], right: list[str]) -> None:
    prompts = [Prompt("", tuple(Message("user", text) for text in texts)) for texts in (left, right)]
    common = min(len(left), len(right))
    assert (first_divergence(prompts[0], prompts[1]) is None) == (left[:common] == right[:common])


@pytest.mark.parametrize("mode", ["native", "text"])
def test_the_requests_of_a_run_share_their_prefix(mode: Any) -> None:
    responses: list[Any] = [ToolCall("greet", {"name": "Bo"}), ToolCall("greet", {}), ToolCall("done", {"answer": "x"})]
    if mode == "text":
        responses = [f'{{"tool": "{call.tool}", "args": {{"name": "Bo", "answer": "x"}}}}' for call in responses]
        responses[-1] = '{"tool": "done", "args": {"answer": "x"}}'
    model = MockLLMBackend(responses)
    list(composable_loop(llm=model, task="Greet Bo.", tools=[greet], config=LoopConfig(tool_mode=mode)))
    assert len(model.prompts) == 3
    for earlier, later in zip(model.prompts, model.prompts[1:], strict=False):
        assert first_divergence(earlier, later) is None
