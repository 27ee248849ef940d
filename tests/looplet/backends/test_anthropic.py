"""One behaviour: every test runs through the `anthropic` SDK, its async client, and the standard library."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tests.support.clients import WAYS, connected
from tests.support.fake_anthropic import (
    FakeAnthropic,
    as_stream,
    key_of,
    message,
    message_events,
    named_events,
    refusal,
    text,
    use,
)
from tests.support.fake_openai import Answer, Drop, Hang, Stream, as_json

from looplet import LoopConfig, async_composable_loop, composable_loop, tool
from looplet.backends import AnthropicBackend
from looplet.errors import (
    AuthError,
    BackendError,
    BackendTimeout,
    ConnectionFailed,
    ContentFiltered,
    ContextOverflow,
    MalformedReply,
    QuotaError,
    RateLimited,
    ServerError,
    UnknownModel,
)
from looplet.messages import Message, Prompt, RawCall, Reply, Settings, ToolSchema
from looplet.types import ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

HELLO = Prompt("Be brief.", (Message("user", "Hello"),))
GREET = ToolSchema("greet", "Greet someone.", {"type": "object", "properties": {"name": {"type": "string"}}})
WITH_TOOLS = HELLO.replace(tools=(GREET,))
FINE = message(text("fine"))
MARK = {"cache_control": {"type": "ephemeral"}}


@pytest.fixture
def server() -> Iterator[FakeAnthropic]:
    with FakeAnthropic() as fake:
        yield fake
        assert fake.faults == []


@pytest.fixture(params=WAYS)
def backend(request: pytest.FixtureRequest, server: FakeAnthropic) -> Iterator[AnthropicBackend]:
    with connected(AnthropicBackend, server, request.param) as made:
        yield made


def chat(backend: AnthropicBackend, prompt: Prompt) -> Reply:
    return backend.chat(prompt)


def stream(backend: AnthropicBackend, prompt: Prompt) -> Reply:
    return backend.stream(prompt, lambda _text, _reasoning=False: None)


def failure(
    backend: AnthropicBackend, server: FakeAnthropic, answer: Any, ask: Callable[[Any, Prompt], Reply] = chat
) -> BackendError:
    server.script.append(answer)
    with pytest.raises(BackendError) as caught:
        ask(backend, HELLO)
    return caught.value


class TestRequest:
    def test_holds_messages_tools_settings_and_markers(self, backend: AnthropicBackend, server: FakeAnthropic) -> None:
        server.script.append(FINE)
        settings = Settings(temperature=0.5, max_tokens=7, extra={"metadata": {"user_id": "u"}})
        backend.chat(WITH_TOOLS.replace(settings=settings))
        assert server.bodies == [
            {
                "model": "m",
                "max_tokens": 7,
                "temperature": 0.5,
                "metadata": {"user_id": "u"},
                "system": [{"type": "text", "text": "Be brief.", **MARK}],
                "tools": [{"name": "greet", "description": "Greet someone.", "input_schema": GREET.parameters, **MARK}],
                "messages": [{"role": "user", "content": [{"type": "text", "text": "Hello", **MARK}]}],
            }
        ]
        assert server.seen[0].path == "/v1/messages"
        assert key_of(server.seen[0]) == "key"

    def test_settings_of_the_prompt_win(self, server: FakeAnthropic) -> None:
        server.script += [FINE, FINE]
        with connected(
            AnthropicBackend, server, "http", max_tokens=5, temperature=0.1, extra={"metadata": {}}
        ) as backend:
            backend.chat(HELLO)
            backend.chat(HELLO.replace(settings=Settings(temperature=0.0, max_tokens=9)))
        assert [(body["max_tokens"], body["temperature"]) for body in server.bodies] == [(5, 0.1), (9, 0.0)]

    def test_markers_can_be_left_out(self, server: FakeAnthropic) -> None:
        server.script.append(FINE)
        with connected(AnthropicBackend, server, "http", cache=False) as backend:
            backend.chat(WITH_TOOLS)
        assert "cache_control" not in json.dumps(server.bodies)

    @pytest.mark.parametrize("url", ["", "/", "/v1", "/v1/"])
    @pytest.mark.parametrize("way", ["sdk", "http"])
    def test_the_base_url_may_end_in_the_version(self, server: FakeAnthropic, way: Any, url: str) -> None:
        server.script.append(FINE)
        backend = AnthropicBackend(model="m", base_url=server.base_url + url, api_key="k", transport=way)
        backend.chat(HELLO)
        backend.close()
        assert server.seen[-1].path == "/v1/messages"


class TestReply:
    @pytest.mark.parametrize("streamed", [False, True])
    def test_carries_text_thinking_calls_and_usage(
        self, backend: AnthropicBackend, server: FakeAnthropic, streamed: bool
    ) -> None:
        thinking = {"type": "thinking", "thinking": "well", "signature": "s"}
        answer = message(thinking, text("I will."), use("c1", "greet", name="Bo"), use("c2", "stop"), stop="tool_use")
        heard: list[tuple[str, bool]] = []
        server.script.append(as_stream(answer) if streamed else answer)
        if streamed:
            reply = backend.stream(WITH_TOOLS, lambda text, reasoning=False: heard.append((text, reasoning)))
            assert heard == [("we", True), ("ll", True), ("I w", False), ("ill.", False)]
        else:
            reply = backend.chat(WITH_TOOLS)
        assert reply == Reply(
            text="I will.",
            calls=(RawCall("greet", {"name": "Bo"}, "c1"), RawCall("stop", {}, "c2")),
            usage=Usage(9, 5, 3),
            finish_reason="tool_use",
            reasoning="well",
            model="fake",
            request_id="msg_1",
        )
        assert server.bodies[0].get("stream", False) is streamed

    @pytest.mark.parametrize("stop", ["max_tokens", "model_context_window_exceeded"])
    @pytest.mark.parametrize("streamed", [False, True])
    def test_that_was_cut_says_length(self, server: FakeAnthropic, stop: str, streamed: bool) -> None:
        answer = message(text("fi"), stop=stop)
        server.script.append(as_stream(answer) if streamed else answer)
        with connected(AnthropicBackend, server, "http") as backend:
            assert (stream if streamed else chat)(backend, HELLO).finish_reason == "length"

    def test_of_a_server_that_does_not_stream_is_shown_whole(
        self, backend: AnthropicBackend, server: FakeAnthropic
    ) -> None:
        heard: list[tuple[str, bool]] = []
        server.script.append(FINE)
        backend.stream(HELLO, lambda text, reasoning=False: heard.append((text, reasoning)))
        assert heard == [("fine", False)]

    def test_request_id_is_the_header_s(self, backend: AnthropicBackend, server: FakeAnthropic) -> None:
        server.script.append(FINE.replace(headers=FINE.headers | {"request-id": "req_9"}))
        assert backend.chat(HELLO).request_id == "req_9"


class TestErrors:
    @pytest.mark.parametrize(
        ("status", "kind", "said", "expected", "says"),
        [
            (400, "invalid_request_error", "prompt is too long: 208310 tokens > 200000 maximum", ContextOverflow, ""),
            (
                400,
                "invalid_request_error",
                "input length and `max_tokens` exceed context limit: 199000 + 8192 > 200000",
                ContextOverflow,
                "shorten",
            ),
            (400, "invalid_request_error", "Your credit balance is too low; go to Plans & Billing", QuotaError, ""),
            (400, "invalid_request_error", "messages: something is wrong", BackendError, "something is wrong"),
            (401, "authentication_error", "invalid x-api-key", AuthError, "check ANTHROPIC_API_KEY"),
            (402, "billing_error", "no credit", QuotaError, "waiting does not help"),
            (403, "permission_error", "not yours", AuthError, "not yours"),
            (404, "not_found_error", "model: claude-9", UnknownModel, "claude-9"),
            (404, "not_found_error", "Not found", BackendError, "without /v1/messages"),
            (413, "request_too_large", "Request exceeds the maximum size", ContextOverflow, "413"),
            (429, "rate_limit_error", "slow down", RateLimited, "slow down"),
            (500, "api_error", "oops", ServerError, "oops"),
            (504, "timeout_error", "took too long", ServerError, "took"),
            (529, "overloaded_error", "Overloaded", ServerError, "529"),
        ],
    )
    def test_are_typed_alike_before_and_inside_a_stream(
        self,
        backend: AnthropicBackend,
        server: FakeAnthropic,
        status: int,
        kind: str,
        said: str,
        expected: type[BackendError],
        says: str,
    ) -> None:
        plain = failure(backend, server, as_json(refusal(kind, said), status))
        inside = Stream(named_events(message_events(FINE)[0], refusal(kind, said)))
        streamed = failure(backend, server, inside, stream)
        for error in (plain, streamed):
            assert type(error) is expected
            assert says in str(error)
            assert server.base_url in str(error)
            assert error.status == status
        assert plain.retriable is streamed.retriable is (status in (429, 500, 504, 529))
        assert len(server.bodies) == 2  # the SDK's own retries are off

    def test_carry_wait_and_request_id(self, backend: AnthropicBackend, server: FakeAnthropic) -> None:
        answer = as_json(refusal("rate_limit_error", "wait"), 429, retry_after="7", request_id="req_7")
        error = failure(backend, server, answer)
        assert (error.retry_after, error.request_id) == (7.0, "req_7")

    def test_of_an_unknown_model_list_the_served_ones(self, backend: AnthropicBackend, server: FakeAnthropic) -> None:
        server.pages["/v1/models"] = as_json({"data": [{"type": "model", "id": "claude-a"}], "has_more": False})
        error = failure(backend, server, as_json(refusal("not_found_error", "model: m"), 404))
        assert str(error).endswith("it serves: claude-a")

    @pytest.mark.parametrize("streamed", [False, True])
    def test_a_refusal_is_content_filtered(
        self, backend: AnthropicBackend, server: FakeAnthropic, streamed: bool
    ) -> None:
        answer = message(text("I"), stop="refusal", stop_details={"type": "refusal", "explanation": "too dangerous"})
        error = failure(backend, server, as_stream(answer) if streamed else answer, stream if streamed else chat)
        assert isinstance(error, ContentFiltered)
        assert "refused to answer: too dangerous" in str(error)

    @pytest.mark.parametrize("events", [2, 4, -1])
    def test_a_stream_that_just_stops_is_cut_off(
        self, backend: AnthropicBackend, server: FakeAnthropic, events: int
    ) -> None:
        cut = Stream(named_events(*message_events(message(text("some words")))[:events]))
        error = failure(backend, server, cut, stream)
        assert isinstance(error, MalformedReply)
        assert "stopped before the reply was complete" in str(error)
        assert error.text in ("", "some ", "some words")

    @pytest.mark.parametrize("broken", [Drop(), Stream(named_events(message_events(FINE)[0]), cut=True)])
    def test_a_broken_connection_may_be_tried_again(
        self, backend: AnthropicBackend, server: FakeAnthropic, broken: Drop | Stream
    ) -> None:
        error = failure(backend, server, broken, stream)
        assert isinstance(error, ConnectionFailed)
        assert error.retriable

    @pytest.mark.parametrize("ask", [chat, stream])
    def test_no_answer_in_time_is_a_timeout(
        self, backend: AnthropicBackend, server: FakeAnthropic, ask: Callable[[Any, Prompt], Reply]
    ) -> None:
        server.script.append(Hang())
        with pytest.raises(BackendTimeout, match=server.base_url):
            ask(backend, HELLO.replace(settings=Settings(timeout_s=0.05)))

    def test_an_answer_that_is_no_message_is_said_to_be_none(
        self, backend: AnthropicBackend, server: FakeAnthropic
    ) -> None:
        page = Answer(200, b"<html><p>Welcome", {"Content-Type": "text/html"})
        assert "is this the base URL, without /v1/messages?" in str(failure(backend, server, page))
        assert isinstance(failure(backend, server, Answer(200)), ServerError)
        assert isinstance(failure(backend, server, as_json({"content": None})), ServerError)


class TestLearning:
    @pytest.mark.parametrize(
        "said",
        [
            "`temperature` is deprecated for this model.",
            "temperature: Extra inputs are not permitted",
            "temperature: this parameter was removed in API version 2026-10-21",
        ],
    )
    def test_a_refused_temperature_is_left_out_from_then_on(
        self, backend: AnthropicBackend, server: FakeAnthropic, said: str
    ) -> None:
        deprecated = refusal("invalid_request_error", said)
        server.script += [as_json(deprecated, 400), FINE, FINE]
        cold = HELLO.replace(settings=Settings(temperature=0.0))
        backend.chat(cold)
        backend.chat(cold)
        assert ["temperature" in body for body in server.bodies] == [True, False, False]

    def test_the_longest_reply_a_model_allows_is_learnt(self, backend: AnthropicBackend, server: FakeAnthropic) -> None:
        said = "max_tokens: 9000 > 4096, which is the maximum allowed number of output tokens for m"
        server.script += [as_json(refusal("invalid_request_error", said), 400), FINE, FINE]
        backend.chat(HELLO.replace(settings=Settings(max_tokens=9000)))
        backend.chat(HELLO.replace(settings=Settings(max_tokens=50)))
        assert [body["max_tokens"] for body in server.bodies] == [9000, 4096, 50]


@tool
def greet(name: str) -> str:
    """Greet someone."""
    return f"Hello, {name}!"


TURNS = [
    message(use("a", "greet", name="Al"), use("b", "greet", name="Bo"), stop="tool_use"),
    message(text("Again."), use("c", "greet"), stop="tool_use"),
    message(use("d", "done", answer="both greeted"), stop="tool_use"),
]


class TestRuns:
    """The validator of the server reads every request of these."""

    @pytest.mark.parametrize("way", ["sdk", "http"])
    def test_a_run_goes_through(self, server: FakeAnthropic, way: str) -> None:
        server.script += TURNS
        with connected(AnthropicBackend, server, way) as backend:
            result = composable_loop(llm=backend, task="Greet Al and Bo.", tools=[greet])
            steps = list(result)
        assert [step.tool_call.tool for step in steps] == ["greet", "greet", "greet", "done"]
        assert steps[2].tool_result.error is not None
        second = server.bodies[1]["messages"][-1]
        assert [block["type"] for block in second["content"]] == ["tool_result", "tool_result"]

    def test_a_last_question_without_tools_still_defines_those_of_the_history(self, server: FakeAnthropic) -> None:
        server.script += [TURNS[0], message(text("Both, I think."))]
        with connected(AnthropicBackend, server, "http") as backend:
            run = composable_loop(
                llm=backend, task="x", tools=[greet], config=LoopConfig(max_steps=2, final_answer=True)
            )
            list(run)
        last = server.bodies[-1]
        assert [tool["name"] for tool in last["tools"]] == ["greet"]
        assert last["tool_choice"] == {"type": "none"}

    def test_an_async_client_serves_an_async_run(self, server: FakeAnthropic) -> None:
        anthropic = pytest.importorskip("anthropic")
        server.script += TURNS

        async def run() -> Any:
            async with anthropic.AsyncAnthropic(base_url=server.base_url, api_key="k") as client:
                backend = AnthropicBackend(client, model="m")
                async with async_composable_loop(llm=backend, task="x", tools=[greet]) as run:
                    async for _ in run:
                        pass
                return run.result.output

        assert asyncio.run(run()) == "both greeted"


class TestConstruction:
    @pytest.fixture(autouse=True)
    def clean_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL", "ANTHROPIC_MODEL"):
            monkeypatch.delenv(name, raising=False)

    def test_from_env_without_anything_names_the_variables(self) -> None:
        with pytest.raises(AuthError, match=r"ANTHROPIC_API_KEY is not set.*ANTHROPIC_BASE_URL"):
            AnthropicBackend.from_env()

    def test_from_env_needs_a_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
        with pytest.raises(ValueError, match=r"ANTHROPIC_MODEL is not set; name a model that https://api\.anthropic"):
            AnthropicBackend.from_env()

    @pytest.mark.parametrize("way", ["sdk", "http"])
    def test_from_env_reads_all_three(
        self, server: FakeAnthropic, monkeypatch: pytest.MonkeyPatch, way: Literal["sdk", "http"]
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", server.base_url)
        monkeypatch.setenv("ANTHROPIC_MODEL", "claude")
        monkeypatch.setenv("ANTHROPIC_API_KEY", "k")
        server.script.append(FINE)
        AnthropicBackend.from_env(transport=way).chat(HELLO)
        assert server.bodies[0]["model"] == "claude"
        assert key_of(server.seen[0]) == "k"

    def test_a_key_is_needed_and_not_shown(self) -> None:
        with pytest.raises(AuthError, match="set ANTHROPIC_API_KEY or pass api_key="):
            AnthropicBackend(model="m")
        assert "s3cret" not in repr(AnthropicBackend(model="m", api_key="s3cret", transport="http"))

    @pytest.mark.parametrize("way", ["sdk", "http"])
    def test_the_environment_s_key_is_not_sent_to_a_url_given_in_code(
        self, server: FakeAnthropic, monkeypatch: pytest.MonkeyPatch, way: Literal["sdk", "http"]
    ) -> None:
        monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
        server.script.append(FINE)
        AnthropicBackend(model="m", base_url=server.base_url, transport=way).chat(HELLO)
        assert "secret" not in str(server.seen)

    def test_a_client_is_used_as_it_is(self, server: FakeAnthropic) -> None:
        anthropic = pytest.importorskip("anthropic")
        server.script += [as_json(refusal("api_error", "oops"), 500), FINE]
        with anthropic.Anthropic(base_url=server.base_url, api_key="mine", max_retries=5) as client:
            backend = AnthropicBackend(client, model="m", max_tokens=64_000)  # the SDK wants such a one streamed
            assert backend.base_url == server.base_url
            with pytest.raises(ServerError):
                backend.chat(HELLO)
            assert backend.chat(HELLO).text == "fine"
        assert key_of(server.seen[-1]) == "mine"

    def test_without_the_sdk_the_version_is_the_one_that_knows_temperature(self, server: FakeAnthropic) -> None:
        server.script.append(FINE)
        with connected(AnthropicBackend, server, "http") as backend:
            backend.chat(HELLO)
        assert server.seen[0].headers["anthropic-version"] == "2023-06-01"
        assert server.seen[0].headers["x-api-key"] == "key"

    def test_a_hand_made_client_works(self) -> None:
        class Messages:
            def create(self, **request: Any) -> Any:
                return {"content": [text(f"to {request['model']}")]}

        class Client:
            messages = Messages()

        heard: list[str] = []
        backend = AnthropicBackend(Client(), model="m")
        assert backend.chat(HELLO).text == "to m"
        assert backend.stream(HELLO, lambda text, _reasoning=False: heard.append(text)).text == "to m"
        assert heard == ["to m"]

    def test_something_else_in_place_of_a_client_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"takes an anthropic\.Anthropic client, not str"):
            AnthropicBackend("claude", model="m")

    def test_it_always_takes_tools(self, backend: AnthropicBackend) -> None:
        assert backend.capabilities.native_tools
        assert not backend.capabilities.reply_schema
        assert AnthropicBackend(model="m", api_key="k", transport="http").capabilities.context_window == 200_000


def test_the_history_of_another_provider_is_accepted(server: FakeAnthropic) -> None:
    call = ToolCall("greet", {"name": "Zoë", "x": float("nan")}, call_id="functions.greet:0")
    turn = (Message("assistant", "", (call,)), Message("tool", " ", call_id="functions.greet:0"), Message("user", ""))
    server.script.append(FINE)
    with connected(AnthropicBackend, server, "http") as backend:
        backend.chat(WITH_TOOLS.replace(messages=HELLO.messages + turn))
