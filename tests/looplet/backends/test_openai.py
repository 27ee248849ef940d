"""One behaviour: every test runs through the `openai` SDK, its async client, and the standard library."""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING, Any, Literal

import pytest
from tests.support.clients import connected
from tests.support.fake_openai import Answer, Drop, FakeOpenAI, Hang, as_json, completion

from looplet import async_composable_loop, composable_loop
from looplet.backends import OpenAIBackend, adapt
from looplet.backends.openai_transport import HttpTransport, SdkTransport
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
    ToolsUnsupported,
    UnknownModel,
)
from looplet.messages import Message, Prompt, RawCall, Settings, ToolSchema
from looplet.types import ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet import RunResult

HELLO = Prompt("Be brief.", (Message("user", "Hello"),))
GREET = ToolSchema("greet", "Greet someone.", {"type": "object", "properties": {"name": {"type": "string"}}})
WITH_TOOLS = HELLO.replace(tools=(GREET,))
FINE = completion({"content": "fine"})


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as fake:
        yield fake
        assert fake.faults == []


@pytest.fixture(params=["sdk", "http"])
def transport(request: pytest.FixtureRequest) -> Literal["sdk", "http"]:
    name: Literal["sdk", "http"] = request.param
    return name


@pytest.fixture(params=["sdk", "http", "async"])
def backend(request: pytest.FixtureRequest, server: FakeOpenAI) -> Iterator[OpenAIBackend]:
    with connected(OpenAIBackend, server, request.param) as made:
        yield made


def refusal(status: int, message: str, **fields: Any) -> Answer:
    return as_json({"error": {"message": message, **fields}}, status)


def failure(backend: OpenAIBackend, server: FakeOpenAI, answer: Answer, prompt: Prompt = HELLO) -> BackendError:
    server.script.append(answer)
    with pytest.raises(BackendError) as caught:
        backend.chat(prompt)
    return caught.value


class TestRequest:
    def test_holds_messages_tools_and_settings(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.script.append(FINE)
        backend.chat(WITH_TOOLS.replace(settings=Settings(temperature=0.5, max_tokens=7, extra={"seed": 1})))
        assert server.bodies == [
            {
                "model": "m",
                "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hello"}],
                "tools": [{"type": "function", "function": GREET.to_dict()}],
                "temperature": 0.5,
                "max_tokens": 7,
                "seed": 1,
            }
        ]
        assert server.seen[-1].path == "/v1/chat/completions"
        assert server.seen[-1].headers["authorization"] == "Bearer key"

    def test_sends_the_history_in_a_form_every_server_takes(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.script.append(FINE)
        call = ToolCall("greet", {"name": "Zoë", "x": float("nan")}, call_id="c1")
        turn = (Message("assistant", "", (call,)), Message("tool", "lone \udc80 half", call_id="c1"))
        backend.chat(WITH_TOOLS.replace(messages=HELLO.messages + turn))
        assert server.bodies[0]["messages"][2:] == [
            {
                "role": "assistant",
                "content": "",
                "tool_calls": [
                    {
                        "id": "c1",
                        "type": "function",
                        "function": {"name": "greet", "arguments": '{"name": "Zoë", "x": null}'},
                    }
                ],
            },
            {"role": "tool", "content": "lone \\udc80 half", "tool_call_id": "c1"},
        ]

    def test_prompt_settings_win_over_the_backend_s_own(
        self, server: FakeOpenAI, transport: Literal["sdk", "http"]
    ) -> None:
        server.script += [FINE, FINE]
        backend = OpenAIBackend(
            model="m", base_url=server.base_url, max_tokens=5, temperature=0.1, extra={"seed": 1}, transport=transport
        )
        backend.chat(HELLO)
        backend.chat(HELLO.replace(settings=Settings(temperature=0.0, max_tokens=9, extra={"seed": 2})))
        chosen = [(body["max_tokens"], body["temperature"], body["seed"]) for body in server.bodies]
        assert chosen == [(5, 0.1, 1), (9, 0.0, 2)]
        backend.close()

    def test_asks_for_the_reply_schema(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.script.append(FINE)
        backend.chat(HELLO.replace(settings=Settings(reply_schema={"type": "object"})))
        assert server.bodies[0]["response_format"] == {
            "type": "json_schema",
            "json_schema": {"name": "reply", "schema": {"type": "object"}},
        }


class TestReply:
    def test_carries_text_usage_finish_reason_and_request_id(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        usage = {"prompt_tokens": 9, "completion_tokens": 3, "prompt_tokens_details": {"cached_tokens": 4}}
        answer = completion({"content": "cut"}, "length", usage=usage)
        server.script.append(answer.replace(headers=answer.headers | {"x-request-id": "req-7"}))
        reply = backend.chat(HELLO)
        assert reply.text == "cut"
        assert reply.usage == Usage(9, 3, 4)
        assert (reply.finish_reason, reply.request_id, reply.model) == ("length", "req-7", "fake")

    def test_carries_calls_as_the_server_wrote_them(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        function = {"name": "greet", "arguments": '{"name": "Bo'}
        message = {"content": None, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}
        server.script.append(completion(message, "tool_calls"))
        reply = backend.chat(WITH_TOOLS)
        assert reply.text == ""
        assert reply.calls == (RawCall("greet", '{"name": "Bo', "c1"),)


class TestErrors:
    @pytest.mark.parametrize(
        ("answer", "kind", "says"),
        [
            (refusal(401, "Incorrect API key"), AuthError, "OPENAI_API_KEY"),
            (refusal(403, "no access"), AuthError, "no access"),
            (refusal(402, "Payment required"), QuotaError, "waiting does not help"),
            (refusal(429, "You exceeded your current quota", code="insufficient_quota"), QuotaError, "quota"),
            (refusal(429, "Slow down", code="rate_limit_exceeded"), RateLimited, "Slow down"),
            (refusal(400, "too long", code="context_length_exceeded"), ContextOverflow, "larger context window"),
            (
                refusal(400, "request (6 tokens) exceeds", type="exceed_context_size_error", code=400, n_ctx=2),
                ContextOverflow,
                "6 tokens",
            ),
            (Answer(413, b"Payload Too Large"), ContextOverflow, "413"),
            (refusal(400, "flagged", code="content_filter"), ContentFiltered, "flagged"),
            (refusal(408, "slow"), BackendTimeout, "408"),
            (refusal(409, "conflict"), BackendError, "conflict"),
            (refusal(500, "oops"), ServerError, "oops"),
            (refusal(503, "Loading model"), ServerError, "Loading model"),
            (Answer(502, b"<html><title>Bad gateway</title></html>"), ServerError, "Bad gateway"),
            (Answer(500), ServerError, "(empty body)"),
            (as_json({"error": "a plain string"}, 400), BackendError, "a plain string"),
            (as_json({"detail": [{"msg": "bad body"}]}, 422), BackendError, "bad body"),
            (Answer(404, b"404 page not found"), BackendError, "/v1"),
            (as_json({"error": {"message": "upstream is busy", "code": 429}}), RateLimited, "upstream is busy"),
            (Answer(200), ServerError, "empty body"),
            (Answer(200, b"<!doctype html><p>Welcome"), BackendError, "web page"),
            (as_json({"choices": []}), ServerError, "usable choice"),
            (Answer(200, b'{"choices": [{"mess'), ServerError, "usable choice"),
            (completion({"content": "no"}, "content_filter"), ContentFiltered, "content filter"),
        ],
    )
    def test_are_typed_and_say_what_to_do(
        self, backend: OpenAIBackend, server: FakeOpenAI, answer: Answer, kind: type[BackendError], says: str
    ) -> None:
        error = failure(backend, server, answer)
        assert type(error) is kind
        assert says in str(error)
        assert server.base_url in str(error)
        assert len(server.bodies) == 1  # the SDK's own retries are off

    @pytest.mark.parametrize(
        ("answer", "retriable"),
        [
            (refusal(408, "x"), True),
            (refusal(409, "x"), True),
            (refusal(429, "x"), True),
            (refusal(500, "x"), True),
            (Answer(200), True),
            (Answer(200, b"<html>"), False),
            (refusal(400, "x"), False),
            (refusal(401, "x"), False),
            (refusal(404, "x"), False),
            (refusal(429, "x", code="insufficient_quota"), False),
        ],
    )
    def test_say_whether_trying_again_may_help(
        self, backend: OpenAIBackend, server: FakeOpenAI, answer: Answer, retriable: bool
    ) -> None:
        assert failure(backend, server, answer).retriable is retriable

    def test_carry_status_wait_and_request_id(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        answer = as_json({"error": {"message": "wait"}}, 429, Retry_After="7", x_request_id="req-1")
        error = failure(backend, server, answer)
        assert (error.status, error.retry_after, error.request_id) == (429, 7.0, "req-1")

    def test_unknown_model_names_the_served_ones(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.pages["/v1/models"] = as_json({"data": [{"id": "small"}, {"id": "large"}]})
        error = failure(backend, server, refusal(404, "model 'm' not found, try pulling it first"))
        assert isinstance(error, UnknownModel)
        assert "ollama pull" in str(error)
        assert str(error).endswith("it serves: small, large")

    def test_unknown_model_without_a_list_is_still_one(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        error = failure(backend, server, refusal(400, "nope", code="model_not_found"))
        assert isinstance(error, UnknownModel)
        assert "it serves" not in str(error)

    def test_a_failed_generation_is_a_malformed_reply_with_its_text(
        self, backend: OpenAIBackend, server: FakeOpenAI
    ) -> None:
        answer = refusal(400, "Failed to call a function", code="tool_use_failed", failed_generation="<greet>{")
        error = failure(backend, server, answer, WITH_TOOLS)
        assert isinstance(error, MalformedReply)
        assert error.text == "<greet>{"

    @pytest.mark.parametrize("answer", [Drop(), Answer(200, b'{"cho', announce=500)])
    def test_a_broken_connection_is_connection_failed(
        self, backend: OpenAIBackend, server: FakeOpenAI, answer: Answer | Drop
    ) -> None:
        server.script.append(answer)
        with pytest.raises(ConnectionFailed, match=server.base_url) as caught:
            backend.chat(HELLO)
        assert caught.value.retriable

    def test_a_refused_connection_asks_whether_the_server_runs(self, transport: Literal["sdk", "http"]) -> None:
        with FakeOpenAI() as server:
            url = server.base_url
        with pytest.raises(ConnectionFailed, match="is the server running") as caught:
            OpenAIBackend(model="m", base_url=url, transport=transport).chat(HELLO)
        assert url in str(caught.value)

    def test_no_answer_in_time_is_a_timeout(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.script.append(Hang())
        with pytest.raises(BackendTimeout, match=server.base_url) as caught:
            backend.chat(HELLO.replace(settings=Settings(timeout_s=0.05)))
        assert caught.value.retriable


class TestLearning:
    def test_the_reply_limit_is_renamed_once(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.script += [
            refusal(
                400,
                "Unsupported parameter: 'max_tokens' is not supported with this model."
                " Use 'max_completion_tokens' instead.",
                param="max_tokens",
                code="unsupported_parameter",
            ),
            FINE,
            FINE,
        ]
        limited = HELLO.replace(settings=Settings(max_tokens=5))
        backend.chat(limited)
        backend.chat(limited)
        limits = [{key: value for key, value in body.items() if "tokens" in key} for body in server.bodies]
        assert limits == [{"max_tokens": 5}, {"max_completion_tokens": 5}, {"max_completion_tokens": 5}]

    def test_a_refused_parameter_is_left_out_from_then_on(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.script += [
            refusal(400, "Unsupported value: 'temperature' does not support 0 with this model", param="temperature"),
            FINE,
            FINE,
        ]
        cold = HELLO.replace(settings=Settings(temperature=0.0))
        backend.chat(cold)
        backend.chat(cold)
        assert ["temperature" in body for body in server.bodies] == [True, False, False]

    @pytest.mark.parametrize(
        "message", ["This response_format type is unavailable now", "JSON schema error at #: unrecognized type"]
    )
    def test_a_refused_reply_schema_is_no_longer_offered(
        self, backend: OpenAIBackend, server: FakeOpenAI, message: str
    ) -> None:
        server.pages["/api/version"] = as_json({"version": "0.12.0"})
        assert backend.capabilities.reply_schema
        server.script += [refusal(400, message), FINE]
        backend.chat(HELLO.replace(settings=Settings(reply_schema={"type": "object"})))
        assert not backend.capabilities.reply_schema

    def test_an_invalid_value_is_not_unlearnt(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        answer = refusal(400, "max_tokens is too large: 99. This model supports at most 50", param="max_tokens")
        failure(backend, server, answer, HELLO.replace(settings=Settings(max_tokens=99)))
        assert len(server.bodies) == 1

    @pytest.mark.parametrize(
        "message",
        [
            'registry.ollama.ai/library/m does not support tools"',
            '"auto" tool choice requires --enable-auto-tool-choice and --tool-call-parser to be set',
            "No endpoints found that support tool use",
        ],
    )
    def test_a_model_without_tools_falls_back_to_text(
        self, backend: OpenAIBackend, server: FakeOpenAI, message: str
    ) -> None:
        assert backend.capabilities.native_tools
        error = failure(backend, server, refusal(400, message), WITH_TOOLS)
        assert isinstance(error, ToolsUnsupported)
        assert not backend.capabilities.native_tools


def llama_cpp(**props: Any) -> Answer:
    return as_json({"default_generation_settings": {"n_ctx": 2048}, **props})


class TestServerRecognition:
    @pytest.mark.parametrize(
        ("props", "native"),
        [
            ({"chat_template_caps": {"supports_tools": False}, "chat_template": "{{ tools }}"}, False),
            ({"chat_template_caps": {"supports_tools": True}, "chat_template": ""}, True),
            ({"chat_template": "{% for message in messages %}"}, False),
            ({"chat_template": "{% if tools %}"}, True),
            ({}, True),
        ],
    )
    def test_a_llama_cpp_template_without_tools_means_text_mode(
        self, backend: OpenAIBackend, server: FakeOpenAI, props: dict[str, Any], native: bool
    ) -> None:
        server.pages["/props"] = llama_cpp(**props)
        assert backend.capabilities.native_tools is native
        assert backend.capabilities.reply_schema
        assert backend.capabilities.context_window == 2048

    def test_tools_are_refused_before_such_a_server_can_drop_them(
        self, backend: OpenAIBackend, server: FakeOpenAI
    ) -> None:
        server.pages["/props"] = llama_cpp(chat_template="plain")
        with pytest.raises(ToolsUnsupported, match="text protocol"):
            backend.chat(WITH_TOOLS)
        assert server.bodies == []

    def test_an_unknown_server_is_asked_once_and_taken_at_its_word(
        self, backend: OpenAIBackend, server: FakeOpenAI
    ) -> None:
        server.script += [FINE, FINE]
        for _ in range(2):
            assert backend.capabilities.native_tools
            assert not backend.capabilities.reply_schema
            backend.chat(WITH_TOOLS)
        assert [seen.path for seen in server.seen if seen.method == "GET"] == ["/props", "/api/version"]

    def test_a_server_that_is_still_loading_is_asked_again(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.pages["/props"] = refusal(503, "Loading model")
        assert backend.capabilities.native_tools
        server.pages["/props"] = llama_cpp(chat_template="plain")
        assert not backend.capabilities.native_tools

    def test_a_server_that_is_gone_is_not_asked_for_ever(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.pages["/props"] = refusal(503, "Loading model")
        for _ in range(10):
            assert backend.capabilities.native_tools
        assert len(server.seen) == 3

    def test_a_server_that_is_not_there_is_no_error_yet(self, transport: Literal["sdk", "http"]) -> None:
        with FakeOpenAI() as server:
            url = server.base_url
        assert OpenAIBackend(model="m", base_url=url, transport=transport).capabilities.native_tools

    def test_openai_itself_is_not_asked(self) -> None:
        backend = OpenAIBackend(model="m", api_key="key", transport="http")
        assert backend.base_url == "https://api.openai.com/v1"
        assert backend.capabilities.native_tools
        assert backend.capabilities.reply_schema


class TestSilentTruncation:
    LONG = HELLO.replace(messages=(Message("user", "word " * 10_000),))

    def read(self, tokens: int) -> Answer:
        return completion({"content": "fine"}, usage={"prompt_tokens": tokens, "completion_tokens": 1})

    def test_far_fewer_tokens_than_sent_is_an_overflow(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        error = failure(backend, server, self.read(4096), self.LONG)
        assert isinstance(error, ContextOverflow)
        assert "OLLAMA_CONTEXT_LENGTH" in str(error)

    @pytest.mark.parametrize("tokens", [10_000, 5_001, 0])
    def test_a_plausible_or_missing_count_is_not(self, backend: OpenAIBackend, server: FakeOpenAI, tokens: int) -> None:
        server.script.append(self.read(tokens))
        assert backend.chat(self.LONG).text == "fine"

    def test_a_short_prompt_is_never_suspected(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        server.script.append(self.read(1))
        assert backend.chat(HELLO.replace(messages=(Message("user", "word " * 3_000),))).text == "fine"


class TestConstruction:
    @pytest.fixture(autouse=True)
    def clean_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_MODEL"):
            monkeypatch.delenv(name, raising=False)

    def test_from_env_without_anything_names_the_variables_and_ollama(self) -> None:
        with pytest.raises(AuthError, match=r"OPENAI_API_KEY.*OPENAI_BASE_URL.*11434/v1"):
            OpenAIBackend.from_env()

    def test_from_env_with_a_base_url_needs_no_key(
        self, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, transport: Literal["sdk", "http"]
    ) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        monkeypatch.setenv("OPENAI_MODEL", "tiny")
        server.script.append(FINE)
        OpenAIBackend.from_env(transport=transport).chat(HELLO)
        assert server.bodies[0]["model"] == "tiny"
        assert server.seen[-1].headers["authorization"] == "Bearer unused"

    def test_from_env_with_a_key_alone_is_openai(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "k")
        backend = OpenAIBackend.from_env(transport="http")
        assert (backend.model, backend.base_url) == ("gpt-4o-mini", "https://api.openai.com/v1")

    def test_from_env_with_a_base_url_needs_a_model(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")
        with pytest.raises(ValueError, match="OPENAI_MODEL is not set"):
            OpenAIBackend.from_env()

    def test_the_environment_s_key_is_not_sent_to_a_url_given_in_code(
        self, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, transport: Literal["sdk", "http"]
    ) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "secret")
        server.script.append(FINE)
        OpenAIBackend(model="m", base_url=server.base_url, transport=transport).chat(HELLO)
        assert "secret" not in str(server.seen)

    def test_openai_without_a_key_says_so(self) -> None:
        with pytest.raises(AuthError, match="set OPENAI_API_KEY"):
            OpenAIBackend(model="m")

    def test_a_key_no_header_can_carry_is_refused_without_showing_it(self) -> None:
        with pytest.raises(AuthError, match="OPENAI_API_KEY") as caught:
            OpenAIBackend(model="m", api_key="s3cret\nnext line")
        assert "s3cret" not in str(caught.value)

    def test_the_key_is_not_shown(self) -> None:
        assert "s3cret" not in repr(OpenAIBackend(model="m", api_key="s3cret", transport="http"))

    def test_a_missing_model_is_refused(self) -> None:
        with pytest.raises(TypeError, match="give the name of a model"):
            OpenAIBackend(model="", api_key="k")

    def test_an_unknown_transport_is_refused(self) -> None:
        with pytest.raises(ValueError, match="'sdk', 'http'"):
            OpenAIBackend(model="m", api_key="k", transport="carrier pigeon")  # type: ignore[arg-type]  # the point

    @pytest.mark.parametrize(("installed", "kind"), [(True, SdkTransport), (False, HttpTransport)])
    def test_the_sdk_is_used_where_it_is_installed(
        self, monkeypatch: pytest.MonkeyPatch, installed: bool, kind: type[object]
    ) -> None:
        if installed:
            pytest.importorskip("openai")
        else:
            monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
        assert type(OpenAIBackend(model="m", api_key="k")._transport) is kind

    def test_a_client_is_used_as_it_is(self, server: FakeOpenAI) -> None:
        openai = pytest.importorskip("openai")
        server.script += [refusal(500, "oops"), FINE]
        backend = OpenAIBackend(openai.OpenAI(base_url=server.base_url, api_key="mine", max_retries=5), model="m")
        assert backend.base_url == server.base_url
        with pytest.raises(ServerError):  # its retries are off
            backend.chat(HELLO)
        assert backend.chat(HELLO).text == "fine"
        assert server.seen[-1].headers["authorization"] == "Bearer mine"

    def test_an_async_client_serves_an_async_run_and_no_other(self, server: FakeOpenAI) -> None:
        openai = pytest.importorskip("openai")
        server.script.append(FINE)

        async def run() -> RunResult:
            async with openai.AsyncOpenAI(base_url=server.base_url, api_key="k") as client:
                backend = OpenAIBackend(client, model="m")
                assert adapt(backend) is backend
                with pytest.raises(TypeError, match="use async_composable_loop"):
                    composable_loop(llm=backend, task="x", tools=[])
                async with async_composable_loop(llm=backend, task="x", tools=[]) as run:
                    async for _ in run:
                        pass
                return run.result

        assert asyncio.run(run()).output == "fine"

    def test_a_plain_look_at_the_server_does_not_need_the_event_loop(self, server: FakeOpenAI) -> None:
        server.pages["/props"] = llama_cpp(chat_template="plain")
        with connected(OpenAIBackend, server, "async") as backend:
            assert not backend.capabilities.native_tools
        assert server.seen[0].headers["authorization"] == "Bearer key"

    def test_something_else_in_place_of_a_client_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"takes an openai\.OpenAI client, not str"):
            OpenAIBackend("gpt-4o", model="m")

    @pytest.mark.parametrize("sdk", [True, False])
    def test_a_hand_made_client_works(self, monkeypatch: pytest.MonkeyPatch, sdk: bool) -> None:
        if not sdk:
            monkeypatch.setitem(sys.modules, "openai", None)

        class Completions:
            def create(self, **request: Any) -> Any:
                return {"choices": [{"message": {"content": f"to {request['model']}"}}]}

        class Client:
            chat = type("Chat", (), {"completions": Completions()})()

        assert OpenAIBackend(Client(), model="m").chat(HELLO).text == "to m"
