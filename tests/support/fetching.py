"""A small agent whose calls succeed, fail and are refused: for hooks that watch."""

from __future__ import annotations

from looplet import Deny, ToolCall, tool


@tool
def fetch(url: str) -> str:
    """Fetch a page; `bad` does not exist."""
    if url == "bad":
        raise OSError("no such page")
    return "text"


class Guard:
    """Refuses the page `secret`."""

    def pre_dispatch(self, state: object, log: object, tool_call: ToolCall, step: int) -> Deny | None:
        return Deny("no") if tool_call.args.get("url") == "secret" else None
