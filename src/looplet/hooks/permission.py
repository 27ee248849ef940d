"""`PermissionHook`: rules about which calls may run. What no rule allows does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from looplet._record import Record
from looplet.decisions import Allow, Deny
from looplet.errors import HookError
from looplet.hooks._once_there import once_there
from looplet.hooks.rules import Decision, checked_rules, defaults_in, first_match, run_starts

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable
    from typing import TypeAlias

    from looplet.events import Event
    from looplet.hooks.rules import Defaults, PermissionRule
    from looplet.types import ToolCall

    Answer: TypeAlias = bool | str | Allow | Deny
    Handler: TypeAlias = Callable[[ToolCall], Answer | Awaitable[Answer]]

_ASK_ANSWERS = "True, False, a reason (str) for no, Allow(args=...) or Deny(reason)"


class Denial(Record):
    """A call that was refused, and why."""

    step: int
    tool_call: ToolCall
    reason: str


class PermissionHook:
    """Let a call run only if a rule allows it: the first rule that matches decides, then `default`.

    rules    PermissionRules, asked in order
    default  for calls no rule is about: "deny", "allow" or "ask"
    handler  answers the "ask" rules: a function of the call (async under the async loop) that returns True, False, a
             text with the reason for no, `Allow(args=...)` or `Deny(...)`. It is asked once a call. Without a handler
             the answer is no

    The done tool is allowed unless a rule has its very name. A rule that cannot be checked is a denial. `denials` lists
    what was refused in the latest run.
    """

    gate = True  # asked last, about what would really run

    def __init__(
        self, rules: Iterable[PermissionRule] = (), default: Decision = "deny", handler: Handler | None = None
    ) -> None:
        self.rules = checked_rules("PermissionHook", rules)
        if default not in get_args(Decision):
            raise ValueError(f"PermissionHook(default={default!r}): use 'deny', 'allow' or 'ask'")
        if handler is not None and not callable(handler):
            raise TypeError(f"PermissionHook(handler={handler!r}): give a function of the call")
        self.default: Decision = default
        self.handler = handler
        self.denials: list[Denial] = []
        self._done_tool = "done"
        self._defaults: Defaults = {}

    def on_event(self, event: Event) -> None:
        """Learn at the start what the done tool is called, and which values arguments have that a call leaves out."""
        for began in run_starts(event):
            self.denials = []
            self._done_tool = began.settings.get("done_tool", "done")
        self._defaults |= defaults_in(event)

    def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Any:
        decision, reason = self._decide(tool_call)
        if decision == "allow":
            return None
        if decision == "deny":
            return self._deny(step, tool_call, Deny(reason or f"this call of {tool_call.tool} is not allowed"))
        if self.handler is None:
            why = reason or f"{tool_call.tool} needs somebody's permission"
            return self._deny(step, tool_call, Deny(f"{why}; nobody is here to give it"))
        return once_there(self.handler(tool_call), lambda answer: self._answered(answer, step, tool_call, reason))

    def _decide(self, call: ToolCall) -> tuple[Decision, str]:
        """The first matching rule's decision and reason."""
        if call.tool == self._done_tool and not any(rule.names(call.tool) for rule in self.rules):
            return "allow", ""
        rule = first_match(self.rules, call, self._defaults)
        return (self.default, "") if rule is None else (rule.decision, rule.reason.strip())

    def _answered(self, answer: object, step: int, call: ToolCall, reason: str) -> Any:
        """A handler's answer as a decision. Anything unclear is an error, and nothing runs."""
        if answer is True:
            return None
        if isinstance(answer, Allow):
            return answer
        if isinstance(answer, Deny):
            return self._deny(step, call, answer)
        if answer is False or (isinstance(answer, str) and not answer.strip()):
            return self._deny(step, call, Deny(reason or f"permission for this call of {call.tool} was refused"))
        if isinstance(answer, str):
            return self._deny(step, call, Deny(answer))
        raise HookError(
            f"the handler of PermissionHook answered {answer!r} about {call.tool}; it may answer {_ASK_ANSWERS}"
        )

    def _deny(self, step: int, call: ToolCall, denial: Deny) -> Deny:
        self.denials.append(Denial(step, call, denial.reason))
        return denial
