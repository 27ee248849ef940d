"""`PermissionHook`: rules about which calls may run. What no rule allows does not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, get_args

from looplet._record import Record
from looplet.decisions import Allow, Deny
from looplet.errors import HookError
from looplet.events import RunResumed, RunStarted
from looplet.hooks.rules import Decision, PermissionRule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable
    from typing import TypeAlias

    from looplet.events import Event
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
        self.rules = _checked(rules)
        if default not in get_args(Decision):
            raise ValueError(f"PermissionHook(default={default!r}): use 'deny', 'allow' or 'ask'")
        if handler is not None and not callable(handler):
            raise TypeError(f"PermissionHook(handler={handler!r}): give a function of the call")
        self.default: Decision = default
        self.handler = handler
        self.denials: list[Denial] = []
        self._done_tool = "done"
        self._defaults: dict[str, dict[str, Any]] = {}

    def on_event(self, event: Event) -> None:
        """Learn at the start what the done tool is called, and which values arguments have that a call leaves out."""
        if isinstance(event, RunResumed):
            for past in event.history:
                self.on_event(past)
        elif isinstance(event, RunStarted):
            self.denials = []
            self._done_tool = event.settings.get("done_tool", "done")
            self._defaults |= {tool.name: _defaults(tool.parameters) for tool in event.tools}

    def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Any:
        decision, reason = self._decide(tool_call)
        if decision == "allow":
            return None
        if decision == "deny":
            return self._deny(step, tool_call, Deny(reason or f"this call of {tool_call.tool} is not allowed"))
        if self.handler is None:
            why = reason or f"{tool_call.tool} needs somebody's permission"
            return self._deny(step, tool_call, Deny(f"{why}; nobody is here to give it"))
        answer = self.handler(tool_call)
        if hasattr(answer, "__await__"):
            return _Later(answer, lambda settled: self._answered(settled, step, tool_call, reason))
        return self._answered(answer, step, tool_call, reason)

    def _decide(self, call: ToolCall) -> tuple[Decision, str]:
        """The first matching rule's decision and reason."""
        if call.tool == self._done_tool and not any(rule.names(call.tool) for rule in self.rules):
            return "allow", ""
        full = call.replace(args=self._defaults.get(call.tool, {}) | call.args)
        for number, rule in enumerate(self.rules, start=1):
            try:
                matches = rule.matches(full)
            except Exception as error:  # noqa: BLE001  # boundary: a matcher of the user's, fed by the model
                return "deny", f"permission rule {number} cannot judge this call: {type(error).__name__}: {error}"
            if matches:
                return rule.decision, rule.reason.strip()
        return self.default, ""

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


class _Later:
    """What becomes of an async handler's answer. A sync run refuses to await it, and then closes it."""

    def __init__(self, answer: Any, then: Callable[[object], Any]) -> None:
        self._answer = answer
        self._then = then

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._then((yield from self._answer.__await__()))

    def close(self) -> None:
        if hasattr(self._answer, "close"):
            self._answer.close()


def _checked(rules: Iterable[PermissionRule]) -> tuple[PermissionRule, ...]:
    if isinstance(rules, PermissionRule):
        raise TypeError(f"PermissionHook takes a list of rules: write PermissionHook([{rules!r}])")
    checked = tuple(rules)
    for rule in checked:
        if not isinstance(rule, PermissionRule):
            raise TypeError(f"PermissionHook(rules=...): {rule!r} is no rule; write PermissionRule('tool', 'allow')")
    return checked


def _defaults(schema: dict[str, Any]) -> dict[str, Any]:
    """The values of arguments a call may leave out: a rule about them must see them."""
    properties = schema.get("properties")
    parts = properties.items() if isinstance(properties, dict) else ()
    return {name: part["default"] for name, part in parts if isinstance(part, dict) and "default" in part}
