"""An agent loop you iterate: `for step in composable_loop(llm=..., tools=..., task=...)`.

The names below are the interface; the modules behind them may move. They are looked up when first used, so that
importing the package costs next to nothing.

PYTEST_DONT_REWRITE (no test assertions in this package: saves pytest the rewriting, docs/architecture.md)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet._version import __version__

if TYPE_CHECKING:
    from looplet.async_run import AsyncRun
    from looplet.backends.fallback import FallbackBackend
    from looplet.backends.mock import MockLLMBackend
    from looplet.cancel import CancelToken
    from looplet.config import LoopConfig
    from looplet.decisions import Allow, Compact, Deny, InjectContext, Stop
    from looplet.errors import BackendError, HookError, LoopletError, ToolValidationError
    from looplet.hooks.approval import ApprovalHook
    from looplet.hooks.checkpoint import CheckpointHook
    from looplet.hooks.compaction import Prune, Truncate, compact_chain
    from looplet.hooks.debug import DebugHook
    from looplet.hooks.evaluation import EvalHook
    from looplet.hooks.limit import LimitHook
    from looplet.hooks.metrics import MetricsHook
    from looplet.hooks.permission import PermissionHook
    from looplet.hooks.pressure import ContextPressureHook
    from looplet.hooks.provenance import ProvenanceSink
    from looplet.hooks.rules import PermissionRule
    from looplet.hooks.stagnation import StagnationHook
    from looplet.hooks.summarize import Summarize
    from looplet.hooks.threshold import ThresholdCompactHook
    from looplet.hooks.tracing import TracingHook
    from looplet.loop import async_composable_loop, composable_loop, preview_prompt
    from looplet.messages import Capabilities, Message, Prompt, Reply
    from looplet.protocols import AgentState, LoopHook
    from looplet.replay import replay_loop
    from looplet.result import RunResult
    from looplet.resume import Resume, approve
    from looplet.run import Run
    from looplet.state import DefaultState
    from looplet.tools.context import ToolContext
    from looplet.tools.registry import BaseToolRegistry
    from looplet.tools.spec import ToolSpec, tool
    from looplet.trace.read import load_trace
    from looplet.types import ErrorKind, Step, ToolCall, ToolResult, Usage

_HOME = {
    "AgentState": "protocols",
    "Allow": "decisions",
    "ApprovalHook": "hooks.approval",
    "AsyncRun": "async_run",
    "BackendError": "errors",
    "BaseToolRegistry": "tools.registry",
    "CancelToken": "cancel",
    "Capabilities": "messages",
    "CheckpointHook": "hooks.checkpoint",
    "Compact": "decisions",
    "ContextPressureHook": "hooks.pressure",
    "DebugHook": "hooks.debug",
    "DefaultState": "state",
    "Deny": "decisions",
    "ErrorKind": "types",
    "EvalHook": "hooks.evaluation",
    "FallbackBackend": "backends.fallback",
    "HookError": "errors",
    "InjectContext": "decisions",
    "LimitHook": "hooks.limit",
    "LoopConfig": "config",
    "LoopHook": "protocols",
    "LoopletError": "errors",
    "Message": "messages",
    "MetricsHook": "hooks.metrics",
    "MockLLMBackend": "backends.mock",
    "PermissionHook": "hooks.permission",
    "PermissionRule": "hooks.rules",
    "Prompt": "messages",
    "ProvenanceSink": "hooks.provenance",
    "Prune": "hooks.compaction",
    "Reply": "messages",
    "Resume": "resume",
    "Run": "run",
    "RunResult": "result",
    "StagnationHook": "hooks.stagnation",
    "Step": "types",
    "Stop": "decisions",
    "Summarize": "hooks.summarize",
    "ThresholdCompactHook": "hooks.threshold",
    "ToolCall": "types",
    "ToolContext": "tools.context",
    "ToolResult": "types",
    "ToolSpec": "tools.spec",
    "ToolValidationError": "errors",
    "TracingHook": "hooks.tracing",
    "Truncate": "hooks.compaction",
    "Usage": "types",
    "approve": "resume",
    "async_composable_loop": "loop",
    "compact_chain": "hooks.compaction",
    "composable_loop": "loop",
    "load_trace": "trace.read",
    "preview_prompt": "loop",
    "replay_loop": "replay",
    "tool": "tools.spec",
}

__all__ = [
    "AgentState",
    "Allow",
    "ApprovalHook",
    "AsyncRun",
    "BackendError",
    "BaseToolRegistry",
    "CancelToken",
    "Capabilities",
    "CheckpointHook",
    "Compact",
    "ContextPressureHook",
    "DebugHook",
    "DefaultState",
    "Deny",
    "ErrorKind",
    "EvalHook",
    "FallbackBackend",
    "HookError",
    "InjectContext",
    "LimitHook",
    "LoopConfig",
    "LoopHook",
    "LoopletError",
    "Message",
    "MetricsHook",
    "MockLLMBackend",
    "PermissionHook",
    "PermissionRule",
    "Prompt",
    "ProvenanceSink",
    "Prune",
    "Reply",
    "Resume",
    "Run",
    "RunResult",
    "StagnationHook",
    "Step",
    "Stop",
    "Summarize",
    "ThresholdCompactHook",
    "ToolCall",
    "ToolContext",
    "ToolResult",
    "ToolSpec",
    "ToolValidationError",
    "TracingHook",
    "Truncate",
    "Usage",
    "__version__",
    "approve",
    "async_composable_loop",
    "compact_chain",
    "composable_loop",
    "load_trace",
    "preview_prompt",
    "replay_loop",
    "tool",
]


if not TYPE_CHECKING:  # a type checker that saw it would let every misspelt name pass

    def __getattr__(name: str) -> object:
        if name not in _HOME:
            raise AttributeError(f"module 'looplet' has no attribute {name!r}")
        from importlib import import_module  # lazily: this is where the lazy names are resolved

        value: object = getattr(import_module(f"looplet.{_HOME[name]}"), name)
        globals()[name] = value
        return value


def __dir__() -> list[str]:
    return __all__
