"""Finding out what answers at a base URL: does it take tools, follow a reply schema, cut long prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.backends.provider import model_ids
from looplet.backends.provider_errors import parse_json
from looplet.errors import BackendError
from looplet.messages import Capabilities

if TYPE_CHECKING:
    from looplet.backends.openai_transport import Transport

_PROBE_S = 3.0


class Server(Record):
    """`truncates` says that the server may cut a long prompt without a word."""

    capabilities: Capabilities
    truncates: bool = True


OPENAI = Server(Capabilities(reply_schema=True), truncates=False)
UNKNOWN = Server(Capabilities())


def ask_server(transport: Transport) -> Server | None:
    """Recognise llama.cpp and Ollama by their own endpoints; None when nobody answered, and asking again may help."""
    try:
        props = transport.get("/props", _PROBE_S)
        if props.status in (500, 502, 503, 504):  # still starting; 501 is a server that knows no GET
            return None
        if (found := _llama_cpp(parse_json(props.body))) is not None:
            return found
        version = parse_json(transport.get("/api/version", _PROBE_S).body)
    except BackendError:
        return None
    if isinstance(version, dict) and "version" in version:
        return Server(Capabilities(reply_schema=True))
    return UNKNOWN


def served_models(transport: Transport) -> list[str]:
    """Ids of the models the server lists; empty when it does not say."""
    try:
        return model_ids(transport.get("/v1/models", _PROBE_S))
    except BackendError:
        return []


def _llama_cpp(props: Any) -> Server | None:
    """llama.cpp renders `tools` with the model's chat template; a template without them drops them silently."""
    if not isinstance(props, dict) or "default_generation_settings" not in props:
        return None
    caps = props.get("chat_template_caps")
    if isinstance(caps, dict) and "supports_tools" in caps:
        tools = bool(caps["supports_tools"])
    else:  # before it reported capabilities
        tools = "tools" in str(props.get("chat_template") or "tools")
    window = (props.get("default_generation_settings") or {}).get("n_ctx")
    return Server(
        Capabilities(native_tools=tools, reply_schema=True, context_window=window if isinstance(window, int) else None),
        truncates=False,  # it refuses
    )
