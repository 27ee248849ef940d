"""`StagnationHook`: a run that goes in circles is told so once, and then stopped."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from looplet._core.to_text import to_text
from looplet.config import whole
from looplet.decisions import InjectContext, Stop
from looplet.events import RunResumed, RunStarted
from looplet.hooks._one_run import OneRun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from looplet.events import Event
    from looplet.messages import Prompt
    from looplet.types import Step

_RESULT_CHARS = 20_000  # of a longer result the head and the tail are compared
_UNLIMITED = 1 << 30
_UNWRAPPINGS = 5  # one-key dicts inside each other; a dict may hold itself
_VOLATILE = re.compile(
    r"\d{4}-\d\d-\d\d[T ]?(\d\d:\d\d(:\d\d(\.\d+)?)?)?(Z|[+-]\d\d:?\d\d)?"  # dates
    r"|\b\d\d:\d\d:\d\d(\.\d+)?\b|0x[0-9a-fA-F]+"  # times, addresses
    r"|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b"  # uuids
)
_EMPTY_TEXTS = ("", "[]", "{}", "()", '""')


class Seen(NamedTuple):
    """One step, reduced to what makes it the same as another."""

    tool: str
    args: str
    result: str
    empty: bool


class StagnationHook:
    """End a run that makes no progress, with the stop reason `no_progress`; before that, tell the model once.

    No progress is: `repeats` times the same call with the same result; `repeats` times the same two calls in turn,
    results and all (A-B-A-B); or `repeats` calls of one tool, whatever the arguments, each of which found nothing
    (an empty text, list or dict). Dates, times, addresses and uuids in results are not compared. The model reads a note
    with its next prompt; if the step after that is more of the same, the run ends.

    `ignore` names tools that may repeat themselves, such as one that waits for something.
    """

    def __init__(self, repeats: int = 3, *, ignore: Iterable[str] = ()) -> None:
        whole("StagnationHook(repeats=...)", repeats, least=2)
        if isinstance(ignore, str):
            raise TypeError(f"StagnationHook(ignore={ignore!r}): give a list of tool names, [{ignore!r}]")
        self.repeats = repeats
        self.ignore = frozenset(ignore)
        self._one_run = OneRun(self)
        self._forget()

    def _forget(self) -> None:
        self._seen: list[Seen] = []
        self._read = 0
        self._told: int | None = None  # the step before which the model was told

    def on_event(self, event: Event) -> None:
        self._one_run.watch(event)
        if isinstance(event, (RunStarted, RunResumed)):
            self._forget()

    def pre_prompt(self, state: Any, log: Sequence[Step], ctx: Prompt, step: int) -> InjectContext | Stop | None:
        self._one_run.check()
        if len(log) < self._read:  # a preview, which announces no run
            self._forget()
        for made in log[self._read :]:
            if made.tool_call.tool not in self.ignore:
                self._seen.append(_seen(made))
        self._read = len(log)
        del self._seen[: -2 * self.repeats]
        circle = self._circle()
        if circle is None:
            self._told = None
        elif self._told is None or self._told == step:
            self._told = step
            return InjectContext(
                f"You are making no progress: {circle}. Try something else, or finish with what you know."
            )
        else:
            return Stop("no_progress")
        return None

    def _circle(self) -> str | None:
        """What the newest steps keep doing, if they do."""
        newest = self._seen[-self.repeats :]
        if len(newest) < self.repeats:
            return None
        tool = newest[-1].tool
        if len(set(newest)) == 1:
            return f"{self.repeats} times in a row, {tool} was called with the same arguments and gave the same result"
        if all(seen.empty and seen.tool == tool for seen in newest):
            return f"the last {self.repeats} calls of {tool} found nothing"
        pairs = self._seen[-2 * self.repeats :]
        if len(pairs) == 2 * self.repeats and pairs == pairs[:2] * self.repeats:
            return f"{pairs[0].tool} and {tool} were called in turn {self.repeats} times, with the same results"
        return None


def _seen(step: Step) -> Seen:
    result = step.tool_result
    outcome = _normal(to_text(result.data if result.ok else f"ERROR {result.error}", _RESULT_CHARS))
    args = to_text(sorted(step.tool_call.args.items()), _UNLIMITED)  # as they are: a date is the model's choice there
    return Seen(step.tool_call.tool, args, outcome, result.ok and _is_empty(result.data))


def _is_empty(data: object) -> bool:
    """True for a result that says "nothing found". None does not: it is what a tool without an answer returns."""
    for _ in range(_UNWRAPPINGS):
        if isinstance(data, dict) and len(data) == 1:
            data = next(iter(data.values()))
    return to_text(data, _RESULT_CHARS).strip() in _EMPTY_TEXTS


def _normal(text: str) -> str:
    return " ".join(_VOLATILE.sub("~", text).split())
