"""`OpenAIBackend`: any server that speaks OpenAI's chat completions, with or without the `openai` SDK."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

from looplet.backends.openai_dialect import Dialect
from looplet.backends.openai_errors import as_error, parse_json, read_complaint, unreadable
from looplet.backends.openai_server import OPENAI, UNKNOWN, Server, ask_server, served_models
from looplet.backends.openai_transport import HttpTransport, SdkTransport
from looplet.backends.openai_wire import openai_tool, read_reply, reply_format
from looplet.errors import AuthError, ContentFiltered, ContextOverflow, ToolsUnsupported, UnknownModel

if TYPE_CHECKING:
    from typing import Self

    from looplet.backends.http import HttpAnswer
    from looplet.backends.openai_errors import Complaint
    from looplet.backends.openai_transport import Transport
    from looplet.errors import BackendError
    from looplet.messages import Capabilities, Prompt, Reply

_OPENAI_URL = "https://api.openai.com/v1"
_TIMEOUT_S = 600.0  # a local server loads the model during the first request
_PROBES = 3
_SHOWN_MODELS = 10
# A prompt of at least this many characters that counts as less than a tenth in tokens was not read to its end.
_SUSPECT_CHARS = 16_000
_CHARS_PER_TOKEN = 10  # text and code have 2 to 5
_OLLAMA_LINE = "OPENAI_BASE_URL=http://127.0.0.1:11434/v1 OPENAI_MODEL=llama3.2"


class OpenAIBackend:
    """A chat completions model: from an `openai` client, from a base URL, or `.from_env()`.

    `max_tokens`, `temperature`, `timeout_s` (seconds for one request) and `extra` are used where the loop's own
    settings are silent. `transport` forces "sdk" (the `openai` package) or "http" (the standard library); both send the
    same requests and raise the same errors. What a server refuses is learnt once for the life of the backend.
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
        transport: Literal["sdk", "http"] | None = None,
    ) -> None:
        if not isinstance(model, str) or not model:
            raise TypeError(f"OpenAIBackend(model=...) is {model!r}; give the name of a model")
        self.name = model
        self.model = model
        self.base_url = _client_url(client) if client is not None else base_url or _OPENAI_URL
        self.is_async = client is not None and _is_async_client(client)
        self._defaults = {"temperature": temperature, "max_tokens": max_tokens}
        self._timeout_s = timeout_s
        self._extra = dict(extra or {})
        if client is not None:
            self._transport: Transport = SdkTransport(client, self.base_url)
        else:
            self._transport = _connect(self.base_url, _key(api_key, base_url), timeout_s or _TIMEOUT_S, transport)
        official = urlsplit(self.base_url).hostname == "api.openai.com"
        self._dialect = Dialect(limit="max_completion_tokens" if official else "max_tokens")
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

    def __repr__(self) -> str:
        return f"OpenAIBackend(model={self.model!r}, base_url={self.base_url!r})"

    @property
    def capabilities(self) -> Capabilities:
        """What the server can do. The first look asks the server, unless it is OpenAI's own."""
        known = self._recognise().capabilities
        return known.replace(reply_schema=known.reply_schema and "response_format" not in self._dialect.refused)

    def chat(self, prompt: Prompt) -> Reply:
        """Send one request and read its answer; a parameter the server refuses is left out at once and from then on."""
        if self.is_async:
            raise TypeError(
                f"{self!r} has an AsyncOpenAI client; pass an OpenAI client to use it in a plain `for` loop"
            )
        if prompt.tools and not self._recognise().capabilities.native_tools:
            raise ToolsUnsupported(f"model {self.model!r} at {self.base_url} takes no tools; the text protocol works")
        while True:
            dialect = self._dialect
            parameters = dialect.spell(self._parameters(prompt))
            answer = self._transport.chat(prompt, parameters, prompt.settings.timeout_s or self._timeout_s)
            complaint = read_complaint(answer)
            if complaint is None:
                return self._reply(prompt, answer)
            learnt = dialect.learn(complaint, parameters)
            if learnt is None:
                raise self._error(complaint, answer)
            self._dialect = learnt

    def close(self) -> None:
        """Close idle connections; the backend stays usable."""
        self._transport.close()

    def _parameters(self, prompt: Prompt) -> dict[str, Any]:
        """Everything but the messages. No tool_choice: servers ignore it, refuse it, or take it for something else."""
        settings = prompt.settings
        parameters: dict[str, Any] = {"model": self.model}
        if prompt.tools:
            parameters["tools"] = [openai_tool(tool) for tool in prompt.tools]
        if settings.reply_schema is not None:
            parameters["response_format"] = reply_format(settings.reply_schema)
        own = {"temperature": settings.temperature, "max_tokens": settings.max_tokens}
        for name, value in own.items():
            chosen = self._defaults[name] if value is None else value
            if chosen is not None:
                parameters[name] = chosen
        return parameters | self._extra | settings.extra

    def _reply(self, prompt: Prompt, answer: HttpAnswer) -> Reply:
        data = parse_json(answer.body)
        choices = data.get("choices") if isinstance(data, dict) else None
        if not isinstance(choices, list) or not choices or not isinstance(choices[0], dict):
            raise unreadable(answer, self.base_url)
        reply = read_reply(data, answer.headers.get("x-request-id", ""))
        if reply.finish_reason == "content_filter":
            raise ContentFiltered(
                f"{self.base_url} withheld the reply of model {self.model!r}: content filter",
                status=answer.status,
                request_id=reply.request_id,
            )
        self._check_read_whole(prompt, reply)
        return reply

    def _check_read_whole(self, prompt: Prompt, reply: Reply) -> None:
        """Raise ContextOverflow when the server must have cut the prompt, as Ollama does without a word."""
        if not self._recognise().truncates or reply.usage is None or not reply.usage.input_tokens:
            return
        sent, read = sum(len(message.content) for message in prompt.messages), reply.usage.input_tokens
        if sent >= _SUSPECT_CHARS and sent > _CHARS_PER_TOKEN * read:
            raise ContextOverflow(
                f"{self.base_url} read only {read} tokens of a prompt of {sent} characters: it cut the prompt silently."
                " Shorten the conversation, or give the model a larger window (Ollama: OLLAMA_CONTEXT_LENGTH=32768)",
                request_id=reply.request_id,
            )

    def _recognise(self) -> Server:
        """The server behind the base URL, asked once. Never fails: an unknown server is taken at its word."""
        if self._server is None and not self.is_async:
            with self._lock:
                if self._server is None and self._probes_left:
                    self._probes_left -= 1
                    self._server = ask_server(self._transport) or (None if self._probes_left else UNKNOWN)
        return self._server or UNKNOWN

    def _error(self, complaint: Complaint, answer: HttpAnswer) -> BackendError:
        error = as_error(complaint, answer, self.base_url, self.model)
        if isinstance(error, ToolsUnsupported):
            server = self._recognise()
            self._server = server.replace(capabilities=server.capabilities.replace(native_tools=False))
        if isinstance(error, UnknownModel) and (served := served_models(self._transport)):
            more = " ..." if len(served) > _SHOWN_MODELS else ""
            text = f"{error}; it serves: {', '.join(served[:_SHOWN_MODELS])}{more}"
            return UnknownModel(text, status=error.status, request_id=error.request_id)
        return error


def _connect(base_url: str, api_key: str, timeout_s: float, transport: str | None) -> Transport:
    if transport not in (None, "sdk", "http"):
        raise ValueError(f"transport is {transport!r}; use 'sdk', 'http', or None for the SDK where it is installed")
    if transport is None:
        from importlib.util import find_spec

        transport = "sdk" if find_spec("openai") else "http"
    if transport == "sdk":
        return SdkTransport.connect(base_url, api_key, timeout_s)
    return HttpTransport(base_url, api_key, timeout_s)


def _key(api_key: str | None, base_url: str | None) -> str:
    """The key to send. The environment's key goes to OpenAI only, never to a base URL given in code."""
    key = api_key or (os.environ.get("OPENAI_API_KEY", "") if base_url is None else "unused")
    if not key:
        raise AuthError(
            f"no key for {_OPENAI_URL}: set OPENAI_API_KEY or pass api_key=; for a local model: {_OLLAMA_LINE}"
        )
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise AuthError("the API key holds characters no HTTP header can carry; check OPENAI_API_KEY for stray text")
    return key


def _client_url(client: Any) -> str:
    if not hasattr(getattr(client, "chat", None), "completions"):
        raise TypeError(
            f"OpenAIBackend(client) takes an openai.OpenAI client, not {type(client).__name__};"
            " without a client pass base_url= and api_key="
        )
    return str(getattr(client, "base_url", "")).rstrip("/")


def _is_async_client(client: object) -> bool:
    """By class name: the SDK wraps its coroutine methods in plain functions."""
    return any(base.__name__ == "AsyncAPIClient" for base in type(client).__mro__)
