"""What hooks can know of a run's spending, whatever state class the user brought."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.types import Usage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from looplet.types import Step


def usage_of(state: Any, log: Iterable[Step]) -> Usage:
    """The run's usage so far. A state of the user's own may not show it; then it is that of the steps."""
    usage = getattr(state, "usage", None)
    return usage if isinstance(usage, Usage) else sum((step.usage for step in log), Usage())
