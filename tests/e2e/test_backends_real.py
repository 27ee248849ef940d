"""Every transport against a real llama.cpp server with a 135M model: structure is asserted, never wisdom."""

from __future__ import annotations

import asyncio
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from tests.support.clients import WAYS, connected

from looplet import LoopConfig, async_composable_loop, composable_loop, tool
from looplet.backends import OpenAIBackend
from looplet.backends.ollama import served_models
from looplet.errors import BackendError, BackendTimeout, ContextOverflow, ToolsUnsupported
from looplet.events import ModelChunk
from looplet.messages import Message, Prompt, Settings, ToolSchema
from looplet.types import ToolCall

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet import RunResult
    from looplet.backends.local import LocalServer

pytestmark = pytest.mark.e2e

HELLO = Prompt("Be brief.", (Message("user", "Greet Bob."),), settings=Settings(max_tokens=8))
GREET = ToolSchema("greet", "Greet someone.", {"type": "object", "properties": {"name": {"type": "string"}}})
CALL = {
    "type": "object",
    "properties": {
        "tool": {"const": "greet"},
        "args": {"type": "object", "properties": {"name": {"type": "string", "maxLength": 10}}, "required": ["name"]},
    },
    "required": ["tool", "args"],
}


@pytest.fixture(params=WAYS)
def backend(request: pytest.FixtureRequest, local_server: LocalServer) -> Iterator[OpenAIBackend]:
    options = {"model": local_server.model, "max_tokens": 150, "temperature": 0.0}
    with connected(OpenAIBackend, local_server, request.param, **options) as made:
        yield made


def test_a_reply_has_text_usage_and_a_finish_reason(backend: OpenAIBackend, local_server: LocalServer) -> None:
    reply = backend.chat(HELLO)
    assert reply.text
    assert reply.usage is not None
    assert reply.usage.input_tokens > 5
    assert 0 < reply.usage.output_tokens <= 8
    assert reply.finish_reason in ("stop", "length")
    assert reply.model == local_server.model
    assert reply.request_id


def test_a_stream_is_the_same_reply_in_pieces(backend: OpenAIBackend) -> None:
    plain = backend.chat(HELLO)
    heard: list[str] = []
    streamed = backend.stream(HELLO, lambda text, _reasoning=False: heard.append(text))
    assert "".join(heard) == streamed.text
    assert len(heard) > 1
    assert streamed.usage is not None
    assert plain.usage is not None
    assert streamed.usage.replace(cached_tokens=0) == plain.usage.replace(cached_tokens=0)
    assert (streamed.finish_reason, streamed.model) == (plain.finish_reason, plain.model)
    assert streamed.request_id


def test_a_stream_beyond_the_window_is_context_overflow(backend: OpenAIBackend) -> None:
    with pytest.raises(ContextOverflow):
        backend.stream(HELLO.replace(messages=(Message("user", "word " * 4000),)), lambda _text, _reasoning=False: None)


def test_a_deadline_ends_a_long_stream(backend: OpenAIBackend) -> None:
    endless = Settings(max_tokens=1500, timeout_s=0.3, extra={"ignore_eos": True})
    with pytest.raises(BackendTimeout):
        backend.stream(HELLO.replace(settings=endless), lambda _text, _reasoning=False: None)


def test_a_template_without_tools_is_noticed_before_the_first_request(backend: OpenAIBackend) -> None:
    assert not backend.capabilities.native_tools
    assert backend.capabilities.reply_schema
    assert backend.capabilities.context_window == 2048
    with pytest.raises(ToolsUnsupported):
        backend.chat(HELLO.replace(tools=(GREET,)))


def test_a_reply_schema_gives_a_parsable_call(backend: OpenAIBackend) -> None:
    reply = backend.chat(HELLO.replace(settings=Settings(max_tokens=150, reply_schema=CALL)))
    call = json.loads(reply.text)
    assert call["tool"] == "greet"
    assert isinstance(call["args"]["name"], str)


def test_a_schema_the_server_cannot_compile_is_left_out(backend: OpenAIBackend) -> None:
    reply = backend.chat(HELLO.replace(settings=Settings(max_tokens=8, reply_schema={"type": "nonsense"})))
    assert reply.text
    assert not backend.capabilities.reply_schema


def test_a_prompt_beyond_the_window_is_context_overflow(backend: OpenAIBackend) -> None:
    with pytest.raises(ContextOverflow) as caught:
        backend.chat(HELLO.replace(messages=(Message("user", "word " * 4000),)))
    assert caught.value.status == 400


def test_a_history_with_calls_results_and_odd_characters_is_accepted(backend: OpenAIBackend) -> None:
    turn = (
        Message("assistant", "", (ToolCall("greet", {"name": "Zoë \udc80", "x": float("nan")}, call_id="c1"),)),
        Message("tool", "lone \ud800 half, \x00 and \x1b", call_id="c1"),
    )
    assert backend.chat(HELLO.replace(messages=HELLO.messages + turn)).usage is not None


def test_a_deadline_ends_a_long_reply(backend: OpenAIBackend) -> None:
    endless = Settings(max_tokens=1500, timeout_s=0.2, extra={"ignore_eos": True})
    with pytest.raises(BackendTimeout):
        backend.chat(HELLO.replace(settings=endless))


def test_a_wrong_path_says_so(local_server: LocalServer) -> None:
    wrong = OpenAIBackend(model="m", base_url=local_server.base_url.replace("/v1", "/v9"))
    with pytest.raises(BackendError, match="does the base URL end in /v1"):
        wrong.chat(HELLO)


def test_any_model_name_is_answered_by_the_model_that_is_loaded(local_server: LocalServer) -> None:
    assert OpenAIBackend(model="nobody", base_url=local_server.base_url).chat(HELLO).model == local_server.model
    assert served_models(local_server.base_url) == [local_server.model]


@pytest.mark.parametrize("way", ["sdk", "http"])
def test_threads_share_a_backend(local_server: LocalServer, way: str) -> None:
    with connected(OpenAIBackend, local_server, way, max_tokens=150) as backend, ThreadPoolExecutor(4) as pool:
        replies = list(pool.map(lambda _: backend.chat(HELLO), range(8)))
    assert all(reply.text for reply in replies)


class Chunks:
    """Counts what is shown while it is generated."""

    def __init__(self) -> None:
        self.text = ""

    def on_event(self, event: object) -> None:
        if isinstance(event, ModelChunk):
            self.text += event.text


@tool
def greet(name: str) -> str:
    """Greet someone."""
    return f"Hello, {name}!"


STREAMED = LoopConfig(stream=True, max_steps=2, max_tokens=150)
ENDS = ("done", "max_steps", "parse_error")


@pytest.mark.parametrize("way", ["sdk", "http"])
def test_a_run_streams(local_server: LocalServer, way: str) -> None:
    chunks = Chunks()
    with connected(OpenAIBackend, local_server, way, temperature=0.0) as backend:
        run = composable_loop(llm=backend, task="Greet Bob.", tools=[greet], hooks=[chunks], config=STREAMED)
        steps = list(run)
    assert run.result.stop_reason in ENDS
    assert run.result.usage.output_tokens > 0
    assert all(step.tool_call.tool in chunks.text for step in steps)


def test_an_async_run_streams(local_server: LocalServer) -> None:
    openai = pytest.importorskip("openai")
    chunks = Chunks()

    async def go() -> RunResult:
        async with openai.AsyncOpenAI(base_url=local_server.base_url, api_key="unused") as client:
            backend = OpenAIBackend(client, model=local_server.model, temperature=0.0)
            async with async_composable_loop(
                llm=backend, task="Greet Bob.", tools=[greet], hooks=[chunks], config=STREAMED
            ) as run:
                async for step in run:
                    assert step.tool_call.tool in chunks.text
            return run.result

    result = asyncio.run(go())
    assert result.stop_reason in ENDS
    assert result.usage.output_tokens > 0
    assert chunks.text
