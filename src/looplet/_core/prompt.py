"""Build the request: the stable prefix first, volatile text last, tools native or written out as plain text.

The text protocol asks for one JSON object a reply. Its prompt is plain text: decorative characters made a small model
repeat them until its token limit (docs/architecture.md).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._core.schema_refs import rebased
from looplet._core.schema_words import CALL_FORM, members
from looplet._core.to_text import to_text
from looplet.messages import Message, Prompt, Settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from looplet.config import LoopConfig
    from looplet.messages import ToolSchema
    from looplet.state import RunState

_UNLIMITED = 1 << 30


def build_prompt(state: RunState) -> Prompt:
    """The next request as it stands before any hook saw it."""
    config = state.config
    system, tools, schema = config.system_prompt, state.tool_schemas, None
    if state.text_mode or state.tools_off:
        tools = ()
    if state.text_mode and not state.tools_off:
        system = "\n\n".join(filter(None, [system, text_protocol(state.tool_schemas, config.done_tool)]))
        schema = reply_schema(state.tool_schemas) if state.capabilities.reply_schema else None
    return Prompt(
        system=system,
        messages=tuple(state.conversation),
        tools=tools,
        settings=settings(config, schema),
        overflowed=state.overflowed,
    )


def settings(config: LoopConfig, schema: dict[str, Any] | None = None) -> Settings:
    return Settings(config.temperature, config.max_tokens, config.llm_timeout_s, schema, config.extra)


def with_text(prompt: Prompt, text: str) -> Prompt:
    """Add volatile text at the end, where it cannot disturb the prefix a provider has cached. Blank adds nothing."""
    if not text.strip():
        return prompt
    return prompt.replace(messages=tuple(joined(prompt.messages, text)))


def joined(messages: Iterable[Message], text: str) -> list[Message]:
    """`messages`, then `text` from the user. Two user messages in a row become one: some chat templates refuse two."""
    result = list(messages)
    if result and result[-1].role == "user":
        result[-1] = Message("user", f"{result[-1].content}\n\n{text}")
    else:
        result.append(Message("user", text))
    return result


def say(state: RunState, text: str) -> None:
    """Add text from the user's side to the conversation for good. What was sent already is never changed."""
    if len(state.conversation) > state.unsent:
        state.conversation = joined(state.conversation, text)
    else:
        state.conversation.append(Message("user", text))


def task_text(task: Any) -> str:
    """A str as it is, a mapping as `key: value` lines, anything else as text; nothing is left out."""
    if isinstance(task, dict):
        return "\n".join(f"{key}: {to_text(value, _UNLIMITED)}" for key, value in task.items())
    return to_text(task, _UNLIMITED)


def text_protocol(tools: tuple[ToolSchema, ...], done_tool: str) -> str:
    """The instructions that stand in for native tool calling."""
    catalogue = "\n".join(catalogue_line(tool) for tool in tools)
    return (
        "You work by calling tools, one at a time. The tools are:\n\n"
        f"{catalogue}\n\n"
        "Answer with one JSON object and nothing else:\n"
        f"{CALL_FORM}\n\n"
        f"After each call you are given its result. When the task is complete, call {done_tool}."
    )


def catalogue_line(tool: ToolSchema) -> str:
    """A tool in words: `- search(query: string): Search the shop.` and its parameters' descriptions below."""
    schema = tool.parameters
    properties = schema.get("properties")
    described = [
        f"    {name}: {part['description']}"
        for name, part in (properties.items() if isinstance(properties, dict) else ())
        if _has_description(part)
    ]
    return "\n".join([f"- {tool.name}({members(schema, schema)}): {tool.description}", *described])


def _has_description(schema: Any) -> bool:
    return isinstance(schema, dict) and bool(schema.get("description"))


def reply_schema(tools: tuple[ToolSchema, ...]) -> dict[str, Any]:
    """A JSON Schema with one branch a tool, for servers that can constrain what they generate."""
    definitions: dict[str, Any] = {}
    branches = [
        {
            "type": "object",
            "properties": {
                "tool": {"const": tool.name},
                "args": rebased(
                    tool.parameters,
                    tool.name,
                    f"/anyOf/{number}/properties/args" if len(tools) > 1 else "/properties/args",
                    definitions,
                ),
            },
            "required": ["tool", "args"],
            "additionalProperties": False,
        }
        for number, tool in enumerate(tools)
    ]
    schema = {"anyOf": branches} if len(branches) > 1 else branches[0]
    return schema | ({"$defs": definitions} if definitions else {})


def as_text_conversation(messages: list[Message]) -> list[Message]:
    """Rewrite native calls and results as plain text, for a model that turned out to take no tools."""
    result: list[Message] = []
    for message in messages:
        if message.role == "tool":
            result = joined(result, f"Result:\n{message.content}")
        elif message.tool_calls:
            calls = "\n".join(
                json.dumps({"tool": call.tool, "args": call.args}, ensure_ascii=False) for call in message.tool_calls
            )
            result.append(Message("assistant", "\n".join(filter(None, [message.content, calls]))))
        elif message.role == "user":
            result = joined(result, message.content)
        else:
            result.append(message)
    return result
