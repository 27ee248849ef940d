"""`PermissionRule`: which calls a rule is about, and what it decides. Shared by the hooks that guard calls."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from looplet._core.to_text import to_text
from looplet._record import Record

if TYPE_CHECKING:
    from looplet.types import ToolCall

Decision = Literal["allow", "deny", "ask"]
# a call as a whole, or its arguments by name: each a value, a glob or a function of the value
ArgsMatcher: TypeAlias = "Mapping[str, Any] | Callable[[ToolCall], Any]"

_UNLIMITED = 1 << 30


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
        return _truth(self.args(call))

    def _fits(self, value: Any, want: Any) -> bool:
        if callable(want):
            return _truth(want(value))
        if isinstance(want, str):
            return self._fits_glob(value if isinstance(value, str) else to_text(value, _UNLIMITED), want)
        return bool(value == want) and isinstance(value, bool) is isinstance(want, bool)  # True == 1 in Python

    def _fits_glob(self, text: str, glob: str) -> bool:
        if self.decision == "allow" and ".." in text and text != glob:  # `src/*` must not let `src/../../etc` through
            return False
        return fnmatchcase(text, glob)


def _truth(answer: Any) -> bool:
    """An awaitable is true whatever it would say: taken for an answer, it would allow everything."""
    if hasattr(answer, "__await__"):
        if hasattr(answer, "close"):
            answer.close()
        raise TypeError("the function of a PermissionRule is async; give a plain one, and ask people in the handler")
    return bool(answer)
