"""The five decisions a hook can answer with. None always means "nothing to say"."""

from __future__ import annotations

from typing import Any

from looplet._record import Record


class InjectContext(Record):
    """Add `text` for the model: to this prompt (pre_prompt), or after the result (post_dispatch)."""

    text: str


class Compact(Record):
    """Shorten the conversation before this prompt is sent (pre_prompt)."""


class Stop(Record):
    """End the run; `reason` becomes its stop reason."""

    reason: str


class Deny(Record):
    """Refuse this call, or reject this completion. The model reads `reason`; `retry=True` invites another try."""

    reason: str
    retry: bool = False


class Allow(Record):
    """Let this call run, with `args` instead of its own when given (they are validated again)."""

    args: dict[str, Any] | None = None
