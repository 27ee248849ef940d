"""Turn a reply into calls: native ones, or those found in text. The only place that reads raw arguments.

A cut-off or broken reply never becomes a call. What the model wrote stays in the conversation, in a form that every
later request can carry: unique ids, valid JSON, no empty content.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from looplet._core.arguments import decode_arguments, own_copy
from looplet._core.find_calls import Finding, find_calls, tool_name, without_reasoning
from looplet._core.schema_words import CALL_FORM, as_list, kinds_of
from looplet._core.to_text import encodable
from looplet._record import Record
from looplet.messages import Message, Reply
from looplet.types import ToolCall

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from looplet.protocols import Tool

_CUT_OFF = "(reply cut off)"
_EMPTY = "(empty reply)"
_UNSAFE_NAME = r"[^A-Za-z0-9_-]"
_NAME_CHARS = 64


class ParsedCall(Record):
    """A call as the loop handles it. `problem` says why its arguments are unusable; such a call must not run.

    `native` is False for a call read from text: its result goes back as text.
    """

    call: ToolCall
    native: bool
    problem: str | None = None


class Parsed(Record):
    """The assistant message for the conversation, and the calls; without calls, `complaint` is for the model."""

    message: Message
    calls: tuple[ParsedCall, ...]
    complaint: str | None = None


def parse_reply(
    reply: Reply,
    tools: Mapping[str, Tool],
    done_tool: str,
    *,
    text_mode: bool,
    next_id: Callable[[], str],
    taken: set[str],
) -> Parsed:
    """Read `reply`; never raises. `taken` holds the call ids of the run, and gets those of this reply.

    `next_id` gives a new id each time; one that a server has used already is passed over.
    """

    def unique(call_id: str = "") -> str:
        while not call_id or call_id in taken:
            call_id = next_id()
        taken.add(call_id)
        return call_id

    text = encodable(reply.text)
    if reply.finish_reason == "length":
        complaint = "Your reply was cut off at the token limit, so nothing in it was carried out. Answer shorter."
        return Parsed(Message("assistant", text if text.strip() else _CUT_OFF), (), complaint)
    if reply.calls:
        return _native(reply, text, text_mode, unique)
    if not text.strip():
        return Parsed(Message("assistant", _EMPTY), (), f"Your reply was empty. {_how_to_call(tools, text_mode)}")
    found = find_calls(text, tools, expected=text_mode)
    if not found.calls and found.problem is None and not text_mode:
        found = _final_answer(text, tools, done_tool)
    if not found.calls:
        problem = found.problem or "Your reply holds no tool call."
        return Parsed(Message("assistant", text), (), f"{problem} {_how_to_call(tools, text_mode)}")
    calls = tuple(
        ParsedCall(call.replace(tool=tool_name(call.tool), call_id=unique()), native=False, problem=problem)
        for call, problem in found.calls
    )
    return Parsed(Message("assistant", text), calls)


def _native(reply: Reply, text: str, text_mode: bool, unique: Callable[[str], str]) -> Parsed:
    """Calls made natively; in text mode (a server that does it anyway) they go on as text."""
    calls = []
    for raw in reply.calls:
        call_id = unique(encodable(raw.call_id) if isinstance(raw.call_id, str) else "")
        args, problem = decode_arguments(raw.arguments)
        call = ToolCall(tool_name(raw.name), args, call_id=call_id)
        calls.append(ParsedCall(call, not text_mode, problem))
    if text_mode:
        written = text if text.strip() else "\n".join(_as_text(parsed.call) for parsed in calls)
        return Parsed(Message("assistant", written), tuple(calls))
    kept = tuple(_repeatable(parsed.call) for parsed in calls)
    return Parsed(Message("assistant", text, kept), tuple(calls))


def _repeatable(call: ToolCall) -> ToolCall:
    """The call for the history. Providers refuse every later request that holds a name of other characters.

    The arguments are its own: hooks may change those of the call that will run.
    """
    name = re.sub(_UNSAFE_NAME, "_", call.tool)[:_NAME_CHARS] or "unnamed"
    return call.replace(tool=name, args=own_copy(call.args))


def _as_text(call: ToolCall) -> str:
    return json.dumps({"tool": call.tool, "args": call.args}, ensure_ascii=False, default=str)


def _final_answer(text: str, tools: Mapping[str, Tool], done_tool: str) -> Finding:
    """Plain text as the answer, when finishing takes exactly one text."""
    parameter = _only_text_parameter(tools.get(done_tool))
    answer = without_reasoning(text)
    if parameter is None or not answer:
        return Finding()
    return Finding(((ToolCall(done_tool, {parameter: answer}), None),))


def _only_text_parameter(tool: Tool | None) -> str | None:
    if tool is None:
        return None
    schema = tool.schema.parameters
    properties = schema.get("properties")
    properties = properties if isinstance(properties, dict) else {}
    names = as_list(schema.get("required")) or list(properties)
    if len(names) != 1 or not isinstance(names[0], str):
        return None
    only = properties.get(names[0])
    kinds = kinds_of(only.get("type")) if isinstance(only, dict) else []
    return names[0] if "string" in kinds or not kinds else None


def _how_to_call(tools: Mapping[str, Tool], text_mode: bool) -> str:
    names = ", ".join(tools)
    if not text_mode:
        return f"Call one of the tools: {names}."
    return f"Reply with one JSON object and nothing else: {CALL_FORM}. NAME is one of: {names}."
