"""`PermissionRule`: which calls a rule is about, and what it decides. Shared by the hooks that guard calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from looplet._core.to_text import to_text
from looplet._drivers.performer import close_unstarted
from looplet._record import Record
from looplet.events import RunResumed, RunStarted

if TYPE_CHECKING:
    from looplet.events import Event
    from looplet.types import ToolCall

Decision = Literal["allow", "deny", "ask"]
# a call as a whole, or its arguments by name: each a value, a glob or a function of the value
ArgsMatcher: TypeAlias = "Mapping[str, Any] | Callable[[ToolCall], Any]"

# the values that arguments have which a call leaves out, by tool
Defaults: TypeAlias = dict[str, dict[str, Any]]

_UNLIMITED = 1 << 30
_FUNCTION = "the function of a PermissionRule"


class PermissionRule(Record):
    """What to decide about the calls of `tool` (a glob such as `file_*`) whose arguments match.

    decision  "allow", "deny" or "ask"
    args      None: any arguments. A dict from argument name to a value, a glob (for text) or a function of the value;
              all of them must match, and an argument the call does not have matches nothing. Or a function of the call
    reason    what the model is told when the answer is no

    A glob stands for text, not for paths or commands: `*` also matches `/` and `;`. An allow rule never lets a glob
    match text with a `..` in it; where more is at stake, give a function.
    """

    tool: str
    decision: Decision
    args: ArgsMatcher | None = None
    reason: str = ""

    def __post_init__(self) -> None:
        """Refuse a rule that could never work, when it is written and not when it is needed."""
        if not isinstance(self.tool, str) or not self.tool.strip():
            raise ValueError(f"PermissionRule(tool={self.tool!r}): give a tool name or a glob such as '*'")
        if self.decision not in get_args(Decision):
            raise ValueError(f"PermissionRule({self.tool!r}, {self.decision!r}): decide 'allow', 'deny' or 'ask'")
        if not isinstance(self.reason, str):
            raise TypeError(f"PermissionRule({self.tool!r}, reason={self.reason!r}): give a str")
        if isinstance(self.args, Mapping):
            if unnamed := [name for name in self.args if not isinstance(name, str)]:
                raise TypeError(f"PermissionRule({self.tool!r}, args=...): {unnamed[0]!r} is no argument name")
        elif self.args is not None and not callable(self.args):
            raise TypeError(
                f"PermissionRule({self.tool!r}, args={self.args!r}): give a dict of arguments, a function of the call, "
                "or None for any arguments"
            )

    def names(self, tool: str) -> bool:
        """True when the rule is about exactly this tool, not about a group it happens to be in."""
        return self.tool == tool

    def matches(self, call: ToolCall) -> bool:
        """Say whether the rule is about this call. What a function of yours raises is raised here."""
        if not fnmatchcase(call.tool, self.tool):
            return False
        if self.args is None:
            return True
        if isinstance(self.args, Mapping):
            return all(name in call.args and self._fits(call.args[name], want) for name, want in self.args.items())
        return truth(self.args(call), _FUNCTION)

    def _fits(self, value: Any, want: Any) -> bool:
        if callable(want):
            return truth(want(value), _FUNCTION)
        if isinstance(want, str):
            return self._fits_glob(value if isinstance(value, str) else to_text(value, _UNLIMITED), want)
        return bool(value == want) and isinstance(value, bool) is isinstance(want, bool)  # True == 1 in Python

    def _fits_glob(self, text: str, glob: str) -> bool:
        if self.decision == "allow" and ".." in text and text != glob:  # `src/*` must not let `src/../../etc` through
            return False
        return fnmatchcase(text, glob)


def checked_rules(hook: str, rules: Iterable[PermissionRule]) -> tuple[PermissionRule, ...]:
    """The rules given to `hook`; anything else among them is a TypeError."""
    if isinstance(rules, PermissionRule):
        raise TypeError(f"{hook} takes a list of rules: write [{rules!r}]")
    checked = tuple(rules)
    for rule in checked:
        if not isinstance(rule, PermissionRule):
            raise TypeError(f"{hook}(rules=...): {rule!r} is no rule; write PermissionRule('tool', 'ask')")
    return checked


def first_match(rules: Iterable[PermissionRule], call: ToolCall, defaults: Defaults) -> PermissionRule | None:
    """The first rule about this call. One that cannot judge it counts as a refusal, and its `reason` says why."""
    full = with_defaults(call, defaults)
    for number, rule in enumerate(rules, start=1):
        try:
            if rule.matches(full):
                return rule
        except Exception as error:  # noqa: BLE001  # boundary: a matcher of the user's, fed by the model
            why = f"permission rule {number} cannot judge this call: {type(error).__name__}: {error}"
            return rule.replace(decision="deny", reason=why)
    return None


def with_defaults(call: ToolCall, defaults: Defaults) -> ToolCall:
    """The call with the values of arguments that it leaves out: whoever judges it must see them."""
    return call.replace(args=defaults.get(call.tool, {}) | call.args)


def defaults_in(event: Event) -> Defaults:
    """The defaults of all tools, as told by the event that begins a run or goes on with one."""
    return {tool.name: _defaults(tool.parameters) for began in run_starts(event) for tool in began.tools}


def run_starts(event: Event) -> Iterable[RunStarted]:
    """The beginning that `event` tells of, its own or that of the run it goes on with."""
    told = event.history if isinstance(event, RunResumed) else (event,)
    return [each for each in told if isinstance(each, RunStarted)]


def truth(answer: Any, whose: str) -> bool:
    """Yes or no. An awaitable is true whatever it would say: taken for an answer, it would allow everything."""
    if hasattr(answer, "__await__"):
        close_unstarted(answer)
        raise TypeError(f"{whose} is async; give a plain one, and ask people in the handler")
    return bool(answer)


def _defaults(schema: dict[str, Any]) -> dict[str, Any]:
    properties = schema.get("properties")
    parts = properties.items() if isinstance(properties, dict) else ()
    return {name: part["default"] for name, part in parts if isinstance(part, dict) and "default" in part}
