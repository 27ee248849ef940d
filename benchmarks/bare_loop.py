"""The yardstick: an agent loop with nothing but the loop, which encodes each message once."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


def bare_loop(
    model: Callable[[list[bytes | bytearray]], dict[str, Any]],
    tools: dict[str, Callable[..., Any]],
    schemas: bytes,
    task: str,
) -> Iterator[dict[str, Any]]:
    """Yield one record a call; the request body only ever grows at its end."""
    body = bytearray(b'{"model":"m","messages":[')

    def add(message: dict[str, Any]) -> None:
        if body[-1:] != b"[":
            body.extend(b",")
        body.extend(json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode())

    add({"role": "user", "content": task})
    while True:
        reply = model([body, b'],"tools":' + schemas + b"}"])
        add(reply)
        for call in reply["tool_calls"]:
            name, arguments = call["function"]["name"], json.loads(call["function"]["arguments"])
            if name == "done":
                return
            result = tools[name](**arguments)
            add({"role": "tool", "tool_call_id": call["id"], "content": json.dumps(result)})
            yield {"tool": name, "args": arguments, "result": result}
