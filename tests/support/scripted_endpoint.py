"""A chat completions endpoint whose answer depends on nothing but the length of the conversation it is shown.

A script is a list of turns; a turn is a list of `[tool, arguments]` calls, or a text. The n-th reply of every
conversation is turn n, so any number of runs, one after the other or at once, gets the same answers.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from tests.support.fake_openai import FakeOpenAI, as_json, as_stream, completion

if TYPE_CHECKING:
    from tests.support.fake_openai import Answer, Reaction, Seen

MODEL = "scripted"


class ScriptedEndpoint(FakeOpenAI):
    """Also serves OpenAI's and Ollama's lists of models. `environment` points a reader's programs here."""

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[Any] = []
        self.pages = {
            "/v1/models": as_json({"object": "list", "data": [{"id": MODEL, "object": "model"}]}),
            "/api/tags": as_json({"models": [{"name": MODEL, "model": MODEL}]}),
        }
        self.address = self.base_url.removeprefix("http://").removesuffix("/v1")
        self.environment = {
            "OPENAI_BASE_URL": self.base_url,
            "OPENAI_API_KEY": "unused",
            "OPENAI_MODEL": MODEL,
            "OLLAMA_HOST": self.address,
        }

    def answer(self, request: Seen) -> Reaction:
        if request.method == "POST":
            turn = sum(message["role"] == "assistant" for message in request.body["messages"])
            replies = [_completion(self.turns[turn], turn)] if turn < len(self.turns) else []
            self.script = [as_stream(reply) if request.body.get("stream") else reply for reply in replies]
        return super().answer(request)


def _completion(turn: Any, number: int) -> Answer:
    if isinstance(turn, str):
        return completion({"content": turn})
    calls = [
        {
            "id": f"call_{number}_{position}",
            "type": "function",
            "function": {"name": tool, "arguments": json.dumps(arguments)},
        }
        for position, (tool, arguments) in enumerate(turn)
    ]
    return completion({"content": "", "tool_calls": calls}, "tool_calls")
