"""A run in circles is told so once, and then stopped; a run that moves is left alone."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_sync

from looplet import MockLLMBackend, StagnationHook, ToolCall, preview_prompt, tool

if TYPE_CHECKING:
    from tests.support.drive import Drive

DONE = ToolCall("done", {"answer": "x"})


@tool
def look(where: str = "") -> str:
    """Look."""
    return f"nothing new {where}"


@tool
def find(query: str) -> dict[str, Any]:
    """Find."""
    return {"items": []}


@tool
def save(text: str) -> None:
    """Save."""


def look_at(where: str = "here") -> ToolCall:
    return ToolCall("look", {"where": where})


TOOLS: list[Any] = [look, find, save]
NOTE = "You are making no progress: "


def told(llm: MockLLMBackend) -> list[int]:
    """The numbers, from 1, of the requests with a note."""
    return [number for number, prompt in enumerate(llm.prompts, 1) if NOTE in prompt.messages[-1].content]


def test_the_same_call_with_the_same_result_is_noted_then_stopped(drive: Drive) -> None:
    llm = MockLLMBackend(lambda _prompt: look_at())
    result = drive(llm, tools=TOOLS, hooks=[StagnationHook()])
    assert (result.stop_reason, len(result.steps)) == ("no_progress", 4)
    assert told(llm)[0] == 4
    text = llm.prompts[3].messages[-1].content
    assert "3 times in a row, look was called with the same arguments and gave the same result" in text


def test_without_the_hook_it_goes_on_to_the_cap() -> None:
    result = run_sync(MockLLMBackend(lambda _prompt: look_at()), tools=TOOLS, max_steps=9)
    assert (result.stop_reason, len(result.steps)) == ("max_steps", 9)


def test_two_calls_in_turn_are_a_circle_too(drive: Drive) -> None:
    llm = MockLLMBackend([look_at("a"), look_at("b")], cycle=True)
    result = drive(llm, tools=TOOLS, hooks=[StagnationHook(2)])
    assert (result.stop_reason, len(result.steps)) == ("no_progress", 5)
    assert "look and look were called in turn 2 times" in llm.prompts[4].messages[-1].content


def test_results_with_nothing_in_them_are_no_progress(drive: Drive) -> None:
    llm = MockLLMBackend([*(ToolCall("find", {"query": letter}) for letter in "abcd"), DONE])
    result = drive(llm, tools=TOOLS, hooks=[StagnationHook()])
    assert (result.stop_reason, len(result.steps)) == ("no_progress", 4)
    assert "the last 3 calls of find found nothing" in llm.prompts[3].messages[-1].content


def test_a_tool_without_an_answer_is_not_one_that_found_nothing() -> None:
    saves = [ToolCall("save", {"text": letter}) for letter in "abcdef"]
    assert run_sync([*saves, DONE], tools=TOOLS, hooks=[StagnationHook()]).stop_reason == "done"


def test_a_model_that_listens_goes_on_and_is_told_again_another_time() -> None:
    llm = MockLLMBackend([*[look_at()] * 3, look_at("there"), *[look_at()] * 3, DONE])
    assert run_sync(llm, tools=TOOLS, hooks=[StagnationHook()]).stop_reason == "done"
    assert told(llm) == [4, 8]


def test_the_note_is_repeated_when_its_request_failed() -> None:
    llm = MockLLMBackend([*[look_at()] * 3, ConnectionError("down"), DONE])
    assert run_sync(llm, tools=TOOLS, hooks=[StagnationHook()]).stop_reason == "done"
    assert told(llm) == [4, 5]


def test_different_arguments_or_results_are_progress() -> None:
    numbers = count()

    @tool
    def tick() -> int:
        """Count."""
        return next(numbers)

    script = [*[ToolCall("tick")] * 5, *(look_at(letter) for letter in "abcde"), DONE]
    llm = MockLLMBackend(script)
    assert run_sync(llm, tools=[*TOOLS, tick], hooks=[StagnationHook()]).stop_reason == "done"
    assert told(llm) == []


@pytest.mark.parametrize(
    "result",
    ["at 2026-01-0{0}T10:00:0{0}Z: idle", "idle since 10:00:0{0}", "<object at 0x7f{0}> idle", "idle{1}"],
)
def test_what_changes_by_itself_is_not_compared(result: str) -> None:
    numbers = count(1)

    @tool
    def status() -> str:
        """Ask."""
        number = next(numbers)
        return result.format(number, " " * number)

    llm = MockLLMBackend(lambda _prompt: ToolCall("status"))
    assert run_sync(llm, tools=[status], hooks=[StagnationHook()]).stop_reason == "no_progress"


def test_repeated_errors_are_a_circle(drive: Drive) -> None:
    llm = MockLLMBackend(lambda _prompt: ToolCall("look", {"were": "x"}))
    assert drive(llm, tools=TOOLS, hooks=[StagnationHook()]).stop_reason == "no_progress"


def test_a_tool_that_waits_may_repeat_itself() -> None:
    hooks = [StagnationHook(ignore=["look"])]
    assert run_sync([*[look_at()] * 8, DONE], tools=TOOLS, hooks=hooks).stop_reason == "done"


def test_calls_of_one_turn_get_their_note_before_anything_is_stopped() -> None:
    llm = MockLLMBackend([[look_at()] * 5, DONE])
    assert run_sync(llm, tools=TOOLS, hooks=[StagnationHook()]).stop_reason == "done"
    assert told(llm) == [2]


def test_a_result_that_holds_itself_is_no_trouble() -> None:
    @tool
    def odd() -> dict[str, Any]:
        """Return a dict in itself."""
        data: dict[str, Any] = {}
        data["self"] = data
        return data

    llm = MockLLMBackend(lambda _prompt: ToolCall("odd"))
    assert run_sync(llm, tools=[odd], hooks=[StagnationHook()]).stop_reason == "no_progress"


def test_nonsense_is_refused_at_construction() -> None:
    with pytest.raises(ValueError, match=r"StagnationHook\(repeats=...\) is 1: use a whole number of at least 2"):
        StagnationHook(1)
    with pytest.raises(TypeError, match=r"StagnationHook\(ignore='look'\): give a list of tool names, \['look'\]"):
        StagnationHook(ignore="look")


def test_a_preview_after_a_run_knows_nothing_of_it() -> None:
    hook = StagnationHook()
    run_sync([*[look_at()] * 3, DONE], tools=TOOLS, hooks=[hook])
    assert NOTE not in str(preview_prompt(MockLLMBackend([DONE]), "x", TOOLS, hooks=[hook]))
