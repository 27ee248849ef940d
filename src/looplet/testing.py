"""Helpers for your own tests of agents."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from looplet._pretty import visible

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from looplet.messages import Message, Prompt, ToolSchema

    Part = tuple[str, str]  # what it is, and its text

_SHOWN = 30  # characters of each text, from where they differ
_BEFORE = 15  # ... and of what both have before that


def first_divergence(prompt_a: Prompt, prompt_b: Prompt) -> str | None:
    """Say where two prompts first differ, in the order providers read them: tools, system prompt, messages.

    None when one merely goes on where the other ends, as the requests of one run should: all that a provider cached of
    the first serves the second. What stands behind the first difference is never read from a cache.
    """
    head_a, head_b = [*_tools(prompt_a.tools), _system(prompt_a)], [*_tools(prompt_b.tools), _system(prompt_b)]
    return _compare(head_a, head_b) or _compare(_messages(prompt_a.messages), _messages(prompt_b.messages))


def _tools(tools: Iterable[ToolSchema]) -> Iterator[Part]:
    for number, tool in enumerate(tools, start=1):
        yield f"tool {number} ({tool.name})", f"{tool.description} {json.dumps(tool.parameters, default=str)}"


def _system(prompt: Prompt) -> Part:
    return "the system prompt", prompt.system


def _messages(messages: Iterable[Message]) -> Iterator[Part]:
    for number, message in enumerate(messages, start=1):
        what = f"message {number} ({message.role})"
        yield what, message.content
        if message.call_id:
            yield f"the call id of {what}", message.call_id
        for call in message.tool_calls:
            yield f"a call in {what}", f"{call.tool}({json.dumps(call.args, default=str)}) with id {call.call_id}"


def _compare(parts_a: Iterable[Part], parts_b: Iterable[Part]) -> str | None:
    for (what_a, text_a), (what_b, text_b) in zip(parts_a, parts_b, strict=False):
        if what_a != what_b:
            return f"the first prompt has {what_a} where the second has {what_b}"
        if text_a != text_b:
            return f"{what_a} differs {_where(text_a, text_b)}"
    return None


def _where(text_a: str, text_b: str) -> str:
    pairs = enumerate(zip(text_a, text_b, strict=False))
    place = next((place for place, (a, b) in pairs if a != b), min(len(text_a), len(text_b)))
    byte = len(text_a[:place].encode("utf-8", "surrogatepass"))
    after = visible(text_a[max(0, place - _BEFORE) : place])
    behind = f" (after {after!r})" if after else ""
    return f"at byte {byte}{behind}: the first prompt {_goes_on(text_a[place:])}, the second {_goes_on(text_b[place:])}"


def _goes_on(rest: str) -> str:
    return f"goes on {visible(rest[:_SHOWN])!r}" if rest else "ends there"
