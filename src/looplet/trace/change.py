"""`Change` and `Diff`: what a comparison of two runs found."""

from __future__ import annotations

from typing import Any

from looplet._record import Record


class Change(Record):
    """One difference. `text` is one line; `step` counts in the earlier run, or in the later one for a new step.

    `kind` is one of step_added, step_removed, step_moved, tool, arguments, result, error, notes, stop_reason, output,
    run (significant), and prompt, reply, event, setting, tokens, time (informational).
    """

    kind: str
    text: str
    significant: bool
    step: int | None = None
    before: str | None = None
    after: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return {field: getattr(self, field) for field in self._fields}


class Diff(Record):
    """The differences of two runs, the significant ones first."""

    changes: tuple[Change, ...] = ()

    @property
    def significant(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if change.significant)

    @property
    def informational(self) -> tuple[Change, ...]:
        return tuple(change for change in self.changes if not change.significant)

    def lines(self, limit: int | None = None) -> list[str]:
        """One line a difference, at most `limit`, the last of them then counting the others."""
        lines = [change.text for change in self.changes]
        if limit is None or len(lines) <= limit:
            return lines
        return [*lines[: limit - 1], f"and {len(lines) - limit + 1} more differences"]
