"""Two ways to the same endpoint, one behaviour: the `openai` SDK's client, or the standard library's."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Protocol

from looplet.backends.http import HttpAnswer, HttpClient, unreachable
from looplet.backends.openai_body import BodyEncoder
from looplet.backends.openai_wire import openai_messages
from looplet.errors import BackendTimeout, ConnectionFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from looplet.messages import Prompt


class Transport(Protocol):
    """Sends, and reports whatever came back; it judges nothing. Raises ConnectionFailed and BackendTimeout only."""

    def chat(self, prompt: Prompt, parameters: dict[str, Any], timeout_s: float | None) -> HttpAnswer:
        """POST /chat/completions with the messages of `prompt` and all other `parameters`."""
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

    def chat(self, prompt: Prompt, parameters: dict[str, Any], timeout_s: float | None) -> HttpAnswer:
        with self._encoder.body(parameters, prompt) as pieces:
            seconds = self._timeout_s if timeout_s is None else timeout_s
            return self._client.request("POST", f"{self._version}/chat/completions", pieces, timeout_s=seconds)

    def get(self, path: str, timeout_s: float) -> HttpAnswer:
        return self._client.request("GET", path, timeout_s=timeout_s)

    def close(self) -> None:
        self._client.close()


class SdkTransport:
    """The user's `openai` client, or one of ours. Its retries are off: the loop's own policy sees every attempt."""

    def __init__(self, client: Any, base_url: str) -> None:  # Any: `openai` is not a dependency
        self._client = client.with_options(max_retries=0) if hasattr(client, "with_options") else client
        self._base_url = base_url
        self._failures = _sdk_failures()

    @classmethod
    def connect(cls, base_url: str, api_key: str, timeout_s: float) -> SdkTransport:
        from openai import OpenAI, Timeout  # optional, and takes a third of a second to load

        client = OpenAI(base_url=base_url, api_key=api_key, timeout=Timeout(timeout_s, connect=10.0))
        return cls(client, base_url)

    def chat(self, prompt: Prompt, parameters: dict[str, Any], timeout_s: float | None) -> HttpAnswer:
        completions = self._client.chat.completions
        more = {name: value for name, value in parameters.items() if name != "model"}
        request: dict[str, Any] = {"model": parameters["model"], "messages": openai_messages(prompt)}
        request["extra_body"] = more  # what the SDK's own signature does not know passes too
        if timeout_s is not None:
            request["timeout"] = timeout_s
        if not hasattr(completions, "with_raw_response"):  # a hand-made client
            return HttpAnswer(200, {}, json.dumps(completions.create(**request), default=_as_dict).encode())
        return self._send(lambda: completions.with_raw_response.create(**request).http_response)

    def get(self, path: str, timeout_s: float) -> HttpAnswer:
        if not hasattr(self._client, "get"):
            return HttpAnswer(404, {}, b"")
        url = server_root(self._base_url) + path
        return self._send(lambda: self._client.get(url, cast_to=str, options={"timeout": timeout_s}))

    def close(self) -> None:
        """A client that was handed in belongs to its owner, and ours closes when it is collected."""

    def _send(self, request: Any) -> HttpAnswer:
        status_error, connection_error, timeout_error = self._failures
        try:
            response = request()
        except status_error as error:
            response = error.response
        except timeout_error as error:
            raise BackendTimeout(f"{self._base_url} did not answer in time") from error
        except connection_error as error:
            raise ConnectionFailed(unreachable(self._base_url, _root_cause(error))) from error
        if isinstance(response, str):
            return HttpAnswer(200, {}, response.encode())
        headers = {name.lower(): value for name, value in response.headers.items()}
        return HttpAnswer(response.status_code, headers, response.content)


def server_root(base_url: str) -> str:
    """The base URL without its /v1: where a server's own endpoints are."""
    return base_url.rstrip("/").removesuffix("/v1")


def _sdk_failures() -> Sequence[type[Any]]:
    try:
        from openai import APIConnectionError, APIStatusError, APITimeoutError
    except ImportError:  # a hand-made client; what it raises is its own
        return (_Never, _Never, _Never)
    return (APIStatusError, APIConnectionError, APITimeoutError)


class _Never(Exception):
    """Stands for an exception that cannot come."""


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ is not None:
        error = error.__cause__
    return error


def _as_dict(value: Any) -> Any:
    return value.model_dump() if hasattr(value, "model_dump") else vars(value)
