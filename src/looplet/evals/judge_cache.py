"""Replies of a judge kept on disk, found by what was asked: who scores the same runs again does not pay again."""

from __future__ import annotations

import hashlib
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet.messages import Reply
from looplet.trace.jsonable import canonical, jsonable
from looplet.types import Usage

if TYPE_CHECKING:
    from looplet.messages import Capabilities, Prompt
    from looplet.protocols import Model

SCHEMA = 1


class VerdictCache:
    """The replies in directory `folder`, shared by threads. One that cannot be read is asked for again."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}

    def key(self, model: str, prompt: Prompt, number: int) -> str:
        """The address of the `number`-th reply to `prompt`. Time limits do not count."""
        request = prompt.to_dict()
        del request["settings"]["timeout_s"]
        return hashlib.sha256(canonical(jsonable([model, request, number]))).hexdigest()

    def holder(self, key: str) -> threading.Lock:
        """Held while `key` is asked for, so that two who ask the same at once pay once."""
        with self._lock:
            return self._busy.setdefault(key, threading.Lock())

    def get(self, key: str) -> Reply | None:
        with suppress(OSError, ValueError, KeyError, TypeError, AttributeError):
            found = json.loads(self._file(key).read_bytes())
            return Reply.from_dict(found["reply"]) if found["schema"] == SCHEMA else None
        return None

    def put(self, key: str, reply: Reply) -> None:
        """A reply that cannot be kept is no error: it costs money once more, and that is all."""
        whole = self._file(key)
        part = whole.with_name(f".{key}.{os.getpid()}")
        with suppress(OSError):
            self._make_folder()
            part.write_bytes(json.dumps({"schema": SCHEMA, "reply": jsonable(reply.to_dict())}).encode())
            part.replace(whole)

    def drop(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._folder / ".gitignore").write_text("*\n", encoding="utf-8")


class CachedModel:
    """`llm`, asked only for what `cache` does not hold: give it to one `Judge`.

    The second identical request is a second reply, so that repeated questions stay repeated ones. `paid` is what was
    spent on requests that were sent.
    """

    def __init__(self, llm: Model, cache: VerdictCache) -> None:
        self._llm, self._cache = llm, cache
        self._asked: dict[str, int] = {}  # first key of a request → how often it was made
        self._spent: list[Usage] = []

    @property
    def name(self) -> str:
        return self._llm.name

    @property
    def capabilities(self) -> Capabilities:
        return self._llm.capabilities

    @property
    def paid(self) -> Usage:
        return sum(self._spent, Usage())

    def chat(self, prompt: Prompt) -> Reply:
        key = self._next_key(prompt)
        with self._cache.holder(key):
            reply = self._cache.get(key)
            if reply is None:
                try:
                    reply = self._llm.chat(prompt)
                except Exception:
                    self._asked[self._cache.key(self.name, prompt, 1)] -= 1  # the next attempt is the same question
                    raise
                self._spent.append(reply.usage or Usage())
                self._cache.put(key, reply)
        return reply

    def forget(self, prompt: Prompt) -> None:
        """The latest reply to `prompt` was of no use."""
        first = self._cache.key(self.name, prompt, 1)
        self._cache.drop(self._cache.key(self.name, prompt, self._asked.get(first, 1)))

    def _next_key(self, prompt: Prompt) -> str:
        first = self._cache.key(self.name, prompt, 1)
        number = self._asked[first] = self._asked.get(first, 0) + 1
        return first if number == 1 else self._cache.key(self.name, prompt, number)

    def __getattr__(self, attribute: str) -> Any:  # no_sleep, is_async
        return getattr(self._llm, attribute)
