"""What the next line of a journal says when nothing special happens, and so leaves out.

The packer and the unpacker both keep a `Turn`: what the one leaves out, the other puts back.
"""

from __future__ import annotations

import json
from typing import Any


class Turn:
    """The latest reply, and what a request adds when nobody but the loop speaks: that reply, then its results."""

    def __init__(self) -> None:
        self.number = 0  # of the latest model call with a reply
        self.calls: list[dict[str, Any]] = []  # of that reply, literally
        self.next_call = 0  # the one that starts next, in their order
        self.messages: list[dict[str, Any]] = []
        self._step = 0  # of the latest line about a step

    def at_step(self, number: int) -> dict[str, int]:
        """What a line about step `number` says of it: nothing when the line before it was about the same step."""
        before, self._step = self._step, number
        return {} if number == before else {"step": number}

    def step_of(self, record: dict[str, Any]) -> int:
        """The inverse: which step a line is about."""
        self._step = record.get("step", self._step)
        return self._step

    def asked(self) -> None:
        """A request was sent: what the turn so far said is part of it."""
        self.messages = []

    def replied(self, number: int, reply: dict[str, Any]) -> None:
        self.number, self.calls, self.next_call = number, reply_calls(reply), 0
        self.messages = [reply_message(reply)]

    def begun(self, call: Any) -> None:
        """The line of a step referred to `call` of the reply by its place."""
        if isinstance(call, int):
            self.next_call = call + 1

    def told(self, words: str, call_id: str) -> None:
        self.messages.append({"role": "tool", "content": words, **({"call_id": call_id} if call_id else {})})


def without_blanks(packed: dict[str, Any], blank: dict[str, Any]) -> dict[str, Any]:
    """Leave out what has its default value; reading puts it back."""
    return {name: value for name, value in packed.items() if name not in blank or value != blank[name]}


def reply_calls(reply: dict[str, Any]) -> list[dict[str, Any]]:
    """The calls of a packed reply as packed ToolCalls, read literally."""
    calls = []
    for raw in reply.get("calls", ()):
        args = raw["arguments"]
        if isinstance(args, str):
            try:
                args = json.loads(args)
            except (ValueError, RecursionError):
                args = None
        call = {"tool": raw["name"], "args": args, "call_id": raw.get("call_id", "")}
        calls.append(without_blanks(call, {"call_id": ""}))
    return calls


def reply_message(reply: dict[str, Any]) -> dict[str, Any]:
    """The packed assistant message that a packed reply makes, literally."""
    message: dict[str, Any] = {"role": "assistant", "content": reply.get("text", "")}
    if reply.get("calls"):
        message["tool_calls"] = reply_calls(reply)
    return message


def result_words(result: dict[str, Any]) -> str:
    """The text of a packed result that a message is searched for: the error, a str as it is, or compact JSON."""
    data = result.get("data") if result.get("error") is None else result["error"]
    return data if isinstance(data, str) else json.dumps(data, ensure_ascii=False, separators=(",", ":"))
