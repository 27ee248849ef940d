"""A tool as the core sees it, without the tools package."""

from __future__ import annotations

from typing import Any

from looplet.messages import ToolSchema


class FakeTool:
    """Conforms to `looplet.protocols.Tool`."""

    free = False
    concurrent_safe = False
    timeout_s: float | None = None
    needs_approval = False
    idempotent = False

    def __init__(self, name: str, parameters: dict[str, Any]) -> None:
        self.schema = ToolSchema(name, "", parameters)


def tools_with(**properties: Any) -> dict[str, FakeTool]:
    """A tool `act` with these properties, none of them required."""
    return {"act": FakeTool("act", {"type": "object", "properties": properties})}
