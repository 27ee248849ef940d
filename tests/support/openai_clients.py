"""An OpenAIBackend for a server, by each of the ways to reach it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import pytest
from tests.support.event_loop import InEventLoop

from looplet.backends import OpenAIBackend

if TYPE_CHECKING:
    from collections.abc import Iterator

WAYS = ("sdk", "http", "async")


@contextmanager
def connected(server: Any, way: str, **options: Any) -> Iterator[OpenAIBackend]:
    """`server` has a `base_url`. The async one is used like the others: `chat` and `stream` wait for it."""
    options = {"model": "m"} | options
    if way == "async":
        client = pytest.importorskip("openai").AsyncOpenAI(base_url=server.base_url, api_key="key")
        backend: Any = InEventLoop(lambda: OpenAIBackend(client, **options), client)
    else:
        backend = OpenAIBackend(base_url=server.base_url, api_key="key", transport=cast("Any", way), **options)
    yield cast("OpenAIBackend", backend)
    backend.close()
