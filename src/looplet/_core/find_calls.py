"""Find tool calls in free text: fences, prose, tags and thinking around them, in the shapes models are trained on."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from looplet._core.arguments import decode_arguments
from looplet._core.lenient_json import Broken, Truncated, near, read_value
from looplet._core.to_text import encodable
from looplet._record import Record
from looplet.types import ToolCall

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

_NAME_KEYS = ("tool", "tool_name", "name", "function", "action")
_ARGS_KEYS = ("args", "arguments", "parameters", "params", "input", "action_input")
_REASON_KEYS = ("reasoning", "thought", "reason", "rationale")
_META_KEYS = {*_NAME_KEYS, *_REASON_KEYS, "id", "type", "call_id", "index"}
_WRAPPERS = ("tool_calls", "tool_call", "function_call", "function", "tool")
_BROKEN_CALL_KEYS = {"tool", "tool_name", "tool_calls", "tool_call", "function", "arguments", "args"}
_TAGS = "think|thinking|thought|reasoning"
_START = rf"[{{\[]|</?(?:{_TAGS})>"
_CLOSING_TAG = rf"</(?:{_TAGS})>"
_OPENING_TAG = rf"<({_TAGS})>"
_OPEN_THOUGHT = rf"(?s)\s*<(?:{_TAGS})>.*"
_compiled = cache(re.compile)  # when there is such a text: most calls are native ones


class Finding(Record):
    """The calls in a text, each with what is wrong with its arguments (or None).

    `problem` says why there are none although the model began one.
    """

    calls: tuple[tuple[ToolCall, str | None], ...] = ()
    problem: str | None = None


def find_calls(text: str, known: Container[str], *, expected: bool) -> Finding:
    """All calls in `text`, first come. One call that is cut off or broken makes the whole reply unusable.

    Where calls in text are not `expected` (a model that makes them natively), JSON may be the answer itself: it is a
    call only when it names a tool that is known, and cut off only when it looks like a call.
    """
    calls: list[tuple[ToolCall, str | None]] = []
    at = 0
    while (start := _compiled(_START).search(text, at)) is not None:
        at = start.end()
        if start.group().startswith("</"):  # thinking whose opening tag stood in the prompt
            calls.clear()
        elif start.group().startswith("<"):
            closing = _compiled(_CLOSING_TAG).search(text, at)
            if closing is None:
                break
            at = closing.end()
        else:
            try:
                value, at = read_value(text, start.start())
            except Broken as broken:
                if (problem := _problem(text, broken, expected)) is not None:
                    return Finding((), problem)
                at = max(at, broken.position)  # what was read so far is data, whatever it looks like
            else:
                calls += (call for call in _calls_in(value, known) if expected or tool_name(call[0].tool) in known)
    return Finding(tuple(calls))


def _problem(text: str, broken: Broken, expected: bool) -> str | None:
    """What to tell the model if this was a call."""
    like_a_call = not broken.keys.isdisjoint(_BROKEN_CALL_KEYS)
    if isinstance(broken, Truncated) and (expected or like_a_call):
        return "The JSON in your reply ends before it is complete, so nothing in it was carried out."
    if like_a_call:
        return f"The JSON in your reply is not valid near {near(text, broken)}, so nothing in it was carried out."
    return None


def _calls_in(value: Any, known: Container[str]) -> Iterator[tuple[ToolCall, str | None]]:
    if isinstance(value, list):
        for item in value:
            yield from _calls_in(item, known)
    elif isinstance(value, dict):
        wrapped = next((value[key] for key in _WRAPPERS if isinstance(value.get(key), (dict, list))), None)
        if wrapped is not None:
            yield from _calls_in(wrapped, known)
        elif (call := _as_call(value, known)) is not None:
            yield call


def _as_call(value: dict[str, Any], known: Container[str]) -> tuple[ToolCall, str | None] | None:
    """Read `value` as a call, or None: a name, and arguments or nothing else of its own."""
    name = next((value[key] for key in _NAME_KEYS if isinstance(value.get(key), str)), None)
    if name is None:
        return None
    args_key = next((key for key in _ARGS_KEYS if key in value), None)
    if args_key is None and (value.keys() - _META_KEYS or ("name" in value and tool_name(name) not in known)):
        return None
    args, problem = decode_arguments(value.get(args_key) if args_key else None)
    reasoning = next((value[key] for key in _REASON_KEYS if isinstance(value.get(key), str)), "")
    return ToolCall(name, args, reasoning), problem


def tool_name(name: object) -> str:
    """The name as the tools know it: some models write `functions.NAME`."""
    return encodable(name).strip().removeprefix("functions.") if isinstance(name, str) else ""


def without_reasoning(text: str) -> str:
    """The text without thinking: tagged blocks, one whose opening tag stood in the prompt, one that never ended."""
    if "<" not in text:
        return text.strip()
    text = _without_blocks(text)
    closing = _compiled(_CLOSING_TAG).search(text)
    if closing is not None:
        text = text[closing.end() :]
    return "" if _compiled(_OPEN_THOUGHT).fullmatch(text) else text.strip()


def _without_blocks(text: str) -> str:
    """Drop `<think>...</think>` and its like. A regular expression would search to the end for every opening tag."""
    kept: list[str] = []
    at, endless = 0, set[str]()
    for opening in _compiled(_OPENING_TAG).finditer(text):
        tag = opening.group(1)
        if opening.start() < at or tag in endless:
            continue
        closing = f"</{tag}>"
        end = text.find(closing, opening.end())
        if end < 0:
            endless.add(tag)
        else:
            kept.append(text[at : opening.start()])
            at = end + len(closing)
    return "".join([*kept, text[at:]])
