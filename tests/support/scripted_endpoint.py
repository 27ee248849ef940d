"""A chat completions endpoint whose answer depends on nothing but the length of the conversation it is shown.

A script is a list of turns; a turn is a list of `[tool, arguments]` calls, or a text. The n-th reply of every
conversation is turn n, so any number of runs, one after the other or at once, gets the same answers.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from looplet.backends.request_check import problems

if TYPE_CHECKING:
    from types import TracebackType

MODEL = "scripted"


class ScriptedEndpoint:
    """Serves OpenAI's chat completions and model list, and Ollama's list of models, on loopback."""

    def __init__(self) -> None:
        self.script: list[Any] = []
        self.requests: list[dict[str, Any]] = []
        endpoint = self

        class Handler(_Handler):
            served_by = endpoint

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"127.0.0.1:{self._server.server_port}"
        self.environment = {
            "OPENAI_BASE_URL": f"http://{self.address}/v1",
            "OPENAI_API_KEY": "unused",
            "OPENAI_MODEL": MODEL,
            "OLLAMA_HOST": self.address,
        }

    def answer(self, request: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append(request)
        messages = request["messages"]
        if found := problems(messages):
            return 400, {"error": {"message": "; ".join(found)}}
        turn = sum(message["role"] == "assistant" for message in messages)
        if turn >= len(self.script):
            return 400, {"error": {"message": f"the script has {len(self.script)} turns, this is turn {turn + 1}"}}
        message = _message(self.script[turn], turn)
        choice = {"index": 0, "message": message, "finish_reason": "tool_calls" if message["tool_calls"] else "stop"}
        usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return 200, {"id": "r", "object": "chat.completion", "model": MODEL, "choices": [choice], "usage": usage}

    def __enter__(self) -> ScriptedEndpoint:
        threading.Thread(target=self._server.serve_forever, args=[0.01], daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    served_by: ScriptedEndpoint
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # headers and body are two writes: without it each answer waits 40 ms

    def do_GET(self) -> None:
        lists: dict[str, dict[str, Any]] = {
            "/v1/models": {"object": "list", "data": [{"id": MODEL, "object": "model"}]},
            "/api/tags": {"models": [{"name": MODEL, "model": MODEL}]},
        }
        known = lists.get(self.path)
        self._send(200 if known else 404, known or {"error": {"message": f"no {self.path}"}})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self._send(*self.served_by.answer(body))

    def _send(self, status: int, data: dict[str, Any]) -> None:
        body = json.dumps(data).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class's name
        """Keep the test output clean."""


def _message(turn: Any, number: int) -> dict[str, Any]:
    if isinstance(turn, str):
        return {"role": "assistant", "content": turn, "tool_calls": []}
    calls = [
        {
            "id": f"call_{number}_{position}",
            "type": "function",
            "function": {"name": tool, "arguments": json.dumps(arguments)},
        }
        for position, (tool, arguments) in enumerate(turn)
    ]
    return {"role": "assistant", "content": "", "tool_calls": calls}
