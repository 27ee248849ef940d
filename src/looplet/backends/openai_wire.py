"""`Prompt` to chat completions request, and response to `Reply`: no I/O, so both transports share every line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._core.to_text import encodable
from looplet.backends.thinking import split_thinking
from looplet.messages import RawCall, Reply
from looplet.types import Usage

if TYPE_CHECKING:
    from looplet.messages import Message, Prompt, ToolSchema
    from looplet.types import ToolCall

_CUT = {"max_tokens", "max_length", "model_length"}  # other words for finish reason "length"


def openai_messages(prompt: Prompt) -> list[dict[str, Any]]:
    """The whole conversation as the `messages` of a request, the system prompt first."""
    return system_message(prompt.system) + [openai_message(message) for message in prompt.messages]


def system_message(system: str) -> list[dict[str, Any]]:
    return [{"role": "system", "content": encodable(system)}] if system else []


def openai_message(message: Message) -> dict[str, Any]:
    """One message as a request holds it. Content is "" and never null: some servers refuse null beside tool calls."""
    wire: dict[str, Any] = {"role": message.role, "content": encodable(message.content)}
    if message.tool_calls:
        wire["tool_calls"] = [_openai_call(call) for call in message.tool_calls]
    if message.role == "tool":
        wire["tool_call_id"] = message.call_id
    return wire


def openai_tool(tool: ToolSchema) -> dict[str, Any]:
    return {"type": "function", "function": tool.to_dict()}


def reply_format(schema: dict[str, Any]) -> dict[str, Any]:
    """`response_format` for a JSON Schema; not `strict`, which allows only a part of JSON Schema."""
    return {"type": "json_schema", "json_schema": {"name": "reply", "schema": schema}}


def _openai_call(call: ToolCall) -> dict[str, Any]:
    return {
        "id": call.call_id,
        "type": "function",
        "function": {"name": call.tool, "arguments": call_arguments(call.args)},
    }


def call_arguments(args: dict[str, Any]) -> str:
    """The arguments of a call as the text of a JSON object every server accepts."""
    try:
        text = json.dumps(args, ensure_ascii=False, allow_nan=False, default=str)
    except ValueError:  # NaN or Infinity, which Python's parser lets in and no server does
        finite = json.loads(json.dumps(args, default=str), parse_constant=lambda _word: None)
        text = json.dumps(finite, ensure_ascii=False)
    return encodable(text)


def read_reply(response: dict[str, Any], request_id: str = "") -> Reply:
    """Read a response that has at least one choice. What a server leaves out or misspells is tolerated."""
    choice = response["choices"][0]
    message = choice.get("message") or {}
    text, reasoning = _content(message)
    calls = tuple(_raw_call(call) for call in _call_list(message))
    finish = str(choice.get("finish_reason") or ("tool_calls" if calls else "stop"))
    return Reply(
        text=text,
        calls=calls,
        usage=read_usage(response.get("usage")),
        finish_reason="length" if finish.lower() in _CUT else finish,
        reasoning=reasoning,
        model=str(response.get("model") or ""),
        request_id=request_id or str(response.get("id") or ""),
    )


def read_usage(usage: object) -> Usage | None:
    if not isinstance(usage, dict):
        return None
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, dict) else usage.get("prompt_cache_hit_tokens")
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")), _count(cached))


def _count(tokens: object) -> int:
    return tokens if isinstance(tokens, int) else 0


def _content(message: dict[str, Any]) -> tuple[str, str]:
    """The text, and apart from it the thinking, wherever the server put that."""
    text, thought = joined_parts(message.get("content") or message.get("refusal") or "")
    reasoning = message.get("reasoning_content") or message.get("reasoning") or thought
    text, inline = split_thinking(text)
    return text, reasoning if isinstance(reasoning, str) and reasoning else inline


def joined_parts(content: object) -> tuple[str, str]:
    """Content is a string; some servers send a list of typed parts, thinking among them."""
    if not isinstance(content, list):
        return str(content), ""
    parts = [part for part in content if isinstance(part, dict)]
    text = "".join(str(part.get("text") or "") for part in parts if part.get("type") != "thinking")
    thought = "".join(joined_parts(part.get("thinking") or "")[0] for part in parts if part.get("type") == "thinking")
    return text, thought


def _call_list(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Function calls of the message; `type` may be missing, and the older single `function_call` still occurs."""
    calls = [call for call in message.get("tool_calls") or () if isinstance(call, dict)]
    if not calls and isinstance(message.get("function_call"), dict):
        calls = [{"function": message["function_call"]}]
    return [call for call in calls if isinstance(call.get("function"), dict)]


def _raw_call(call: dict[str, Any]) -> RawCall:
    arguments = call["function"].get("arguments")
    if arguments in (None, ""):  # how some servers write a call without parameters
        arguments = {}
    elif not isinstance(arguments, (str, dict)):
        arguments = json.dumps(arguments)
    return RawCall(str(call["function"].get("name") or ""), arguments, str(call.get("id") or ""))
