"""What goes to the model and what comes back: the one form the core, every backend and the trace share.

A `Prompt` is one request, a `Reply` one answer. A reply's calls are *raw*: as the server sent them, arguments possibly
a broken string. `_core/parse.py` alone turns raw calls into `ToolCall`s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from looplet._record import Record
from looplet.types import ToolCall, Usage

if TYPE_CHECKING:
    from collections.abc import Callable

Role = Literal["user", "assistant", "tool"]


class Message(Record):
    """One entry of the conversation. The system prompt is not a message; it stands in `Prompt.system`.

    assistant: `content` (may be "") and `tool_calls` (empty in text mode).
    tool: the result of the call `call_id` (native mode only; in text mode results are user messages).
    """

    role: Role
    content: str
    tool_calls: tuple[ToolCall, ...] = ()
    call_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {"role": self.role, "content": self.content}
        if self.tool_calls:
            data["tool_calls"] = [call.to_dict() for call in self.tool_calls]
        if self.call_id:
            data["call_id"] = self.call_id
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Message:
        calls = tuple(ToolCall.from_dict(call) for call in data.get("tool_calls", ()))
        return cls(data["role"], data["content"], calls, data.get("call_id", ""))


class ToolSchema(Record):
    """A tool as the model sees it; `parameters` is a JSON Schema object."""

    name: str
    description: str
    parameters: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        return {"name": self.name, "description": self.description, "parameters": self.parameters}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> ToolSchema:
        return cls(data["name"], data["description"], data["parameters"])


class Settings(Record):
    """Request settings. `timeout_s` is seconds for the whole request; None leaves a value to the backend.

    `reply_schema`: a JSON Schema the reply text must follow, for servers that can constrain it (text mode).
    `extra`: further provider parameters, passed through as they are.
    """

    temperature: float | None = None
    max_tokens: int | None = None
    timeout_s: float | None = None
    reply_schema: dict[str, Any] | None = None
    extra: dict[str, Any] = {}

    def to_dict(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self._fields}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Settings:
        return cls(**{field: data[field] for field in cls._fields if field in data})


class Prompt(Record):
    """One request to the model: what `pre_prompt` hooks see as `ctx`, and what `Step.prompt` keeps.

    `overflowed` is True when the provider refused the previous attempt as longer than its context window.
    """

    system: str
    messages: tuple[Message, ...]
    tools: tuple[ToolSchema, ...] = ()
    settings: Settings = Settings()
    overflowed: bool = False

    def map_text(self, change: Callable[[str], str]) -> Prompt:
        """Apply `change` to every text the model would read: system prompt, messages, call arguments, tool schemas."""
        return self.replace(
            system=change(self.system),
            messages=tuple(_map_message(message, change) for message in self.messages),
            tools=tuple(
                ToolSchema(tool.name, change(tool.description), map_strings(tool.parameters, change))
                for tool in self.tools
            ),
        )

    def __str__(self) -> str:
        parts = [f"[system]\n{self.system}"] if self.system else []
        for message in self.messages:
            calls = "".join(f"\n{call.tool}({call.args!r})" for call in message.tool_calls)
            parts.append(f"[{message.role}]\n{message.content}{calls}")
        return "\n\n".join(parts)

    def to_dict(self) -> dict[str, Any]:
        return {
            "system": self.system,
            "messages": [message.to_dict() for message in self.messages],
            "tools": [tool.to_dict() for tool in self.tools],
            "settings": self.settings.to_dict(),
        }


def _map_message(message: Message, change: Callable[[str], str]) -> Message:
    """Keep the identity of an unchanged message: encoders and journals reuse what they know of it."""
    content = change(message.content)
    calls = tuple(
        call.replace(args=map_strings(call.args, change), reasoning=change(call.reasoning))
        for call in message.tool_calls
    )
    if content == message.content and calls == message.tool_calls:
        return message
    return message.replace(content=content, tool_calls=calls)


def map_strings(value: Any, change: Callable[[str], str]) -> Any:
    """Apply `change` to every string inside JSON-shaped `value`, keys included; the shape stays."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, dict):
        return {change(key) if isinstance(key, str) else key: map_strings(item, change) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [map_strings(item, change) for item in value]
    return value


class RawCall(Record):
    """A call as the server sent it: `arguments` is an object, or the text that should have been one."""

    name: str
    arguments: str | dict[str, Any]
    call_id: str = ""


class Reply(Record):
    """One answer. `reasoning` is thinking text, kept out of `text`.

    `finish_reason` is the provider's word, "length" when the reply was cut.
    `usage` is None when the provider reported none.
    """

    text: str = ""
    calls: tuple[RawCall, ...] = ()
    usage: Usage | None = None
    finish_reason: str = "stop"
    reasoning: str = ""
    model: str = ""
    request_id: str = ""

    def to_dict(self) -> dict[str, Any]:
        data: dict[str, Any] = {field: getattr(self, field) for field in self._fields}
        data["calls"] = [
            {"name": call.name, "arguments": call.arguments, "call_id": call.call_id} for call in self.calls
        ]
        data["usage"] = self.usage and self.usage.to_dict()
        return data

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Reply:
        known = {field: data[field] for field in cls._fields if field in data}
        known["calls"] = tuple(RawCall(**call) for call in data.get("calls", ()))
        known["usage"] = Usage.from_dict(data["usage"]) if data.get("usage") else None
        return cls(**known)


class Capabilities(Record):
    """What a backend can do: answer with native tool calls, and constrain its text to a JSON Schema."""

    native_tools: bool = True
    reply_schema: bool = False
    context_window: int | None = None

    def to_dict(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self._fields}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Capabilities:
        return cls(**{field: data[field] for field in cls._fields if field in data})
