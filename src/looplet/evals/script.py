"""The script of a case as a scripted model."""

from __future__ import annotations

from typing import Any

from looplet.backends.mock import MockLLMBackend
from looplet.types import ToolCall


def scripted(script: Any) -> MockLLMBackend:
    """Make the model: `script` is a list of replies or a policy; in JSON files a call is {"tool": ..., "args": ...}."""
    return MockLLMBackend(script if callable(script) else [_response(entry) for entry in script])


def _response(entry: Any) -> Any:
    if isinstance(entry, dict):
        return ToolCall.from_dict(entry)
    if isinstance(entry, list):
        return [_response(call) for call in entry]
    return entry
