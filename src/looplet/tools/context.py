"""`ToolContext`: what a tool may know of the run it is called from. A parameter named `ctx` receives it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.cancel import CancelToken


class ToolContext:
    """One call's view of its run: the task, the model, a dict shared by all calls, and two ways to speak.

    `warn(message)` adds a note for the model beside this call's result; `progress(message)` tells whoever watches.
    `cancel_token` is the run's CancelToken, when it has one: a long call may look at it and stop early. `approved` is
    True when an ApprovalHook let this very call through.
    """

    def __init__(
        self,
        task: Any = None,
        llm: Any = None,
        metadata: dict[str, Any] | None = None,
        on_progress: Callable[[str], None] | None = None,
        *,
        cancel_token: CancelToken | None = None,
        approved: bool = False,
    ) -> None:
        self.task = task
        self.llm = llm
        self.metadata: dict[str, Any] = {} if metadata is None else metadata
        self.cancel_token = cancel_token
        self.approved = approved
        self.warnings: list[str] = []
        self._on_progress = on_progress

    def warn(self, message: str) -> None:
        self.warnings.append(str(message))

    def progress(self, message: str) -> None:
        if self._on_progress is not None:
            self._on_progress(str(message))

    def for_call(self) -> ToolContext:
        """The same context with its own warnings, so that calls of one run do not mix theirs."""
        return ToolContext(
            self.task,
            self.llm,
            self.metadata,
            self._on_progress,
            cancel_token=self.cancel_token,
            approved=self.approved,
        )
