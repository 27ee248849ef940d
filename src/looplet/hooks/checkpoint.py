"""`CheckpointHook`, among the other hooks. It is a journal, so it lives with the trace."""

from looplet.trace.checkpoint import CheckpointHook

__all__ = ["CheckpointHook"]
