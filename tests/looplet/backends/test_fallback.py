from __future__ import annotations

import asyncio
from typing import Any

import pytest

from looplet import async_composable_loop, composable_loop
from looplet.backends import FallbackBackend, MockLLMBackend
from looplet.errors import (
    AuthError,
    BackendError,
    ContentFiltered,
    ContextOverflow,
    MalformedReply,
    QuotaError,
    RateLimited,
    ServerError,
    ToolsUnsupported,
)
from looplet.messages import Capabilities, Message, Prompt, Reply
from looplet.types import ToolCall

HELLO = Prompt("", (Message("user", "Hello"),))


def mock(name: str, *responses: Any) -> MockLLMBackend:
    return MockLLMBackend(responses, name=name, capabilities=Capabilities(context_window=len(name)))


class Later:
    """An async model."""

    name = "later"
    is_async = True
    capabilities = Capabilities()

    def __init__(self, answer: str | Exception) -> None:
        self.answer = answer

    async def chat(self, prompt: Prompt) -> Reply:
        if isinstance(self.answer, Exception):
            raise self.answer
        return Reply(text=self.answer)


@pytest.mark.parametrize(
    "failure", [AuthError("no"), QuotaError("no"), RateLimited("no"), ServerError("no"), BackendError("no"), OSError()]
)
def test_a_failing_provider_hands_over_to_the_next_which_stays(
    failure: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    if type(failure) is OSError:
        failure = ConnectionRefusedError("refused")
    first, second = mock("first", failure), mock("second!", "one", "two")
    both = FallbackBackend([first, second])
    assert (both.name, both.capabilities.context_window) == ("first", 5)
    assert [both.chat(HELLO).text, both.chat(HELLO).text] == ["one", "two"]
    assert (both.name, both.capabilities.context_window) == ("second!", 7)
    assert len(first.prompts) == 1
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("first failed (")
    assert said.endswith("; going on with second!")


@pytest.mark.parametrize(
    "failure",
    [ContextOverflow("no"), MalformedReply("no"), ToolsUnsupported("no"), ContentFiltered("no"), TypeError("no")],
)
def test_what_is_about_the_request_goes_to_the_loop(failure: Exception) -> None:
    second = mock("second", "one")
    with pytest.raises(type(failure)):
        FallbackBackend([mock("first", failure), second]).chat(HELLO)
    assert second.prompts == []


def test_when_all_fail_the_error_that_may_pass_is_raised_and_the_order_starts_anew() -> None:
    first, second = mock("first", RateLimited("wait", retry_after=2.0), "again"), mock("second", AuthError("no"))
    both = FallbackBackend([first, second])
    with pytest.raises(RateLimited):
        both.chat(HELLO)
    assert both.name == "first"
    assert both.chat(HELLO).text == "again"


def test_when_nothing_may_pass_the_last_error_is_raised() -> None:
    with pytest.raises(QuotaError):
        FallbackBackend([mock("first", AuthError("no")), mock("second", QuotaError("no"))]).chat(HELLO)


def test_the_next_of_the_last_is_the_first() -> None:
    both = FallbackBackend([mock("first", ServerError("no"), "back"), mock("second", "one", ServerError("no"))])
    assert [both.chat(HELLO).text, both.chat(HELLO).text] == ["one", "back"]


def test_a_run_goes_on_with_the_next_in_the_mode_that_one_needs() -> None:
    native = MockLLMBackend([ToolCall("done", {"answer": "never"})], name="native")
    broken = MockLLMBackend([ServerError("no")], name="broken")
    text = MockLLMBackend(['{"tool": "done", "args": {"answer": "yes"}}'], name="text")
    run = composable_loop(llm=FallbackBackend([broken, text, native]), task="x", tools=[])
    list(run)
    assert run.result.output == "yes"


def test_streams_pass_through_and_a_model_without_one_is_shown_whole() -> None:
    class Plain:
        def chat(self, prompt: Prompt) -> Reply:
            return Reply(text="whole")

    heard: list[str] = []
    both = FallbackBackend([mock("first", "a b", ServerError("no")), Plain()])
    texts = [both.stream(HELLO, lambda text, _reasoning=False: heard.append(text)).text for _ in range(2)]
    assert texts == ["a b", "whole"]
    assert heard == ["a", " b", "whole"]


def test_async_backends_are_awaited() -> None:
    both = FallbackBackend([Later(ServerError("no")), Later("fine")])

    async def run() -> Any:
        async with async_composable_loop(llm=both, task="x", tools=[]) as run:
            async for _ in run:
                pass
        return run.result.output

    assert both.is_async
    with pytest.raises(TypeError, match="use async_composable_loop"):
        composable_loop(llm=both, task="x", tools=[])
    assert asyncio.run(run()) == "fine"


def test_sync_and_async_do_not_mix() -> None:
    with pytest.raises(TypeError, match="FallbackBackend got sync and async backends; give it one kind"):
        FallbackBackend([Later("x"), mock("m", "x")])


@pytest.mark.parametrize("backends", [[], None, "openai", mock("m", "x")])
def test_it_takes_a_list(backends: Any) -> None:
    with pytest.raises(TypeError, match=r"takes a list of backends: FallbackBackend\(\[first, second\]\)"):
        FallbackBackend(backends)


def test_what_the_current_backend_has_beside_is_reached_through_it() -> None:
    first = mock("first", "x")
    both = FallbackBackend([first, mock("second")])
    assert both.prompts is first.prompts
    assert both.no_sleep
    with pytest.raises(AttributeError):
        both.nothing  # noqa: B018  # the look-up is the point


def test_closing_closes_all_that_can_be_closed() -> None:
    closed: list[str] = []

    class Closable(MockLLMBackend):
        def close(self) -> None:
            closed.append(self.name)

    FallbackBackend([Closable(["x"], name="a"), mock("b", "x"), Closable(["x"], name="c")]).close()
    assert closed == ["a", "c"]
