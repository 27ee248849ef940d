"""Chunks of a streamed chat completion, put together. What servers leave out or repeat is tolerated."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.backends.openai_wire import joined_parts
from looplet.backends.thinking import ThinkingChunks

if TYPE_CHECKING:
    from looplet.backends.streaming import OnChunk


class CompletionAssembly:
    """Collects deltas into one completion, and shows text and thinking as they come."""

    def __init__(self, on_chunk: OnChunk) -> None:
        self._on_chunk = on_chunk
        self._chunks = ThinkingChunks(on_chunk)
        self._head: dict[str, Any] = {}  # id, model, usage
        self._text: list[str] = []
        self._reasoning: list[str] = []
        self._calls: list[_Call] = []
        self._finish = ""
        self._legacy: _Call | None = None
        self.begun = False

    @property
    def text(self) -> str:
        return "".join(self._text)

    @property
    def ended(self) -> bool:
        return bool(self._finish)

    def add(self, data: dict[str, Any]) -> None:
        for name in ("id", "model"):
            self._head[name] = self._head.get(name) or data.get(name)
        choices = data.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict):
            self.begun = True
            self._delta(choice.get("delta") or choice.get("message") or {})
            self._finish = choice.get("finish_reason") or self._finish
        # counts are totals so far, never to be added up; the last chunk often has no choice
        found = data.get("usage") or (choice.get("usage") if isinstance(choice, dict) else None)
        self._head["usage"] = found or self._head.get("usage")

    def response(self) -> dict[str, Any]:
        self._chunks.end()
        message: dict[str, Any] = {
            "content": self.text,
            "reasoning_content": "".join(self._reasoning),
            "tool_calls": [call.as_message() for call in self._calls],
        }
        if self._legacy:
            message["function_call"] = self._legacy.as_message()["function"]
        return self._head | {"choices": [{"message": message, "finish_reason": self._finish}]}

    def _delta(self, delta: dict[str, Any]) -> None:
        text, thought = joined_parts(delta.get("content") or delta.get("refusal") or "")
        thought = delta.get("reasoning_content") or delta.get("reasoning") or thought
        if isinstance(thought, str) and thought:
            self._reasoning.append(thought)
            self._on_chunk(thought, True)
        if text:
            self._text.append(text)
            self._chunks.add(text)
        for piece in delta.get("tool_calls") or ():
            if isinstance(piece, dict):
                self._call_for(piece).add(piece)
        if isinstance(delta.get("function_call"), dict):
            self._legacy = self._legacy or _Call()
            self._legacy.add({"function": delta["function_call"]})

    def _call_for(self, piece: dict[str, Any]) -> _Call:
        """The call a piece belongs to: by index and id; by the order of things where a server sends neither."""
        function = piece.get("function") or {}
        known = [call for call in self._calls if call.is_continued_by(piece)]
        if not known:
            known = [_Call(piece.get("index"))]
            self._calls += known
        elif piece.get("index") is None and not piece.get("id") and function.get("name") and known[-1].name:
            known = [_Call()]  # a further call, in one piece
            self._calls += known
        return known[-1]


class _Call:
    """One call, growing."""

    def __init__(self, index: object = None) -> None:
        self.index = index
        self.call_id: object = None
        self.name = ""
        self._arguments: str | dict[str, Any] = ""

    def is_continued_by(self, piece: dict[str, Any]) -> bool:
        """Same id, or no other one and the same index. Some servers send index 0 with every call, others none."""
        call_id, index = piece.get("id"), piece.get("index")
        if call_id and self.call_id:
            return bool(call_id == self.call_id)
        return index is None or self.index is None or index == self.index

    def add(self, piece: dict[str, Any]) -> None:
        self.call_id = self.call_id or piece.get("id")
        function = piece.get("function")
        if not isinstance(function, dict):
            return
        name, arguments = str(function.get("name") or ""), function.get("arguments")
        if name != self.name:  # some servers repeat it with every piece
            self.name += name
        if isinstance(arguments, dict):
            self._arguments = arguments
        elif isinstance(arguments, str) and isinstance(self._arguments, str):
            self._arguments += arguments

    def as_message(self) -> dict[str, Any]:
        function = {"name": self.name, "arguments": self._arguments}
        return {"id": self.call_id, "type": "function", "function": function}
