"""When two requests are the same, and where they differ first.

The content counts: system prompt, messages, tools, settings. Call ids count only by their order of appearance, because
every run makes new ones; timeouts and model names do not count.
"""

from __future__ import annotations

import hashlib
import json
from itertools import islice, zip_longest
from typing import TYPE_CHECKING, Any

from looplet._pretty import shorten, visible
from looplet.trace.jsonable import canonical, jsonable
from looplet.trace.prefix import common_prefix

if TYPE_CHECKING:
    from looplet.messages import Message, Prompt
    from looplet.trace.redact import Redaction

_BEFORE, _AFTER = 12, 28  # characters shown around the first difference
_VALUE_CHARS = 60


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


def first_difference(recorded: Any, now: Any, path: str = "") -> str | None:
    """One line: where and how two JSON values differ first; None when they are equal."""
    if recorded == now:
        return None
    if isinstance(recorded, dict) and isinstance(now, dict):
        pairs = [
            (f"{path}.{key}".lstrip("."), recorded.get(key, _NONE), now.get(key, _NONE)) for key in {**recorded, **now}
        ]
    elif isinstance(recorded, list) and isinstance(now, list):
        both = zip_longest(recorded, now, fillvalue=_NONE)
        pairs = [(f"{path}[{index}]", *values) for index, values in enumerate(both)]
    elif isinstance(recorded, str) and isinstance(now, str):
        return _text_difference(recorded, now, path)
    else:
        return f"{path} differs: recorded {_short(recorded)} now {_short(now)}"
    return next(found for pair in pairs if (found := _pair_difference(*pair)))


_NONE = object()


def _pair_difference(path: str, recorded: Any, now: Any) -> str | None:
    if recorded is _NONE:
        return f"{path} is new: {_short(now)}"
    if now is _NONE:
        return f"{path} is missing: recorded {_short(recorded)}"
    return first_difference(recorded, now, path)


def _text_difference(recorded: str, now: str, path: str) -> str:
    at = next((i for i, (a, b) in enumerate(zip(recorded, now, strict=False)) if a != b), min(len(recorded), len(now)))
    return f"{path} differs at char {at}: recorded {_excerpt(recorded, at)} now {_excerpt(now, at)}"


def _excerpt(text: str, at: int) -> str:
    begin, end = max(0, at - _BEFORE), at + _AFTER
    return f"'{'…' if begin else ''}{visible(text[begin:end])}{'…' if end < len(text) else ''}'"


def _short(value: Any) -> str:
    return shorten(visible(json.dumps(value, ensure_ascii=False)), _VALUE_CHARS)


def _digest(shape: dict[str, Any]) -> bytes:
    return hashlib.sha256(canonical(shape)).digest()
