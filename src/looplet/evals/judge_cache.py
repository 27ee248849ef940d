"""Replies of a judge kept on disk, found by what was asked: who scores the same runs again does not pay again."""

from __future__ import annotations

import hashlib
import json
import math
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet.errors import MalformedReply
from looplet.messages import Reply
from looplet.trace.jsonable import canonical, jsonable
from looplet.types import Usage

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looplet.messages import Capabilities, Prompt
    from looplet.protocols import Model

SCHEMA = 1


class VerdictCache:
    """The replies in directory `folder`, shared by threads. One that cannot be read is asked for again."""

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = Path(folder)
        self._lock = threading.Lock()
        self._busy: dict[str, threading.Lock] = {}
        self._useless: dict[str, Reply | MalformedReply] = {}

    def key(self, model: Sequence[str], prompt: Prompt, number: int) -> str:
        """The address of the `number`-th reply of `model` (server and name) to `prompt`. Time limits do not count."""
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
            reply = Reply.from_dict(found["reply"]) if found["schema"] == SCHEMA else None
            return reply if reply and _is_sound(reply) else None
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
        self._useless.pop(key, None)
        with suppress(OSError):
            self._file(key).unlink(missing_ok=True)

    def set_aside(self, key: str, answer: Reply | MalformedReply | None) -> None:
        """Keep an answer that is no verdict in memory, for the one who asks next in this session: it was paid."""
        self.drop(key)
        if answer is not None:
            self._useless[key] = answer

    def useless(self, key: str) -> Reply | MalformedReply | None:
        return self._useless.get(key)

    def _file(self, key: str) -> Path:
        return self._folder / f"{key}.json"

    def _make_folder(self) -> None:
        if not self._folder.is_dir():
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self._folder / ".gitignore").write_text("*\n", encoding="utf-8")


def _is_sound(reply: Reply) -> bool:
    """Whether a reply that was read is one a model can give: the file may be of anybody's making."""
    texts = [reply.text, reply.finish_reason, reply.reasoning, reply.model, reply.request_id]
    texts += [text for call in reply.calls for text in (call.name, call.call_id)]
    if not all(isinstance(text, str) for text in texts):
        return False
    usage = reply.usage
    if usage is None:
        return True
    counts = (usage.input_tokens, usage.output_tokens, usage.cached_tokens)
    whole = all(type(count) is int and count >= 0 for count in counts)
    cost = usage.cost
    return whole and (cost is None or (type(cost) in (int, float) and 0 <= cost < math.inf))


class CachedModel:
    """`llm`, asked only for what `cache` does not hold: give it to one `Judge`.

    The second identical request is a second reply, so that repeated questions stay repeated ones. `paid` is what was
    spent on requests that were sent. `server` tells apart models of one name. `ahead`: what comes to nothing is told
    to the next who asks as well, who then need not pay for it.
    """

    def __init__(self, llm: Model, cache: VerdictCache, *, server: str = "", ahead: bool = False) -> None:
        self._llm, self._cache, self._server, self._ahead = llm, cache, server, ahead
        self._asked: dict[str, int] = {}  # first key of a request → how often it was made
        self._latest: dict[str, Reply | MalformedReply] = {}
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
            answer = self._cache.useless(key) or self._cache.get(key) or self._bought(key, prompt)
        self._latest[key] = answer
        if isinstance(answer, MalformedReply):
            raise answer
        return answer

    def _bought(self, key: str, prompt: Prompt) -> Reply | MalformedReply:
        try:
            reply = self._llm.chat(prompt)
        except MalformedReply as answer:  # a judge reads what it wrote: it is an answer, and no other will come
            if self._ahead:
                self._cache.set_aside(key, answer)
            return answer
        except Exception:
            self._asked[self._key(prompt, 1)] -= 1  # the next attempt is the same question
            raise
        self._spent.append(reply.usage or Usage())
        self._cache.put(key, reply)
        return reply

    def forget(self, prompt: Prompt) -> None:
        """The latest reply to `prompt` was of no use."""
        key = self._key(prompt, self._asked.get(self._key(prompt, 1), 1))
        if self._ahead:
            self._cache.set_aside(key, self._latest.get(key))
        else:
            self._cache.drop(key)

    def _next_key(self, prompt: Prompt) -> str:
        first = self._key(prompt, 1)
        number = self._asked[first] = self._asked.get(first, 0) + 1
        return first if number == 1 else self._key(prompt, number)

    def _key(self, prompt: Prompt, number: int) -> str:
        return self._cache.key([self._server, self.name], prompt, number)

    def __getattr__(self, attribute: str) -> Any:  # no_sleep, is_async
        return getattr(self._llm, attribute)
