"""`Prompt` to chat completions request, and response to `Reply`: no I/O, so both transports share every line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from looplet.messages import Message, Prompt
    from looplet.types import ToolCall


def openai_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The whole conversation as the `messages` of a request, the system prompt first."""
    system = [{"role": "system", "content": encodable(prompt.system)}] if prompt.system else []
    return system + [openai_message(message) for message in prompt.messages]


def openai_message(message: Message) -> dict[str, Any]:
    """One message as a request holds it. Content is "" and never null: some servers refuse null beside tool calls."""
    wire: dict[str, Any] = {"role": message.role, "content": encodable(message.content)}
    if message.tool_calls:
        wire["tool_calls"] = [_openai_call(call) for call in message.tool_calls]
    if message.role == "tool":
        wire["tool_call_id"] = message.call_id
    return wire


def _openai_call(call: ToolCall) -> dict[str, Any]:
    function = {"name": call.tool, "arguments": encodable(json.dumps(call.args, ensure_ascii=False, default=str))}
    return {"id": call.call_id, "type": "function", "function": function}


def encodable(text: str) -> str:
    """Replace lone surrogates, which no JSON body can carry."""
    if text.isascii():
        return text
    return text.encode("utf-8", "surrogatepass").decode("utf-8", "replace")
