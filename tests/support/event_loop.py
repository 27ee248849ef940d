"""Async backends for tests that are written once for sync and async."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.messages import Prompt, Reply


class InEventLoop:
    """An async backend whose `chat` and `stream` are awaited in an event loop of its own; all else is the backend's."""

    def __init__(self, make: Callable[[], Any], client: Any) -> None:
        self._runner = asyncio.Runner()
        self._client = client
        self._backend = make()

    def chat(self, prompt: Prompt) -> Reply:
        reply: Reply = self._runner.run(self._backend.chat(prompt))
        return reply

    def stream(self, prompt: Prompt, on_chunk: Callable[..., object]) -> Reply:
        reply: Reply = self._runner.run(self._backend.stream(prompt, on_chunk))
        return reply

    def close(self) -> None:
        self._backend.close()
        self._runner.run(self._client.close())
        self._runner.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)
