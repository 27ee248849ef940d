"""`ApprovalHook`: a person is asked before certain calls run, here and now or in another process tomorrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.decisions import Allow, Deny, Stop, approval
from looplet.events import RunResumed, RunStarted
from looplet.hooks._once_there import once_there
from looplet.hooks.rules import checked_rules, defaults_in, first_match, truth, with_defaults
from looplet.types import ErrorKind, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from looplet.events import Event
    from looplet.hooks.rules import Defaults, PermissionRule
    from looplet.types import ToolCall

    Answer = bool | str | Allow | Deny | ToolResult

WAITING = "waiting_for_approval"


class ApprovalHook:
    """Stop gated calls before they start, and let them run only with a person's agreement.

    Gated is a call of a tool with `needs_approval`, one for which `when(tool_call)` is true, one whose first matching
    rule in `rules` says `ask` (or cannot judge it), and one whose tool returned `{"needs_approval": True}` (it is
    called again with `ctx.approved`). Rules and `when` see the defaults of arguments a call leaves out.

    With `handler(tool_call)`, which may be async under the async loop, the answer is had in place: True, False, a
    reason for refusing, `Allow(args)` with edited arguments, or a ToolResult that stands in for the call. Without one
    the run ends as `waiting_for_approval`; `composable_loop(..., resume=Resume(dir, approve()))` goes on, in any
    process, and the call runs exactly once. Only a CheckpointHook makes that pause outlive the process.
    """

    gate = True
    approves = True

    def __init__(
        self,
        handler: Callable[[ToolCall], Answer | Awaitable[Answer]] | None = None,
        *,
        rules: Sequence[PermissionRule] = (),
        when: Callable[[ToolCall], bool] | None = None,
    ) -> None:
        if handler is not None and not callable(handler):
            raise TypeError(f"ApprovalHook(handler={handler!r}): give a function of the tool call, or None to pause")
        self._handler = handler
        self._rules = checked_rules("ApprovalHook", rules)
        if refusing := next((rule for rule in self._rules if rule.decision == "deny"), None):
            raise ValueError(f"ApprovalHook(rules=[...]): {refusing!r} refuses; give that one to a PermissionHook")
        if when is not None and not callable(when):
            raise TypeError(f"ApprovalHook(when={when!r}): give a function of the tool call, or None")
        self._when = when
        self._gated: frozenset[str] = frozenset()
        self._defaults: Defaults = {}
        self._answered: tuple[str, Any] | None = None  # call id and answer, from resuming

    @property
    def pauses(self) -> bool:
        """True when an answer is waited for outside this process."""
        return self._handler is None

    def on_event(self, event: Event) -> None:
        if isinstance(event, (RunStarted, RunResumed)):
            self._gated = frozenset(event.gated)
            self._defaults |= defaults_in(event)
        if isinstance(event, RunResumed) and event.pending is not None and event.approval is not None:
            self._answered = (event.pending.call_id, event.approval)

    def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Any:
        if self._answered is not None and self._answered[0] == tool_call.call_id:
            answer, self._answered = self._answered[1], None
            return approval(answer)
        return self._ask(tool_call) if self._is_gated(tool_call) else None

    def post_dispatch(self, state: Any, log: Any, tool_call: ToolCall, tool_result: ToolResult, step: int) -> Any:
        asks = isinstance(tool_result.data, dict) and tool_result.data.get("needs_approval") is True
        if not asks:
            return None
        if self._handler is None:
            return Stop(WAITING)
        return once_there(self._handler(tool_call), lambda answer: _in_place_of_the_result(tool_call, answer))

    def _is_gated(self, tool_call: ToolCall) -> bool:
        if tool_call.tool in self._gated:
            return True
        if self._when is not None:
            full = with_defaults(tool_call, self._defaults)
            if truth(self._when(full), "ApprovalHook(when=...)"):
                return True
        rule = first_match(self._rules, tool_call, self._defaults)
        return rule is not None and rule.decision != "allow"

    def _ask(self, tool_call: ToolCall) -> Any:
        if self._handler is None:
            return Stop(WAITING)
        return once_there(self._handler(tool_call), approval)


def _in_place_of_the_result(tool_call: ToolCall, answer: object) -> Any:
    """The answer to a tool that asked by itself: run it again, or a refusal in place of its result."""
    decided = approval(answer)
    if isinstance(decided, Deny):
        kind = ErrorKind.PERMISSION_DENIED
        return ToolResult(tool_call.tool, error=decided.reason, error_kind=kind, error_retriable=decided.retry)
    return decided
