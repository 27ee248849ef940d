"""Ollama through its OpenAI-compatible endpoint: where it listens, which models it has."""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from looplet.backends.openai import OpenAIBackend
from looplet.backends.openai_server import served_models as listed_models
from looplet.backends.openai_transport import HttpTransport
from looplet.backends.provider_errors import parse_json
from looplet.errors import ConnectionFailed

_PORT = 11434
_ASK_S = 5.0
_BIND_ALL = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104  # addresses to listen on, replaced because none can be called


def ollama_backend(model: str, base_url: str | None = None, **options: Any) -> OpenAIBackend:
    """A backend for an Ollama server: at `base_url`, else where OLLAMA_HOST says, else on this machine."""
    return OpenAIBackend(model=model, base_url=ollama_base_url(base_url or os.environ.get("OLLAMA_HOST")), **options)


def ollama_base_url(value: str | None) -> str:
    """The base URL for a value of OLLAMA_HOST, in any of the forms Ollama itself accepts.

    Without a scheme the port defaults to 11434, with one to that of the scheme. A path is kept, /v1 appended.
    """
    text = (value or "").strip().strip("\"'").strip()
    scheme, explicit, rest = text.partition("://") if "://" in text else ("http", "", text)
    authority, _, path = rest.partition("/")
    if authority.count(":") > 1 and not authority.startswith("["):
        authority = f"[{authority}]"  # a bare IPv6 address
    try:
        parts = urlsplit(f"//{authority}")
        host, port = parts.hostname or "127.0.0.1", parts.port
    except ValueError as error:
        raise ValueError(f"OLLAMA_HOST is {value!r}: {error}; write host, host:port or a URL") from error
    if scheme not in ("http", "https"):
        raise ValueError(f"OLLAMA_HOST is {value!r}: the scheme must be http or https")
    host = _BIND_ALL.get(host, host)
    host = f"[{host}]" if ":" in host else host
    port = port or (None if explicit else _PORT)
    path = path.strip("/").removesuffix("v1").strip("/")
    return f"{scheme}://{host}{f':{port}' if port else ''}{f'/{path}' if path else ''}/v1"


def served_models(base_url: str) -> list[str]:
    """Names of the models a server has: Ollama's own list, or the OpenAI-compatible one where there is none.

    Raise ConnectionFailed when nobody answers.
    """
    transport = HttpTransport(base_url, "unused", _ASK_S)
    try:
        tags = parse_json(transport.get("/api/tags", _ASK_S).body)
        if isinstance(tags, dict) and isinstance(tags.get("models"), list):
            return [str(entry.get("name")) for entry in tags["models"] if isinstance(entry, dict)]
        return listed_models(transport)
    except ConnectionFailed as error:
        raise ConnectionFailed(f"{error} For Ollama: `ollama serve`; elsewhere: set OLLAMA_HOST") from error
    finally:
        transport.close()
