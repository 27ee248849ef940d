"""Models: OpenAI-compatible servers, Anthropic, several in a row, the scripted one, and the adapter for yours."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from looplet.backends.adapter import adapt
    from looplet.backends.anthropic import AnthropicBackend
    from looplet.backends.fallback import FallbackBackend
    from looplet.backends.mock import MockLLMBackend
    from looplet.backends.openai import OpenAIBackend

__all__ = [
    "AnthropicBackend",
    "FallbackBackend",
    "MockLLMBackend",
    "OpenAIBackend",
    "adapt",
]

_HOME = {
    "AnthropicBackend": "anthropic",
    "FallbackBackend": "fallback",
    "MockLLMBackend": "mock",
    "OpenAIBackend": "openai",
    "adapt": "adapter",
}


if not TYPE_CHECKING:  # a type checker that saw it would let every misspelt name pass

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        from importlib import import_module  # not at import time: a backend is loaded when it is used

        return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return __all__
