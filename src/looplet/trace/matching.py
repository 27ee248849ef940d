"""When two requests are the same, and where they differ first.

The content counts: system prompt, messages, tools, settings. Call ids count only by their order of appearance, because
every run makes new ones; timeouts and model names do not count.
"""

from __future__ import annotations

import hashlib
from itertools import islice
from typing import TYPE_CHECKING, Any

from looplet._compare import ABSENT, differences, excerpt, first_character, short_json
from looplet.trace.jsonable import canonical, jsonable
from looplet.trace.prefix import common_prefix

if TYPE_CHECKING:
    from looplet.messages import Message, Prompt
    from looplet.trace.redact import Redaction


class RequestKeys:
    """Turns requests into keys, at the cost of what was added since the previous one.

    `redaction` is applied first: a recording holds redacted requests.
    """

    def __init__(self, redaction: Redaction | None = None) -> None:
        self._change = redaction.text if redaction else None
        self._seen: tuple[Message, ...] = ()
        self._ids: dict[str, int] = {}
        self._known: list[int] = []  # how many ids there were after each message
        self._digests: list[bytes] = []

    def key(self, prompt: Prompt) -> tuple[bytes, tuple[bytes, ...]]:
        """The key of the request, and the digest of each message in it."""
        keep = common_prefix(self._seen, prompt.messages)
        del self._digests[keep:], self._known[keep:]
        self._ids = dict(islice(self._ids.items(), self._known[-1] if self._known else 0))
        for message in prompt.messages[keep:]:
            self._digests.append(_digest(self._message(message)))
            self._known.append(len(self._ids))
        self._seen = prompt.messages
        whole = hashlib.sha256(_digest(self._frame(prompt)))
        for digest in self._digests:
            whole.update(digest)
        return whole.digest(), tuple(self._digests)

    def shape(self, prompt: Prompt) -> dict[str, Any]:
        """What is compared, for finding the first difference."""
        self.key(prompt)  # numbers the call ids
        return {**self._frame(prompt), "messages": [self._message(message) for message in prompt.messages]}

    def _frame(self, prompt: Prompt) -> dict[str, Any]:
        settings = prompt.settings.to_dict()
        del settings["timeout_s"]
        frame = {"system": prompt.system, "tools": [tool.to_dict() for tool in prompt.tools], "settings": settings}
        changed: dict[str, Any] = jsonable(frame, self._change)
        return changed

    def _message(self, message: Message) -> dict[str, Any]:
        shape: dict[str, Any] = jsonable(message.replace(call_id="").to_dict(), self._change)
        for call, packed in zip(message.tool_calls, shape.get("tool_calls", ()), strict=True):
            packed["call_id"] = self._number(call.call_id)
        if message.call_id:
            shape["call_id"] = self._number(message.call_id)
        return shape

    def _number(self, call_id: str) -> int:
        return self._ids.setdefault(call_id, len(self._ids) + 1)


def first_difference(recorded: Any, now: Any) -> str | None:
    """One line: where and how two JSON values differ first; None when they are equal."""
    found = next(differences(recorded, now), None)
    if found is None:
        return None
    path, before, after = found
    if before is ABSENT:
        return f"{path} is new: {short_json(after)}"
    if after is ABSENT:
        return f"{path} is missing: recorded {short_json(before)}"
    if isinstance(before, str) and isinstance(after, str):
        at = first_character(before, after)
        return f"{path} differs at char {at}: recorded {excerpt(before, at)} now {excerpt(after, at)}"
    return f"{path} differs: recorded {short_json(before)} now {short_json(after)}"


def _digest(shape: dict[str, Any]) -> bytes:
    return hashlib.sha256(canonical(shape)).digest()
