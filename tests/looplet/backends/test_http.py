from __future__ import annotations

import gc
import socket
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection, RemoteDisconnected
from typing import TYPE_CHECKING

import pytest
from tests.support.fake_openai import Answer, Drop, FakeOpenAI, Hang, Stream

from looplet.backends.http import HttpClient
from looplet.errors import BackendTimeout, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Iterator

BODY = (b'{"messages": [{"role": "user", ', b'"content": "hi"}]}')


@pytest.fixture
def server() -> Iterator[FakeOpenAI]:
    with FakeOpenAI() as fake:
        yield fake
        assert fake.faults == []


@pytest.fixture
def client(server: FakeOpenAI) -> Iterator[HttpClient]:
    made = HttpClient(server.base_url, {"Authorization": "Bearer k"})
    yield made
    made.close()


def post(client: HttpClient, timeout_s: float = 5) -> bytes:
    return client.request("POST", "/x", BODY, timeout_s=timeout_s).body


def test_pieces_arrive_as_one_body_with_headers(client: HttpClient, server: FakeOpenAI) -> None:
    server.script.append(Answer(201, b"ok", {"X-Thing": "1"}))
    answer = client.request("POST", "/x", BODY, timeout_s=5)
    assert (answer.status, answer.headers["x-thing"], answer.body) == (201, "1", b"ok")
    assert server.seen[0].path == "/v1/x"
    assert server.seen[0].body == {"messages": [{"role": "user", "content": "hi"}]}
    assert server.seen[0].headers["authorization"] == "Bearer k"


def test_a_connection_is_used_again(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Answer(200, b"a"), Answer(500, b""), Answer(200, b"c")]
    assert [post(client) for _ in range(3)] == [b"a", b"", b"c"]
    assert [seen.connection for seen in server.seen] == [1, 1, 1]


def test_a_connection_the_server_ends_is_not(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Answer(200, b"a", {"Connection": "close"}), Answer(200, b"b")]
    assert [post(client), post(client)] == [b"a", b"b"]
    assert [seen.connection for seen in server.seen] == [1, 2]


def test_a_connection_gone_stale_is_replaced_without_notice(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Answer(200, b"a", close=True), Answer(200, b"b")]
    assert [post(client), post(client)] == [b"a", b"b"]
    assert len(server.seen) == 2


@pytest.mark.parametrize(
    "gone", [RemoteDisconnected("no byte"), ConnectionResetError("reset"), BrokenPipeError("pipe")]
)
def test_however_a_stale_connection_shows_it_is_replaced(
    client: HttpClient, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch, gone: Exception
) -> None:
    """Which of the three it is depends on when the server's goodbye arrives."""
    server.script += [Answer(200, b"a"), Answer(200, b"b")]
    assert post(client) == b"a"

    def fail(*about: object) -> None:
        monkeypatch.undo()
        raise gone

    monkeypatch.setattr("http.client.HTTPConnection.getresponse", fail)
    server.script.insert(0, Answer(200, b"lost"))  # what the stale connection's request would have been answered
    assert post(client) in (b"lost", b"b")


def test_an_answer_that_breaks_off_on_a_used_connection_is_not_asked_for_again(
    client: HttpClient, server: FakeOpenAI
) -> None:
    server.script += [Answer(200, b"a"), Answer(200, b"b", announce=50, close=True), Answer(200, b"c")]
    assert post(client) == b"a"
    with pytest.raises(ConnectionFailed, match="broke off"):
        post(client)
    assert len(server.seen) == 2


def test_a_fresh_connection_that_is_dropped_is_a_failure(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Drop()]
    with pytest.raises(ConnectionFailed, match="no connection to"):
        post(client)
    assert len(server.seen) == 1


def test_a_reply_that_broke_off_is_not_asked_for_again(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Answer(200, b"a"), Answer(200, b"half", announce=100)]
    post(client)
    with pytest.raises(ConnectionFailed, match="broke off 96 bytes before its end"):
        post(client)
    assert len(server.seen) == 2


def test_the_deadline_covers_the_whole_request(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Hang(), Answer(200, b"later")]
    with pytest.raises(BackendTimeout, match=r"did not answer within 0\.05 s"):
        post(client, timeout_s=0.05)
    assert post(client) == b"later"


def test_bytes_that_trickle_in_do_not_extend_the_deadline(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Answer(200, b"x" * 200, trickle_s=0.02)]
    with pytest.raises(BackendTimeout):
        post(client, timeout_s=0.2)


def test_no_time_at_all_is_a_timeout(client: HttpClient) -> None:
    with pytest.raises(BackendTimeout):
        post(client, timeout_s=0)


def test_no_connection_in_time_is_a_timeout_of_its_own(client: HttpClient, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(_connection: HTTPConnection) -> None:
        raise TimeoutError

    monkeypatch.setattr(HTTPConnection, "connect", never)
    with pytest.raises(BackendTimeout, match=r"no connection to .* within 5 s"):
        post(client)


def test_a_response_that_is_no_http_is_a_connection_failure(client: HttpClient, server: FakeOpenAI) -> None:
    server.script.append(Answer(200, b"", {"X-Long": "x" * 70_000}))
    with pytest.raises(ConnectionFailed, match="unreadable response"):
        post(client)


def test_a_watcher_sees_a_body_as_it_comes(client: HttpClient, server: FakeOpenAI) -> None:
    seen: list[bytes] = []

    def watch(part: bytes) -> bool:
        seen.append(part)
        return False

    server.script += [Stream((b"one", b"two")), Answer(500, b"no")]
    for _ in range(2):
        answer = client.request("POST", "/x", BODY, timeout_s=5, on_data=watch)
    assert b"".join(seen) == b"onetwo", "an error is no part of a stream"
    assert (answer.status, answer.body) == (500, b"no")
    assert server.connections == 1


def test_little_time_is_spent_on_what_follows_a_complete_reply(
    client: HttpClient, server: FakeOpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    waits: list[float | None] = []

    class Socket(socket.socket):
        def settimeout(self, value: float | None) -> None:
            waits.append(value)
            super().settimeout(value)

    monkeypatch.setattr("socket.socket", Socket)
    server.script.append(Stream((b"all",), linger=True))
    answer = client.request("POST", "/x", BODY, timeout_s=100, on_data=lambda part: True)
    assert answer.body == b"all"
    assert waits[-1] == 0.5


def test_https_to_a_server_without_it_is_a_connection_failure(server: FakeOpenAI) -> None:
    with pytest.raises(ConnectionFailed, match="SSL"):
        post(HttpClient(server.base_url.replace("http:", "https:")))


def test_threads_share_the_client(client: HttpClient, server: FakeOpenAI) -> None:
    server.script += [Answer(200, str(number).encode()) for number in range(60)]
    with ThreadPoolExecutor(6) as pool:
        bodies = list(pool.map(lambda _: post(client), range(60)))
    assert sorted(map(int, bodies)) == list(range(60))
    assert server.connections <= 6


def test_a_forgotten_client_closes_its_connections(server: FakeOpenAI) -> None:
    server.script.append(Answer(200, b"a"))
    client = HttpClient(server.base_url)
    post(client)
    del client
    gc.collect()  # an open socket would be a ResourceWarning, and so an error


@pytest.mark.parametrize("url", ["localhost:8080", "ftp://host", "", "http://"])
def test_a_base_url_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="give a URL such as"):
        HttpClient(url)
