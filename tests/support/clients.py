"""A backend for a server, by each of the ways to reach it."""

from __future__ import annotations

from contextlib import contextmanager
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar

from tests.support.event_loop import InEventLoop

from looplet.backends import AnthropicBackend, OpenAIBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

    B = TypeVar("B", OpenAIBackend, AnthropicBackend)

WAYS = ("sdk", "http", "async")
_ASYNC_CLIENT = {OpenAIBackend: ("openai", "AsyncOpenAI"), AnthropicBackend: ("anthropic", "AsyncAnthropic")}


@contextmanager
def connected(kind: type[B], server: Any, way: str, **options: Any) -> Iterator[B]:
    """`server` has a `base_url`. The async one is used like the others: `chat` and `stream` wait for it."""
    options = {"model": "m"} | options
    if way == "async":
        package, name = _ASYNC_CLIENT[kind]
        client = getattr(import_module(package), name)(base_url=server.base_url, api_key="key")
        backend: Any = InEventLoop(lambda: kind(client, **options), client)
    else:
        options["transport"] = way
        backend = kind(base_url=server.base_url, api_key="key", **options)
    yield backend
    backend.close()
