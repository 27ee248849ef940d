"""A streamed reply is read into the very answer the server would have given without streaming.

So everything after it, errors, learning and the reply itself, is written once.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from looplet.backends.provider_errors import parse_json
from looplet.backends.sse import EventReader
from looplet.errors import MalformedReply

if TYPE_CHECKING:
    from looplet.backends.http import HttpAnswer
    from looplet.backends.sse import Event
    from looplet.messages import Reply


class OnChunk(Protocol):
    """Told each piece of a reply as it comes, possibly from another thread. Thinking is marked as `reasoning`."""

    def __call__(self, text: str, reasoning: bool = False, /) -> object: ...


class Assembly(Protocol):
    """Puts the events of one provider's format together.

    `text` is what the reply says so far. `begun`: some of a reply has come; `ended`: the provider said it is whole.
    """

    @property
    def text(self) -> str: ...

    @property
    def begun(self) -> bool: ...

    @property
    def ended(self) -> bool: ...

    def add(self, data: dict[str, Any]) -> None: ...

    def response(self) -> dict[str, Any]:
        """The response as it would have been without streaming."""
        ...


class StreamedAnswer:
    """Reads one stream: `feed` the bytes as they come, then ask for the `answer`."""

    def __init__(self, assembly: Assembly) -> None:
        self._assembly = assembly
        self._reader = EventReader()
        self._error: dict[str, Any] | None = None
        self._is_stream = False
        self._done = False

    @property
    def begun(self) -> bool:
        return self._assembly.begun

    def feed(self, data: bytes) -> bool:
        """Read a piece. True when nothing of interest can follow."""
        for event in self._reader.feed(data):
            self._take(event)
        return self._done

    def answer(self, received: HttpAnswer, where: str) -> HttpAnswer:
        """What `received` amounts to: itself where the server did not stream, else the assembled response.

        The body is empty when a stream held nothing. A stream that stops before its end is a MalformedReply: half a
        call must never run.
        """
        if received.status >= 400:
            return received
        for event in self._reader.end():
            self._take(event)
        if self._error is not None:
            return received.replace(body=json.dumps(self._error).encode())
        if not self._is_stream:
            return received
        if not self._assembly.begun:
            return received.replace(body=b"")
        if not (self._done or self._assembly.ended):
            raise MalformedReply(
                f"the stream from {where} stopped before the reply was complete; nothing in it was carried out",
                text=self._assembly.text,
                status=received.status,
            )
        return received.replace(body=json.dumps(self._assembly.response()).encode())

    def _take(self, event: Event) -> None:
        self._is_stream = True
        if event.data.strip() == "[DONE]":
            self._done = True
            return
        data = parse_json(event.data.encode())
        if not isinstance(data, dict):
            return  # half an event, or none we know: what it lacks shows at the end
        if data.get("error") or event.name == "error":
            self._error = data if data.get("error") else {"error": data}
        else:
            self._assembly.add(data)
            self._done = self._done or data.get("type") == "message_stop"


def show_whole(reply: Reply, on_chunk: OnChunk) -> None:
    """Show a reply that came in one piece, from a server or client that does not stream."""
    if reply.reasoning:
        on_chunk(reply.reasoning, True)
    if reply.text:
        on_chunk(reply.text)
