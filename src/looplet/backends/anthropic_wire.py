"""`Prompt` to a Messages API request, and response to `Reply`: no I/O, so every transport shares every line."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any
from zlib import crc32

from looplet._core.to_text import encodable
from looplet.backends.openai_wire import call_arguments
from looplet.messages import RawCall, Reply, map_strings
from looplet.types import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from looplet.messages import Message, Prompt

_CUT = {"max_tokens", "model_context_window_exceeded"}  # what other providers call "length"
_EMPTY = "(empty)"  # the API refuses blank text
_UNSAFE_ID = re.compile(r"[^A-Za-z0-9_-]")
_MARK = {"cache_control": {"type": "ephemeral"}}


def anthropic_request(prompt: Prompt, *, cache: bool = True) -> dict[str, Any]:
    """The parts of a request that hold the conversation: `system`, `tools` and `messages`.

    With `cache`, markers stand where the prefix of the next request may end: after the tools, the system prompt, the
    newest results, and the last message. Four are allowed.
    """
    request: dict[str, Any] = {"messages": _turns(prompt.messages)}
    if prompt.system.strip():
        request["system"] = [_text(prompt.system)]
    if prompt.tools:
        request["tools"] = [
            {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
            for tool in prompt.tools
        ]
    elif names := _called(prompt.messages):  # calls in the history want their tools defined
        request["tools"] = [
            {"name": name, "description": "No longer available.", "input_schema": {"type": "object"}} for name in names
        ]
        request["tool_choice"] = {"type": "none"}
    if cache:
        _mark(request)
    return request


def read_message(response: dict[str, Any], request_id: str = "") -> Reply:
    """Read a response whose `content` is a list of blocks."""
    blocks = [block for block in response["content"] if isinstance(block, dict)]
    stop = str(response.get("stop_reason") or "end_turn")
    return Reply(
        text=_joined(blocks, "text"),
        calls=tuple(_raw_call(block) for block in blocks if block.get("type") == "tool_use"),
        usage=read_usage(response.get("usage")),
        finish_reason="length" if stop in _CUT else stop,
        reasoning=_joined(blocks, "thinking"),
        model=str(response.get("model") or ""),
        request_id=request_id or str(response.get("id") or ""),
    )


def read_usage(usage: object) -> Usage | None:
    """Input tokens are all that were read, those from the cache and those written to it included."""
    if not isinstance(usage, dict):
        return None
    fresh, cached, written, output = (
        value if isinstance(value := usage.get(name), int) else 0
        for name in ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
    )
    return Usage(fresh + cached + written, output, cached)


def _turns(messages: Iterable[Message]) -> list[dict[str, Any]]:
    """User and assistant in turn. All results of one turn are one message, in which text may follow them."""
    turns: list[dict[str, Any]] = []
    for message in messages:
        role = "assistant" if message.role == "assistant" else "user"
        if not turns or turns[-1]["role"] != role:
            turns.append({"role": role, "content": []})
        turns[-1]["content"] += _blocks(message)
    return turns


def _blocks(message: Message) -> list[dict[str, Any]]:
    if message.role == "tool":
        result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _safe_id(message.call_id)}
        return [result | ({"content": encodable(message.content)} if message.content.strip() else {})]
    calls = [
        {
            "type": "tool_use",
            "id": _safe_id(call.call_id),
            "name": call.tool,
            "input": map_strings(json.loads(call_arguments(call.args)), encodable),
        }
        for call in message.tool_calls
    ]
    text = [_text(message.content)] if message.content.strip() or not calls else []
    return text + calls


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": encodable(text) if text.strip() else _EMPTY}


def _safe_id(call_id: str) -> str:
    """An id in the API's alphabet; other providers use dots and colons. Different ids stay different."""
    safe = _UNSAFE_ID.sub("_", call_id)
    return safe if safe == call_id else f"{safe}_{crc32(call_id.encode('utf-8', 'replace')):08x}"


def _called(messages: Iterable[Message]) -> list[str]:
    """Names of the tools the conversation has called, each once, in order."""
    return list(dict.fromkeys(call.tool for message in messages for call in message.tool_calls))


def _mark(request: dict[str, Any]) -> None:
    last = request["messages"][-1]["content"] if request["messages"] else []
    # text after the results is often gone from the next request; what it begins with is not
    results = [block for block in last[:-1] if block["type"] == "tool_result"]
    for blocks in (request.get("tools"), request.get("system"), results, last):
        if blocks:
            blocks[-1] |= _MARK


def _joined(blocks: list[dict[str, Any]], kind: str) -> str:
    return "".join(str(block.get(kind) or "") for block in blocks if block.get("type") == kind)


def _raw_call(block: dict[str, Any]) -> RawCall:
    arguments = block.get("input")
    if not isinstance(arguments, (str, dict)):
        arguments = {} if arguments is None else json.dumps(arguments)
    return RawCall(str(block.get("name") or ""), arguments, str(block.get("id") or ""))
