"""Streams of every server that misbehaves, through the SDK, its async client and the standard library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.clients import WAYS, connected
from tests.support.fake_openai import (
    Answer,
    Drop,
    FakeOpenAI,
    Hang,
    Stream,
    as_json,
    as_stream,
    chunk,
    completion,
    events,
)

from looplet.backends import OpenAIBackend
from looplet.errors import (
    AuthError,
    BackendError,
    BackendTimeout,
    ConnectionFailed,
    ContentFiltered,
    ContextOverflow,
    MalformedReply,
    RateLimited,
    ServerError,
)
from looplet.messages import Message, Prompt, RawCall, Settings
from looplet.types import Usage

if TYPE_CHECKING:
    from collections.abc import Iterator

HELLO = Prompt("Be brief.", (Message("user", "Hello"),))
LONG = HELLO.replace(messages=(Message("user", "word " * 2_000),))
USAGE = {"prompt_tokens": 9, "completion_tokens": 3}


class Heard(list[tuple[str, bool]]):
    """Every chunk, in order."""

    def __call__(self, text: str, reasoning: bool = False, /) -> None:
        self.append((text, reasoning))

    @property
    def text(self) -> str:
        return "".join(text for text, reasoning in self if not reasoning)

    @property
    def reasoning(self) -> str:
        return "".join(text for text, reasoning in self if reasoning)


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as fake:
        yield fake
        assert fake.faults == []


@pytest.fixture(params=WAYS)
def backend(request: pytest.FixtureRequest, server: FakeOpenAI) -> Iterator[OpenAIBackend]:
    with connected(OpenAIBackend, server, request.param) as made:
        yield made


@pytest.fixture
def heard() -> Heard:
    return Heard()


def failure(backend: OpenAIBackend, server: FakeOpenAI, answer: Any, prompt: Prompt = HELLO) -> BackendError:
    server.script.append(answer)
    with pytest.raises(BackendError) as caught:
        backend.stream(prompt, Heard())
    return caught.value


def test_text_comes_in_pieces_and_the_reply_is_whole(backend: OpenAIBackend, server: FakeOpenAI, heard: Heard) -> None:
    server.script.append(as_stream(completion({"content": "one two three"}, usage=USAGE)))
    reply = backend.stream(HELLO, heard)
    assert heard == [("one ", False), ("two ", False), ("three", False)]
    assert (reply.text, reply.usage, reply.finish_reason, reply.model) == ("one two three", Usage(9, 3), "stop", "fake")
    assert reply.request_id == "chatcmpl-1"
    assert server.bodies[0]["stream"] is True
    assert server.bodies[0]["stream_options"] == {"include_usage": True}


def test_a_plain_chat_does_not_stream(backend: OpenAIBackend, server: FakeOpenAI) -> None:
    server.script.append(completion({"content": "fine"}))
    backend.chat(HELLO)
    assert "stream" not in server.bodies[0]


def test_thinking_is_told_apart(backend: OpenAIBackend, server: FakeOpenAI, heard: Heard) -> None:
    deltas = [{"reasoning_content": "hm"}, {"reasoning": "m"}, {"content": "<thi"}, {"content": "nk>so</think>\n\nyes"}]
    server.script.append(Stream(events(*map(chunk, deltas), chunk({}, "stop"), "[DONE]")))
    reply = backend.stream(HELLO, heard)
    assert (reply.text, reply.reasoning) == ("yes", "hmm")
    assert heard == [("hm", True), ("m", True), ("so", True), ("yes", False)]


@pytest.mark.parametrize(
    "refusal", ["Unknown parameter: 'stream_options'", "body.stream_options: extra fields not permitted"]
)
def test_a_server_without_stream_options_is_asked_without(
    backend: OpenAIBackend, server: FakeOpenAI, heard: Heard, refusal: str
) -> None:
    fine = as_stream(completion({"content": "fine"}))
    server.script += [as_json({"error": {"message": refusal}}, 400), fine, fine]
    backend.stream(HELLO, heard)
    backend.stream(HELLO, heard)
    assert ["stream_options" in body for body in server.bodies] == [True, False, False]
    assert heard.text == "finefine"


def test_a_model_that_refuses_to_stream_answers_in_one_piece(
    backend: OpenAIBackend, server: FakeOpenAI, heard: Heard
) -> None:
    refusal = {"message": "Unsupported value: 'stream' does not support true with this model", "param": "stream"}
    server.script += [as_json({"error": refusal}, 400), completion({"content": "fine", "reasoning": "hm"})]
    assert backend.stream(HELLO, heard).text == "fine"
    assert heard == [("hm", True), ("fine", False)]
    assert "stream" not in server.bodies[1]


def test_a_server_that_ignores_the_wish_answers_in_one_piece(
    backend: OpenAIBackend, server: FakeOpenAI, heard: Heard
) -> None:
    server.script.append(completion({"content": "fine"}))
    assert backend.stream(HELLO, heard).text == "fine"
    assert heard == [("fine", False)]


class TestErrors:
    def test_of_a_status_are_those_of_a_plain_request(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        assert isinstance(failure(backend, server, as_json({"error": {"message": "no"}}, 401)), AuthError)
        error = failure(backend, server, as_json({"error": {"message": "wait"}}, 429, Retry_After="7"))
        assert isinstance(error, RateLimited)
        assert error.retry_after == 7.0

    @pytest.mark.parametrize(
        ("pieces", "kind", "says"),
        [
            (
                events({"error": {"message": "request exceeds the available context size", "code": 400}}),
                ContextOverflow,
                "larger context window",
            ),
            (
                (b'error: {"code":400,"message":"too long","type":"exceed_context_size_error"}\n\n',),
                ContextOverflow,
                "",
            ),
            ((b'event: error\ndata: {"code": 503, "message": "overloaded"}\n\n',), ServerError, "overloaded"),
            (events(chunk({"content": "so"}), {"error": {"message": "slow down", "code": 429}}), RateLimited, "slow"),
            (events({"error": "a plain string"}, "[DONE]"), ServerError, "a plain string"),
            (events(chunk({}, "content_filter"), "[DONE]"), ContentFiltered, "content filter"),
            (events("[DONE]"), ServerError, "empty body"),
            ((b": ping\n\n",), ServerError, "usable choice"),
            (events({"choices": [], "usage": USAGE}, "[DONE]"), ServerError, "empty body"),
        ],
    )
    def test_inside_a_stream_are_typed(
        self, backend: OpenAIBackend, server: FakeOpenAI, pieces: tuple[bytes, ...], kind: type[BackendError], says: str
    ) -> None:
        error = failure(backend, server, Stream(pieces))
        assert type(error) is kind
        assert says in str(error)
        assert server.base_url in str(error)

    @pytest.mark.parametrize("pieces", [(), events("[DONE]")])
    def test_nothing_at_all_is_an_overflow_when_the_prompt_is_long(
        self, backend: OpenAIBackend, server: FakeOpenAI, pieces: tuple[bytes, ...]
    ) -> None:
        error = failure(backend, server, Stream(pieces), LONG)
        assert isinstance(error, ContextOverflow)
        assert "sent an empty stream" in str(error)
        assert isinstance(failure(backend, server, Stream(pieces)), ServerError)

    @pytest.mark.parametrize(
        "last",
        [
            {"content": " two"},
            {"tool_calls": [{"index": 0, "id": "c", "function": {"name": "greet", "arguments": '{"name":"Bo"}'}}]},
        ],
    )
    @pytest.mark.parametrize("finish", [None, ""])
    def test_a_stream_that_just_stops_is_cut_off(
        self, backend: OpenAIBackend, server: FakeOpenAI, last: dict[str, Any], finish: str | None
    ) -> None:
        error = failure(backend, server, Stream(events(chunk({"content": "one"}), chunk(last, finish))))
        assert isinstance(error, MalformedReply)
        assert error.text == "one" + last.get("content", "")
        assert "stopped before the reply was complete; nothing in it was carried out" in str(error)

    def test_half_an_event_at_the_end_is_cut_off(self, backend: OpenAIBackend, server: FakeOpenAI) -> None:
        half = events(chunk({"content": "two"}, "stop"))[0][:-30]
        error = failure(backend, server, Stream((*events(chunk({"content": "one"})), half)))
        assert isinstance(error, MalformedReply)

    @pytest.mark.parametrize("broken", [Stream(events(chunk({"content": "one"})), cut=True), Drop()])
    def test_a_broken_connection_may_be_tried_again(
        self, backend: OpenAIBackend, server: FakeOpenAI, broken: Stream | Drop
    ) -> None:
        error = failure(backend, server, broken)
        assert isinstance(error, ConnectionFailed)
        assert error.retriable
        assert server.base_url in str(error)

    @pytest.mark.parametrize("silent", [Stream(events(chunk({"content": "one"})), linger=True), Hang()])
    def test_a_stream_that_does_not_go_on_is_a_timeout(
        self, backend: OpenAIBackend, server: FakeOpenAI, silent: Stream | Hang
    ) -> None:
        error = failure(backend, server, silent, HELLO.replace(settings=Settings(timeout_s=0.1)))
        assert isinstance(error, BackendTimeout)
        assert server.base_url in str(error)


@pytest.mark.parametrize("way", WAYS)
def test_the_deadline_is_for_the_whole_stream(server: FakeOpenAI, way: str) -> None:
    """Every byte comes well within the time a socket waits."""
    body = b"".join(events(*[chunk({"content": "x"})] * 50))
    server.script.append(Answer(200, body, {"Content-Type": "text/event-stream"}, trickle_s=0.01))
    with connected(OpenAIBackend, server, way, timeout_s=0.2) as backend, pytest.raises(BackendTimeout):
        backend.stream(HELLO, Heard())


@pytest.mark.parametrize("odd", ["cut", "linger"])
def test_what_breaks_after_the_end_does_not_matter(
    backend: OpenAIBackend, server: FakeOpenAI, heard: Heard, odd: str
) -> None:
    whole = as_stream(completion({"content": "fine"}))
    server.script.append(whole.replace(**{odd: True}))
    assert backend.stream(HELLO.replace(settings=Settings(timeout_s=1)), heard).text == "fine"


def test_an_end_without_done_is_enough(backend: OpenAIBackend, server: FakeOpenAI, heard: Heard) -> None:
    server.script.append(Stream(events(chunk({"content": "fine"}), chunk({}, "stop"))))
    assert backend.stream(HELLO, heard).text == "fine"


def test_done_without_a_finish_reason_is_enough(backend: OpenAIBackend, server: FakeOpenAI, heard: Heard) -> None:
    server.script.append(Stream(events(chunk({"content": "fine"}, ""), "[DONE]")))
    assert backend.stream(HELLO, heard).finish_reason == "stop"


def test_a_reply_cut_at_the_limit_says_length(backend: OpenAIBackend, server: FakeOpenAI, heard: Heard) -> None:
    server.script.append(as_stream(completion({"content": "fi"}, "length")))
    assert backend.stream(HELLO, heard).finish_reason == "length"


def test_calls_arrive_whole_and_are_not_shown(backend: OpenAIBackend, server: FakeOpenAI, heard: Heard) -> None:
    calls = [
        {"id": f"c{number}", "type": "function", "function": {"name": "greet", "arguments": f'{{"n": {number}}}'}}
        for number in range(2)
    ]
    server.script.append(as_stream(completion({"content": "", "tool_calls": calls}, "tool_calls")))
    reply = backend.stream(HELLO, heard)
    assert reply.calls == (RawCall("greet", '{"n": 0}', "c0"), RawCall("greet", '{"n": 1}', "c1"))
    assert heard == []


def test_the_connection_is_used_again(backend: OpenAIBackend, server: FakeOpenAI, heard: Heard) -> None:
    server.script += [as_stream(completion({"content": "fine"}))] * 3
    for _ in range(3):
        backend.stream(HELLO, heard)
    posts = [request.connection for request in server.seen if request.method == "POST"]
    assert len(set(posts)) == 1


def test_what_a_watcher_raises_is_its_own(backend: OpenAIBackend, server: FakeOpenAI) -> None:
    class Oops(Exception):
        pass

    def broken(_text: str, _reasoning: bool = False, /) -> None:
        raise Oops

    server.script += [as_stream(completion({"content": "one two"})), as_stream(completion({"content": "fine"}))]
    with pytest.raises(Oops):
        backend.stream(HELLO, broken)
    assert backend.stream(HELLO, Heard()).text == "fine"
