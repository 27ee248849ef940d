"""`OpenAIBackend`: any server that speaks OpenAI's chat completions, with or without the `openai` SDK."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from looplet.backends.connect import checked_key, choose_transport
from looplet.backends.dialect import Dialect
from looplet.backends.flow import run_async
from looplet.backends.openai_reply import check_read_whole, read_answer
from looplet.backends.openai_server import OPENAI, UNKNOWN, ask_server
from looplet.backends.openai_stream import CompletionAssembly
from looplet.backends.openai_transport import HttpTransport, SdkTransport
from looplet.backends.openai_wire import openai_tool, reply_format
from looplet.backends.provider import LIST_S, TIMEOUT_S, ProviderBackend
from looplet.backends.provider_errors import Asked
from looplet.backends.sdk import is_async_client
from looplet.errors import AuthError, ToolsUnsupported

if TYPE_CHECKING:
    from typing import Self

    from looplet.backends.connect import TransportName
    from looplet.backends.flow import Exchange
    from looplet.backends.http import HttpAnswer
    from looplet.backends.openai_server import Server
    from looplet.backends.openai_transport import Transport
    from looplet.backends.provider_errors import Complaint
    from looplet.backends.streaming import OnChunk, StreamedAnswer
    from looplet.errors import BackendError
    from looplet.messages import Capabilities, Prompt, Reply, ToolSchema

_OPENAI_URL = "https://api.openai.com/v1"
_PROBES = 3
_OLLAMA_LINE = "OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2"


class OpenAIBackend(ProviderBackend):
    """A chat completions model: from an `openai` client, from a base URL, or `.from_env()`.

    `max_tokens`, `temperature`, `timeout_s` (seconds for one request) and `extra` are used where the loop's own
    settings are silent. `transport` forces "sdk" (the `openai` package) or "http" (the standard library); both send the
    same requests and raise the same errors. What a server refuses is learnt once for the life of the backend.

    With an `AsyncOpenAI` client `is_async` is True, and `chat` and `stream` return awaitables.
    """

    def __init__(
        self,
        client: Any = None,
        *,
        model: str,
        base_url: str | None = None,
        api_key: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        timeout_s: float | None = None,
        extra: dict[str, Any] | None = None,
        transport: TransportName | None = None,
    ) -> None:
        url = _client_url(client) if client is not None else base_url or _OPENAI_URL
        super().__init__(model, url, is_async=client is not None and is_async_client(client), timeout_s=timeout_s)
        self._defaults = {"temperature": temperature, "max_tokens": max_tokens}
        self._extra = dict(extra or {})
        if client is not None:
            self._transport: Transport = SdkTransport(client, self.base_url)
        else:
            self._transport = _connect(self.base_url, _key(api_key, base_url), timeout_s or TIMEOUT_S, transport)
        # what a server can do is asked by a plain request, also when everything else is awaited
        self._probe = self._transport if not self.is_async else HttpTransport(self.base_url, _key_of(client), LIST_S)
        official = urlsplit(self.base_url).hostname == "api.openai.com"
        self._dialect = Dialect(limit="max_completion_tokens" if official else "max_tokens")
        self._latest_tools: tuple[tuple[ToolSchema, ...], list[dict[str, Any]]] = ((), [])
        self._server: Server | None = OPENAI if official else None
        self._probes_left = _PROBES
        self._lock = threading.Lock()

    @classmethod
    def from_env(cls, **options: Any) -> Self:
        """Read OPENAI_BASE_URL (default OpenAI), OPENAI_API_KEY and OPENAI_MODEL; `options` go to the constructor.

        With a base URL the key may be missing: local servers want none.
        """
        base_url = os.environ.get("OPENAI_BASE_URL") or None
        api_key = os.environ.get("OPENAI_API_KEY") or None
        if base_url is None and api_key is None:
            raise AuthError(f"neither OPENAI_API_KEY nor OPENAI_BASE_URL is set; for a local model: {_OLLAMA_LINE}")
        model = options.pop("model", None) or os.environ.get("OPENAI_MODEL")
        if not model:
            if base_url is not None:
                raise ValueError(f"OPENAI_MODEL is not set; name a model that {base_url} serves")
            model = "gpt-4o-mini"
        return cls(model=model, base_url=base_url, api_key=api_key or "unused", **options)

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do. The first look asks the server, unless it is OpenAI's own."""
        known = self._recognise().capabilities
        return known.replace(reply_schema=known.reply_schema and "response_format" not in self._dialect.refused)

    def close(self) -> None:
        """Close idle connections; the backend stays usable."""
        self._transport.close()
        self._probe.close()

    def _run(self, exchange: Exchange[Reply]) -> Reply:
        return self._recognised_first(exchange) if self.is_async else super()._run(exchange)  # type: ignore[return-value]  # see class

    async def _recognised_first(self, exchange: Exchange[Reply]) -> Reply:
        if self._server is None:
            from asyncio import to_thread  # only for those who are in an event loop already

            await to_thread(self._recognise)
        return await run_async(exchange)

    def _check(self, prompt: Prompt) -> None:
        if prompt.tools and not self._known_server().capabilities.native_tools:
            raise ToolsUnsupported(f"model {self.model!r} at {self.base_url} takes no tools; the text protocol works")

    def _tools(self, tools: tuple[ToolSchema, ...]) -> list[dict[str, Any]]:
        """The same list for the same tools, which spares the encoder its work."""
        latest, listed = self._latest_tools
        if latest is not tools:
            listed = [openai_tool(tool) for tool in tools]
            self._latest_tools = (tools, listed)
        return listed

    def _parameters(self, prompt: Prompt, *, streamed: bool) -> dict[str, Any]:
        """Everything but the messages. No tool_choice: servers ignore it, refuse it, or take it for something else."""
        settings = prompt.settings
        parameters: dict[str, Any] = {"model": self.model}
        if prompt.tools:
            parameters["tools"] = self._tools(prompt.tools)
        if settings.reply_schema is not None:
            parameters["response_format"] = reply_format(settings.reply_schema)
        own = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
        for name, value in own.items():
            chosen = self._defaults[name] if value is None else value
            if chosen is not None:
                parameters[name] = chosen
        if streamed:
            parameters |= {"stream": True, "stream_options": {"include_usage": True}}
        return parameters | self._extra | settings.extra

    def _send(self, prompt: Prompt, parameters: dict[str, Any], streamed: StreamedAnswer | None) -> HttpAnswer:
        seconds = prompt.settings.timeout_s or self._timeout_s
        return self._transport.chat(prompt, parameters, seconds, streamed.feed if streamed else None)

    def _get(self, path: str, timeout_s: float) -> HttpAnswer:
        return self._transport.get(path, timeout_s)

    def _assembly(self, on_chunk: OnChunk) -> CompletionAssembly:
        return CompletionAssembly(on_chunk)

    def _read(self, prompt: Prompt, answer: HttpAnswer, *, streamed: bool) -> Reply:
        reply = read_answer(prompt, answer, self._asked(), streamed=streamed)
        if self._known_server().truncates:
            check_read_whole(prompt, reply, self.base_url)
        return reply

    def _recognise(self) -> Server:
        """The server behind the base URL, asked once. Never fails: an unknown server is taken at its word."""
        if self._server is None:
            with self._lock:
                if self._server is None and self._probes_left:
                    self._probes_left -= 1
                    self._server = ask_server(self._probe) or (None if self._probes_left else UNKNOWN)
        return self._server or UNKNOWN

    def _known_server(self) -> Server:
        """The same inside an exchange, where an event loop must not wait for it."""
        return self._server or UNKNOWN if self.is_async else self._recognise()

    def _error(self, complaint: Complaint, answer: HttpAnswer) -> Exchange[BackendError]:
        error = yield from super()._error(complaint, answer)
        if isinstance(error, ToolsUnsupported):
            server = self._known_server()
            self._server = server.replace(capabilities=server.capabilities.replace(native_tools=False))
        return error

    def _asked(self) -> Asked:
        return Asked(self.base_url, self.model)


def _connect(base_url: str, api_key: str, timeout_s: float, transport: str | None) -> Transport:
    kind = SdkTransport.connect if choose_transport(transport, "openai") == "sdk" else HttpTransport
    return kind(base_url, api_key, timeout_s)


def _key(api_key: str | None, base_url: str | None) -> str:
    """The key to send. The environment's key goes to OpenAI only, never to a base URL given in code."""
    key = api_key or (os.environ.get("OPENAI_API_KEY", "") if base_url is None else "unused")
    if not key:
        raise AuthError(
            f"no key for {_OPENAI_URL}: set OPENAI_API_KEY or pass api_key=; for a local model: {_OLLAMA_LINE}"
        )
    return checked_key(key, "OPENAI_API_KEY")


def _client_url(client: Any) -> str:
    if not hasattr(getattr(client, "chat", None), "completions"):
        raise TypeError(
            f"OpenAIBackend(client) takes an openai.OpenAI client, not {type(client).__name__};"
            " without a client pass base_url= and api_key="
        )
    return str(getattr(client, "base_url", "")).rstrip("/")


def _key_of(client: Any) -> str:
    """The client's key, for a probe; a key that a function supplies is not known."""
    key = getattr(client, "api_key", None)
    return key.strip() if isinstance(key, str) and key.isascii() and key.strip().isprintable() else "unused"
