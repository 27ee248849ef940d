"""Two ways to the Messages API: the `anthropic` SDK's client, or the standard library's."""

from __future__ import annotations

import json
import weakref
from typing import TYPE_CHECKING, Any, Protocol

from looplet._core.to_text import encodable
from looplet.backends.http import HttpClient
from looplet.backends.openai_transport import server_root
from looplet.backends.sdk import sdk_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.backends.http import HttpAnswer

_VERSION = "2023-06-01"  # of the API: compatible servers know it, and later ones refuse a temperature
_OWN = ("model", "messages", "max_tokens")  # the SDK's signature insists on these, and has dropped others before


class Transport(Protocol):
    """Sends, and reports whatever came back. That of an async client returns awaitables."""

    def post(
        self, request: dict[str, Any], timeout_s: float | None, on_data: Callable[[bytes], bool] | None = None
    ) -> HttpAnswer: ...

    def get(self, path: str, timeout_s: float) -> HttpAnswer: ...

    def close(self) -> None: ...


class HttpTransport:
    def __init__(self, base_url: str, api_key: str, timeout_s: float) -> None:
        headers = {"x-api-key": api_key, "anthropic-version": _VERSION, "User-Agent": "looplet"}
        self._client = HttpClient(server_root(base_url), headers, base_url)
        self._timeout_s = timeout_s

    def post(
        self, request: dict[str, Any], timeout_s: float | None, on_data: Callable[[bytes], bool] | None = None
    ) -> HttpAnswer:
        body = encodable(json.dumps(request, ensure_ascii=False, separators=(",", ":"))).encode()
        seconds = self._timeout_s if timeout_s is None else timeout_s
        return self._client.request("POST", "/v1/messages", (body,), timeout_s=seconds, on_data=on_data)

    def get(self, path: str, timeout_s: float) -> HttpAnswer:
        return self._client.request("GET", path, timeout_s=timeout_s)

    def close(self) -> None:
        self._client.close()


class SdkTransport:
    """The user's `anthropic` client, or one of ours."""

    def __init__(self, client: Any, base_url: str) -> None:  # Any: `anthropic` is not a dependency
        self._sdk = sdk_client(client, "anthropic", base_url)
        self._root = server_root(base_url)

    @classmethod
    def connect(cls, base_url: str, api_key: str, timeout_s: float) -> SdkTransport:
        from anthropic import Anthropic, Timeout  # optional, and takes half a second to load

        client = Anthropic(base_url=server_root(base_url), api_key=api_key, timeout=Timeout(timeout_s, connect=10.0))
        transport = cls(client, base_url)
        weakref.finalize(transport, client.close)  # in time: what is collected together is torn down in any order
        return transport

    def post(
        self, request: dict[str, Any], timeout_s: float | None, on_data: Callable[[bytes], bool] | None = None
    ) -> HttpAnswer:
        named = {name: request[name] for name in _OWN}
        named["extra_body"] = {name: value for name, value in request.items() if name not in _OWN}
        return self._sdk.create(self._sdk.client.messages, named, timeout_s, on_data)

    def get(self, path: str, timeout_s: float) -> HttpAnswer:
        return self._sdk.get(self._root + path, timeout_s)

    def close(self) -> None:
        """A client that was handed in belongs to its owner, and ours closes with the last reference to this."""
