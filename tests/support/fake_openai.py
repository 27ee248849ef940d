"""A scripted chat completions server on loopback that misbehaves on demand and checks every request it is sent."""

from __future__ import annotations

import json
import re
import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.backends.request_check import problems

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self


class Answer(Record):
    """One response. `announce` claims more bytes than `body` has; `close` hangs up afterwards without saying so.

    `trickle_s` is the pause before each byte of the body.
    """

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = {}
    announce: int = 0
    close: bool = False
    trickle_s: float = 0.0


class Stream(Record):
    """A response in chunks, each sent by itself. `cut` hangs up without ending it; `linger` ends it only at the end of
    the test.
    """

    pieces: tuple[bytes, ...]
    cut: bool = False
    linger: bool = False
    headers: dict[str, str] = {"Content-Type": "text/event-stream"}


class Drop(Record):
    """Hang up without a byte."""


class Hang(Record):
    """Answer nothing until the server is closed."""


Reaction = Answer | Stream | Drop | Hang


class Seen(Record):
    """One request as it arrived; `connection` numbers the TCP connections."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any
    connection: int


def completion(message: dict[str, Any], finish: str | None = "stop", **more: Any) -> Answer:
    """A chat completion with one choice; `more` are further top-level fields."""
    choice = {"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}
    body = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "model": "fake",
        "choices": [choice],
        "usage": {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12},
    }
    return as_json(body | more)


def as_json(body: Any, status: int = 200, **headers: str) -> Answer:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, json.dumps(body).encode(), {"Content-Type": "application/json", **named})


def events(*chunks: dict[str, Any] | str) -> tuple[bytes, ...]:
    """Server-sent events, one piece each."""
    texts = (chunk if isinstance(chunk, str) else json.dumps(chunk, ensure_ascii=False) for chunk in chunks)
    return tuple(f"data: {text}\n\n".encode() for text in texts)


def chunk(delta: dict[str, Any], finish: str | None = None, **more: Any) -> dict[str, Any]:
    """One chunk of a streamed completion; `more` are further top-level fields."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "fake", "choices": [choice]} | more


def as_stream(answer: Answer) -> Stream:
    """A completion as a server streams it: the text word by word, arguments in halves, usage in a chunk of its own."""
    body = json.loads(answer.body)
    [choice] = body["choices"]
    message = choice["message"]
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in re.findall(r"\s*\S+\s*", message.get("content") or "")]
    for index, call in enumerate(message.get("tool_calls") or ()):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        half = len(arguments) // 2
        first = {**call, "index": index, "function": {"name": name, "arguments": arguments[:half]}}
        deltas.append({"tool_calls": [first]})
        deltas.append({"tool_calls": [{"index": index, "function": {"arguments": arguments[half:]}}]})
    last = {**chunk({}), "choices": [], "usage": body.get("usage")}
    return Stream(events(*map(chunk, deltas), chunk({}, choice["finish_reason"]), last, "[DONE]"))


class FakeOpenAI:
    """Answers POST requests from `script` and GET requests from `pages`; `faults` must stay empty."""

    def __init__(self, *script: Reaction) -> None:
        self.script: list[Reaction] = list(script)
        self.pages: dict[str, Answer] = {}
        self.seen: list[Seen] = []
        self.faults: list[str] = []
        self.closing = threading.Event()
        self.connections = 0
        self._server = _Server(self)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.005,), daemon=True)
        self._thread.start()

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}/v1"

    @property
    def bodies(self) -> list[Any]:
        """The JSON bodies of the chat requests so far."""
        return [request.body for request in self.seen if request.method == "POST"]

    def answer(self, request: Seen) -> Reaction:
        self.seen.append(request)
        if request.method == "GET":
            return self.pages.get(request.path, as_json({"error": {"message": "File Not Found", "code": 404}}, 404))
        self.faults += self.check(request)
        if not self.script:
            self.faults.append(f"no answer is left for request {len(self.bodies)}")
            return as_json({"error": {"message": "the script ran dry"}}, 500)
        return self.script.pop(0)

    def check(self, request: Seen) -> list[str]:
        """What is wrong with a POST request."""
        return problems(request.body["messages"])

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a client may keep its connection alive

    def __init__(self, fake: FakeOpenAI) -> None:
        self.fake = fake
        super().__init__(("127.0.0.1", 0), _Handler)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # keep-alive
    disable_nagle_algorithm = True  # else every answer waits 40 ms for the acknowledgement of its headers
    server: _Server

    def setup(self) -> None:
        super().setup()
        self.server.fake.connections += 1
        self._number = self.server.fake.connections

    def do_GET(self) -> None:
        self._serve(None)

    def do_POST(self) -> None:
        self._serve(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _serve(self, body: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        answer = self.server.fake.answer(Seen(self.command, self.path, headers, body, self._number))
        if isinstance(answer, Answer):
            self._send(answer)
        elif isinstance(answer, Stream):
            self._stream(answer)
        elif isinstance(answer, Hang):
            self.server.fake.closing.wait()
            self._hang_up()
        else:
            self._hang_up()

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in {**answer.headers, "Content-Length": str(answer.announce or len(answer.body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self._write(answer)
        if answer.close or answer.announce:
            self._hang_up()

    def _stream(self, answer: Stream) -> None:
        self.send_response(200)
        for name, value in {**answer.headers, "Transfer-Encoding": "chunked"}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(ConnectionError):  # the client has had enough
            for piece in answer.pieces:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
            if answer.linger:
                self.server.fake.closing.wait()
            if answer.cut or answer.linger:
                self._hang_up()
            else:
                self.wfile.write(b"0\r\n\r\n")

    def _write(self, answer: Answer) -> None:
        if not answer.trickle_s:
            self.wfile.write(answer.body)
            return
        for byte in answer.body:
            if self.server.fake.closing.wait(answer.trickle_s):
                return
            with suppress(ConnectionError):  # the client has given up
                self.wfile.write(bytes([byte]))

    def _hang_up(self) -> None:
        self.wfile.flush()
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the base class names it so
        """Stay quiet."""
