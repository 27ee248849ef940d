"""The five decisions a hook can answer with. None always means "nothing to say"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.errors import HookError
from looplet.types import ToolResult

if TYPE_CHECKING:
    from looplet.protocols import CompactStrategy


class InjectContext(Record):
    """Add `text` for the model: to this prompt (pre_prompt), or after the result (post_dispatch). Blank: nothing."""

    text: str

    def __post_init__(self) -> None:
        _text("InjectContext(text)", self.text, blank=True)


class Compact(Record):
    """Shorten the conversation before this prompt is sent (pre_prompt), with `strategy` or in the built-in way.

    A strategy (`protocols.CompactStrategy`) is called with the messages and returns fewer or shorter ones; as a
    generator it may yield Prompts, each of which is answered by a Reply of the run's model.
    """

    strategy: CompactStrategy | None = None

    def __post_init__(self) -> None:
        if self.strategy is not None and not callable(self.strategy):
            raise TypeError(f"Compact(strategy={self.strategy!r}): give a function of messages, or None")


class Stop(Record):
    """End the run; `reason` becomes its stop reason. `done` is refused: a completion goes through the done tool."""

    reason: str

    def __post_init__(self) -> None:
        _text("Stop(reason)", self.reason)
        if self.reason == "done":
            raise ValueError(
                "Stop('done'): only an accepted call of the done tool completes a run; give another reason"
            )


class Deny(Record):
    """Refuse this call, or reject this completion. The model reads `reason`; `retry=True` invites another try."""

    reason: str
    retry: bool = False

    def __post_init__(self) -> None:
        _text("Deny(reason)", self.reason)


class Allow(Record):
    """Let this call run, with `args` instead of its own when given (they are validated again).

    `approved` says that a person agreed: the tool sees it as `ctx.approved`. In post_dispatch, `Allow(approved=True)`
    runs a call again whose tool asked for approval by returning `{"needs_approval": True}`.
    """

    args: dict[str, Any] | None = None
    approved: bool = False

    def __post_init__(self) -> None:
        if self.args is not None and not isinstance(self.args, dict):
            raise TypeError(f"Allow(args={self.args!r}): give a dict of all arguments, or None to leave them")


def approval(answer: object) -> Allow | Deny | ToolResult:
    """What a person's answer about a call means; anything unclear is an error, never an agreement."""
    if answer is True:
        return Allow(approved=True)
    if isinstance(answer, Allow):
        return answer.replace(approved=True)
    if answer is False:
        return Deny("a person refused this call")
    if isinstance(answer, str):
        return Deny(answer)
    if isinstance(answer, (Deny, ToolResult)):
        return answer
    raise HookError(
        f"an approval was answered with {answer!r}; "
        "answer True, False, a reason for refusing, Allow, Deny or a ToolResult"
    )


def _text(what: str, value: object, *, blank: bool = False) -> None:
    """A decision that says nothing would pass for none: a denial without an error is a success."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is {value!r}: give a str")
    if not blank and not value.strip():
        raise ValueError(f"{what} is blank: say why")
