"""`AnthropicBackend`: the Messages API, with or without the `anthropic` SDK."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from looplet.backends.anthropic_stream import MessageAssembly
from looplet.backends.anthropic_transport import HttpTransport, SdkTransport
from looplet.backends.anthropic_wire import anthropic_request, read_message
from looplet.backends.connect import checked_key, choose_transport
from looplet.backends.provider import TIMEOUT_S, ProviderBackend
from looplet.backends.provider_errors import Asked, parse_json, request_id_of, unreadable
from looplet.backends.sdk import is_async_client
from looplet.errors import AuthError, ContentFiltered
from looplet.messages import Capabilities

if TYPE_CHECKING:
    from typing import Self

    from looplet.backends.anthropic_transport import Transport
    from looplet.backends.connect import TransportName
    from looplet.backends.dialect import Dialect
    from looplet.backends.flow import Exchange
    from looplet.backends.http import HttpAnswer
    from looplet.backends.provider_errors import Complaint
    from looplet.backends.streaming import OnChunk, StreamedAnswer
    from looplet.errors import BackendError
    from looplet.messages import Prompt, Reply

_ANTHROPIC_URL = "https://api.anthropic.com"
_WINDOW = 200_000  # every model the API serves has at least this
_OPTIONAL = ("temperature", "tool_choice", "top_k", "top_p")
_LIMIT = re.compile(r"max_tokens: \d+ > (\d+)")
# Errors inside a stream come without a status; these are the documented ones.
_STATUS = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class AnthropicBackend(ProviderBackend):
    """A Claude model: from an `anthropic` client, from a key, or `.from_env()`.

    `max_tokens` (the API insists on one), `temperature`, `timeout_s` (seconds for one request) and `extra` are used
    where the loop's own settings are silent. `cache=False` sets no cache markers. `transport` forces "sdk" (the
    `anthropic` package) or "http" (the standard library). Tool calls are always native; a reply schema is not
    supported.

    With an `AsyncAnthropic` client `is_async` is True, and `chat` and `stream` return awaitables.
    """

    def __init__(
        self,
        client: Any = None,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        max_tokens: int = 16_000,  # thinking counts
        temperature: float | None = None,
        timeout_s: float | None = None,
        extra: dict[str, Any] | None = None,
        cache: bool = True,
        transport: TransportName | None = None,
    ) -> None:
        url = _client_url(client) if client is not None else base_url or _ANTHROPIC_URL
        super().__init__(model, url, is_async=client is not None and is_async_client(client), timeout_s=timeout_s)
        self._max_tokens = max_tokens
        self._temperature = temperature
        self._extra = dict(extra or {})
        self._cache = cache
        if client is not None:
            self._transport: Transport = SdkTransport(client, self.base_url)
        else:
            self._transport = _connect(self.base_url, _key(api_key, base_url), timeout_s or TIMEOUT_S, transport)
        official = urlsplit(self.base_url).hostname == "api.anthropic.com"
        self.capabilities = Capabilities(context_window=_WINDOW if official else None)
        self._most_tokens: int | None = None  # of a reply; learnt

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Read ANTHROPIC_API_KEY, ANTHROPIC_BASE_URL and ANTHROPIC_MODEL; `options` go to the constructor.

        With a base URL the key may be missing.
        """
        base_url = os.environ.get("ANTHROPIC_BASE_URL") or None
        api_key = os.environ.get("ANTHROPIC_API_KEY") or None
        if base_url is None and api_key is None:
            raise AuthError(
                "ANTHROPIC_API_KEY is not set; set it, or ANTHROPIC_BASE_URL for a server that needs no key"
            )
        model = options.pop("model", None) or os.environ.get("ANTHROPIC_MODEL")
        if not model:
            raise ValueError(f"ANTHROPIC_MODEL is not set; name a model that {base_url or _ANTHROPIC_URL} serves")
        return cls(model=model, base_url=base_url, api_key=api_key or "unused", **options)

    def close(self) -> None:
        """Close idle connections; the backend stays usable."""
        self._transport.close()

    def _parameters(self, prompt: Prompt, *, streamed: bool) -> dict[str, Any]:
        settings = prompt.settings
        limit = settings.max_tokens or self._max_tokens
        parameters: dict[str, Any] = {"model": self.model, "max_tokens": min(limit, self._most_tokens or limit)}
        temperature = settings.temperature if settings.temperature is not None else self._temperature
        if temperature is not None:
            parameters["temperature"] = temperature
        if streamed:
            parameters["stream"] = True
        return parameters | self._extra | settings.extra | anthropic_request(prompt, cache=self._cache)

    def _send(self, prompt: Prompt, parameters: dict[str, Any], streamed: StreamedAnswer | None) -> HttpAnswer:
        seconds = prompt.settings.timeout_s or self._timeout_s
        return self._transport.post(parameters, seconds, streamed.feed if streamed else None)

    def _get(self, path: str, timeout_s: float) -> HttpAnswer:
        return self._transport.get(path, timeout_s)

    def _assembly(self, on_chunk: OnChunk) -> MessageAssembly:
        return MessageAssembly(on_chunk)

    def _learn(self, dialect: Dialect, complaint: Complaint, sent: dict[str, Any]) -> Dialect | None:
        most = _LIMIT.search(complaint.message)
        if most and complaint.status == 400 and int(most[1]) < sent["max_tokens"]:
            self._most_tokens = int(most[1])
            return dialect
        return dialect.learn(complaint, [name for name in _OPTIONAL if name in sent])

    def _read(self, prompt: Prompt, answer: HttpAnswer, *, streamed: bool) -> Reply:  # noqa: ARG002  # as in the base
        data = parse_json(answer.body)
        if not isinstance(data, dict) or not isinstance(data.get("content"), list):
            raise unreadable(answer, self._asked())
        reply = read_message(data, request_id_of(answer))
        if reply.finish_reason == "refusal":
            details = data.get("stop_details")
            why = details.get("explanation") if isinstance(details, dict) else None
            raise ContentFiltered(
                f"model {self.model!r} at {self.base_url} refused to answer: {why or 'no explanation was given'}",
                status=answer.status,
                request_id=reply.request_id,
            )
        return reply

    def _error(self, complaint: Complaint, answer: HttpAnswer) -> Exchange[BackendError]:
        if answer.status < 400:
            complaint = complaint.replace(status=_STATUS.get(complaint.code.strip(), complaint.status))
        return (yield from super()._error(complaint, answer))

    def _asked(self) -> Asked:
        return Asked(self.base_url, self.model, "ANTHROPIC_API_KEY", "is this the base URL, without /v1/messages?")


def _connect(base_url: str, api_key: str, timeout_s: float, transport: str | None) -> Transport:
    kind = SdkTransport.connect if choose_transport(transport, "anthropic") == "sdk" else HttpTransport
    return kind(base_url, api_key, timeout_s)


def _key(api_key: str | None, base_url: str | None) -> str:
    """The key to send. The environment's key goes to Anthropic only, never to a base URL given in code."""
    key = api_key or (os.environ.get("ANTHROPIC_API_KEY", "") if base_url is None else "unused")
    if not key:
        raise AuthError(f"no key for {_ANTHROPIC_URL}: set ANTHROPIC_API_KEY or pass api_key=")
    return checked_key(key, "ANTHROPIC_API_KEY")


def _client_url(client: Any) -> str:
    if not hasattr(client, "messages"):
        raise TypeError(
            f"AnthropicBackend(client) takes an anthropic.Anthropic client, not {type(client).__name__};"
            " without a client pass api_key="
        )
    return str(getattr(client, "base_url", "")).rstrip("/")
