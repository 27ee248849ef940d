"""Two ways to the same endpoint, one behaviour: the `openai` SDK's client, or the standard library's."""

from __future__ import annotations

import weakref
from typing import TYPE_CHECKING, Any, Protocol

from looplet.backends.http import HttpClient
from looplet.backends.openai_body import BodyEncoder
from looplet.backends.openai_wire import openai_messages
from looplet.backends.sdk import sdk_client

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.backends.http import HttpAnswer
    from looplet.messages import Prompt


class Transport(Protocol):
    """Sends, and reports whatever came back; it judges nothing. Raises ConnectionFailed and BackendTimeout only.

    That of an async client returns awaitables.
    """

    def chat(
        self,
        prompt: Prompt,
        parameters: dict[str, Any],
        timeout_s: float | None,
        on_data: Callable[[bytes], bool] | None = None,
    ) -> HttpAnswer:
        """POST /chat/completions with the messages of `prompt` and all other `parameters`.

        `on_data` is shown a successful answer as it comes, and returns True when it has seen all that matters.
        """
        ...

    def get(self, path: str, timeout_s: float) -> HttpAnswer:
        """GET `path` under the base URL without its /v1."""
        ...

    def close(self) -> None: ...


class HttpTransport:
    def __init__(self, base_url: str, api_key: str, timeout_s: float) -> None:
        self._client = HttpClient(
            server_root(base_url), {"Authorization": f"Bearer {api_key}", "User-Agent": "looplet"}, base_url
        )
        self._version = base_url.removeprefix(server_root(base_url)).rstrip("/")
        self._encoder = BodyEncoder()
        self._timeout_s = timeout_s

    def chat(
        self,
        prompt: Prompt,
        parameters: dict[str, Any],
        timeout_s: float | None,
        on_data: Callable[[bytes], bool] | None = None,
    ) -> HttpAnswer:
        with self._encoder.body(parameters, prompt) as pieces:
            seconds = self._timeout_s if timeout_s is None else timeout_s
            path = f"{self._version}/chat/completions"
            return self._client.request("POST", path, pieces, timeout_s=seconds, on_data=on_data)

    def get(self, path: str, timeout_s: float) -> HttpAnswer:
        return self._client.request("GET", path, timeout_s=timeout_s)

    def close(self) -> None:
        self._client.close()


class SdkTransport:
    """The user's `openai` client, or one of ours."""

    def __init__(self, client: Any, base_url: str) -> None:  # Any: `openai` is not a dependency
        self._sdk = sdk_client(client, "openai", base_url)
        self._completions = self._sdk.client.chat.completions
        self._base_url = base_url

    @classmethod
    def connect(cls, base_url: str, api_key: str, timeout_s: float) -> SdkTransport:
        from openai import OpenAI, Timeout  # optional, and takes a third of a second to load

        client = OpenAI(base_url=base_url, api_key=api_key, timeout=Timeout(timeout_s, connect=10.0))
        transport = cls(client, base_url)
        weakref.finalize(transport, client.close)  # in time: what is collected together is torn down in any order
        return transport

    def chat(
        self,
        prompt: Prompt,
        parameters: dict[str, Any],
        timeout_s: float | None,
        on_data: Callable[[bytes], bool] | None = None,
    ) -> HttpAnswer:
        more = {name: value for name, value in parameters.items() if name != "model"}
        request: dict[str, Any] = {"model": parameters["model"], "messages": openai_messages(prompt)}
        request["extra_body"] = more  # what the SDK's own signature does not know passes too
        return self._sdk.create(self._completions, request, timeout_s, on_data)

    def get(self, path: str, timeout_s: float) -> HttpAnswer:
        return self._sdk.get(server_root(self._base_url) + path, timeout_s)

    def close(self) -> None:
        """A client that was handed in belongs to its owner, and ours closes with the last reference to this."""


def server_root(base_url: str) -> str:
    """The base URL without its /v1: where a server's own endpoints are."""
    return base_url.rstrip("/").removesuffix("/v1")
