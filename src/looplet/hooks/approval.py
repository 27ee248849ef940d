"""`ApprovalHook`: a person is asked before certain calls run, here and now or in another process tomorrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.decisions import Allow, Deny, Stop
from looplet.errors import HookError
from looplet.events import RunResumed, RunStarted
from looplet.types import ErrorKind, ToolResult

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from looplet.events import Event
    from looplet.hooks.rules import PermissionRule
    from looplet.types import ToolCall

    Answer = bool | str | Allow | Deny | ToolResult

WAITING = "waiting_for_approval"
_REFUSED = "a person refused this call"


class ApprovalHook:
    """Stop gated calls before they start, and let them run only with a person's agreement.

    Gated is a call of a tool with `needs_approval`, one an `ask` rule in `rules` matches, one for which
    `when(tool_call)` is true, and one whose tool returned `{"needs_approval": True}` (it is called again with
    `ctx.approved`).

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
        self._rules = tuple(rules)
        self._when = when
        self._gated: frozenset[str] = frozenset()
        self._answered: tuple[str, Any] | None = None  # call id and answer, from resuming

    @property
    def pauses(self) -> bool:
        """True when an answer is waited for outside this process."""
        return self._handler is None

    def on_event(self, event: Event) -> None:
        if isinstance(event, (RunStarted, RunResumed)):
            self._gated = frozenset(event.gated)
        if isinstance(event, RunResumed) and event.pending is not None and event.approval is not None:
            self._answered = (event.pending.call_id, event.approval)

    def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Any:
        if self._answered is not None and self._answered[0] == tool_call.call_id:
            answer, self._answered = self._answered[1], None
            return decision(answer)
        return self._ask(tool_call) if self._is_gated(tool_call) else None

    def post_dispatch(self, state: Any, log: Any, tool_call: ToolCall, tool_result: ToolResult, step: int) -> Any:
        asks = isinstance(tool_result.data, dict) and tool_result.data.get("needs_approval") is True
        if not asks:
            return None
        if self._handler is None:
            return Stop(WAITING)
        return self._after(tool_call, self._handler(tool_call))

    def _is_gated(self, tool_call: ToolCall) -> bool:
        if tool_call.tool in self._gated or (self._when is not None and self._when(tool_call)):
            return True
        rule = next((rule for rule in self._rules if rule.matches(tool_call)), None)
        return rule is not None and rule.decision == "ask"

    def _ask(self, tool_call: ToolCall) -> Any:
        if self._handler is None:
            return Stop(WAITING)
        answer: Any = self._handler(tool_call)
        return _later(answer) if hasattr(answer, "__await__") else decision(answer)

    def _after(self, tool_call: ToolCall, answer: Any) -> Any:
        """The answer to a tool that asked by itself: run it again, or a refusal in place of its result."""
        if hasattr(answer, "__await__"):

            async def awaited() -> Any:
                return self._after(tool_call, await answer)

            return awaited()
        decided = decision(answer)
        if isinstance(decided, Deny):
            kind = ErrorKind.PERMISSION_DENIED
            return ToolResult(tool_call.tool, error=decided.reason, error_kind=kind, error_retriable=decided.retry)
        return decided


async def _later(answer: Awaitable[Any]) -> Any:
    return decision(await answer)


def decision(answer: Any) -> Allow | Deny | ToolResult:
    """What a person's answer means; anything unclear is an error, never an agreement."""
    if answer is True:
        return Allow(approved=True)
    if isinstance(answer, Allow):
        return answer.replace(approved=True)
    if answer is False:
        return Deny(_REFUSED)
    if isinstance(answer, str):
        return Deny(answer)
    if isinstance(answer, (Deny, ToolResult)):
        return answer
    raise HookError(
        f"an approval was answered with {answer!r}; "
        "answer True, False, a reason for refusing, Allow, Deny or a ToolResult"
    )
