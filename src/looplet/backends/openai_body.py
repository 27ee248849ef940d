"""Request bodies as bytes, each message encoded once: the next request of a conversation adds only its news."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from looplet._core.to_text import encodable
from looplet.backends.openai_wire import openai_message, system_message

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet.messages import Message, Prompt

_CONVERSATIONS = 64  # runs that take turns on one backend
_KEPT_BYTES = 32 << 20


class BodyEncoder:
    """Keeps the encoded messages of recent conversations, found by their first message."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: OrderedDict[int, _Conversation] = OrderedDict()
        self._tools: tuple[object, bytes] = (None, b"")  # the latest tools, and what they are written out

    @contextmanager
    def body(self, parameters: dict[str, Any], prompt: Prompt) -> Iterator[list[bytes | bytearray]]:
        """The pieces of a request body: the messages of `prompt` and `parameters`, to be sent inside the `with`.

        Meanwhile the conversation is taken out of the table: no other thread writes to the buffer that is being sent.
        """
        key = id(prompt.messages[0]) if prompt.messages else 0  # unique while the table keeps that message alive
        with self._lock:
            known = self._known.pop(key, None)
        conversation = known if known and known.system == prompt.system else _Conversation(prompt.system)
        conversation.follow(prompt.messages)
        try:
            yield [b'{"messages":[', conversation.buffer, b"]," + self._parameters(parameters)[1:]]
        finally:
            self._keep(key, conversation)

    def _parameters(self, parameters: dict[str, Any]) -> bytes:
        """The parameters as JSON. The tools are nearly always those of the request before: the very same list."""
        tools = parameters.get("tools")
        if tools is None:
            return _dump(parameters)
        latest, written = self._tools
        if latest is not tools:
            written = _dump(tools)
            self._tools = (tools, written)
        rest = {name: value for name, value in parameters.items() if name != "tools"}
        return _dump(rest)[:-1] + (b"," if rest else b"") + b'"tools":' + written + b"}"

    def _keep(self, key: int, conversation: _Conversation) -> None:
        with self._lock:
            self._known[key] = conversation
            while len(self._known) > _CONVERSATIONS or (len(self._known) > 1 and self._bytes() > _KEPT_BYTES):
                self._known.popitem(last=False)

    def _bytes(self) -> int:
        return sum(len(conversation.buffer) for conversation in self._known.values())


class _Conversation:
    """Encoded messages in one buffer, and where each of them ends."""

    __slots__ = ("_ends", "_messages", "buffer", "system")

    def __init__(self, system: str) -> None:
        self.system = system
        self.buffer = bytearray().join(map(_dump, system_message(system)))
        self._messages: tuple[Message, ...] = ()
        self._ends = [len(self.buffer)]  # after the system prompt, after message 1, 2 ...

    def follow(self, messages: tuple[Message, ...]) -> None:
        """Make the buffer hold exactly `messages`, keeping the beginning both have in common."""
        common = _common(self._messages, messages)
        del self._ends[common + 1 :]
        del self.buffer[self._ends[common] :]
        for message in messages[common:]:
            if self.buffer:
                self.buffer += b","
            self.buffer += _dump(openai_message(message))
            self._ends.append(len(self.buffer))
        self._messages = messages


def _common(known: tuple[Message, ...], messages: tuple[Message, ...]) -> int:
    """How many messages both begin with. Nearly always all that are known, or all but text injected at the end."""
    for length in range(len(known), max(-1, len(known) - 3), -1):
        if known[:length] == messages[:length]:  # same objects: far cheaper than comparing texts
            return length
    pairs = enumerate(zip(known, messages, strict=False))
    return next((index for index, (old, new) in pairs if old != new), min(len(known), len(messages)))


def _dump(value: dict[str, Any] | list[Any]) -> bytes:
    return encodable(json.dumps(value, ensure_ascii=False, separators=(",", ":"))).encode()
