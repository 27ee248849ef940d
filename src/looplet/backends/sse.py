"""Server-sent events, from bytes in pieces of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Iterator


class Event(Record):
    """One event: its `data` lines joined, and its name, "" when it has none."""

    name: str
    data: str


class EventReader:
    """Splits a stream into events. Comments, ids and retry hints are passed over."""

    def __init__(self) -> None:
        self._unfinished = b""  # the beginning of a line; decoded when whole, since a cut may go through a character
        self._name = ""
        self._data: list[str] = []

    def feed(self, data: bytes) -> Iterator[Event]:
        """Yield the events that `data` completes."""
        *lines, self._unfinished = (self._unfinished + data).split(b"\n")
        for line in lines:
            yield from self._read(line.decode("utf-8", "replace").rstrip("\r"))

    def end(self) -> Iterator[Event]:
        """Yield the last event of a server that does not end it with an empty line."""
        yield from self.feed(b"\n\n")

    def _read(self, line: str) -> Iterator[Event]:
        field, _, value = line.removeprefix("\ufeff").partition(":")
        value = value.removeprefix(" ")
        if not line:
            if self._data:
                yield Event(self._name, "\n".join(self._data))
            self._name, self._data = "", []
        elif field == "data":
            self._data.append(value)
        elif field == "event":
            self._name = value
        elif field == "error":  # older llama.cpp servers report failures in a field of their own
            yield Event("error", value)
