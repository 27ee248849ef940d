"""Events of a streamed message, put together."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.backends.provider_errors import parse_json

if TYPE_CHECKING:
    from looplet.backends.streaming import OnChunk


class MessageAssembly:
    """Collects content blocks into one message, and shows text and thinking as they come."""

    def __init__(self, on_chunk: OnChunk) -> None:
        self._on_chunk = on_chunk
        self._message: dict[str, Any] = {}
        self._blocks: dict[object, dict[str, Any]] = {}  # by index
        self._inputs: dict[object, str] = {}  # arguments of calls, still text
        self.begun = False
        self.ended = False

    @property
    def text(self) -> str:
        return "".join(str(block["text"]) for block in self._blocks.values() if block.get("type") == "text")

    def add(self, data: dict[str, Any]) -> None:
        kind, index = data.get("type"), data.get("index")
        if kind == "message_start":
            self._message = dict(_part(data, "message"))
            self.begun = True
        elif kind == "content_block_start":
            self._begin(index, dict(_part(data, "content_block")))
        elif kind == "content_block_delta":
            self._delta(index, _part(data, "delta"))
        elif kind == "message_delta":
            # counts are totals so far; those of the input often come with the first event only
            usage = {name: count for name, count in _part(data, "usage").items() if count is not None}
            self._message |= _part(data, "delta") | {"usage": _part(self._message, "usage") | usage}
        self.ended = self.ended or kind == "message_stop"

    def response(self) -> dict[str, Any]:
        for index, text in self._inputs.items():
            if text:
                whole = parse_json(text.encode())
                self._blocks[index]["input"] = whole if isinstance(whole, dict) else text
        return self._message | {"content": [self._blocks[index] for index in sorted(self._blocks, key=_order)]}

    def _begin(self, index: object, block: dict[str, Any]) -> None:
        self._blocks[index] = block
        for name in ("text", "thinking"):
            if block.get("type") == name:
                shown = str(block.get(name) or "")
                block[name] = ""
                self._show(block, name, shown)

    def _delta(self, index: object, delta: dict[str, Any]) -> None:
        block = self._blocks.get(index)
        if block is None:  # a server that does not announce its blocks
            kind = "thinking" if "thinking" in delta else "text"
            block = self._blocks[index] = {"type": kind, kind: ""}
        if isinstance(piece := delta.get("partial_json"), str):
            self._inputs[index] = self._inputs.get(index, "") + piece
        for name in ("text", "thinking"):
            if isinstance(piece := delta.get(name), str) and name in block:
                self._show(block, name, piece)

    def _show(self, block: dict[str, Any], name: str, piece: str) -> None:
        block[name] += piece
        if piece:
            self._on_chunk(piece, name == "thinking")


def _part(data: dict[str, Any], name: str) -> dict[str, Any]:
    found = data.get(name)
    return found if isinstance(found, dict) else {}


def _order(index: object) -> int:
    return index if isinstance(index, int) else 0
