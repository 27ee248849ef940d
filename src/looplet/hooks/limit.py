"""`LimitHook`: how much a run may use. It warns the model once, then it stops."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

from looplet.config import whole
from looplet.decisions import Deny, InjectContext, Stop
from looplet.errors import HookError
from looplet.events import CallStarted, RunResumed, RunStarted, StepFinished
from looplet.hooks._checks import a_share, above_zero
from looplet.hooks._one_run import OneRun
from looplet.hooks._spent import usage_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from looplet.events import Event
    from looplet.messages import Prompt
    from looplet.types import Step, ToolCall


class Level(NamedTuple):
    """How far one limit is used up; `stop` is the stop reason, None where calls are refused instead."""

    stop: str | None
    used: float
    limit: float
    said: str


class LimitHook:
    """Limit what one run may use; every limit is optional.

    calls    calls a tool may execute, by tool name: further ones are denied, the run goes on
    tokens   input and output tokens together; at the limit no further request is made: stop reason `token_limit`
    cost     money, in the currency of the backend's prices: `cost_limit`
    seconds  wall time since the run began or was resumed; then no request and no call but `done` begins: `time_limit`
    warn_at  share of a limit at which the model is told, once for each limit

    Tokens and cost are known when a reply is there, so the last reply may go beyond them; what it asked for still runs.
    """

    def __init__(
        self,
        *,
        calls: Mapping[str, int] | None = None,
        tokens: int | None = None,
        cost: float | None = None,
        seconds: float | None = None,
        warn_at: float = 0.8,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        for tool, number in (calls or {}).items():
            whole(f"LimitHook(calls={{{tool!r}: ...}})", number, least=0)
        whole("LimitHook(tokens=...)", tokens, least=1, optional=True)
        above_zero("LimitHook(cost=...)", cost)
        above_zero("LimitHook(seconds=...)", seconds)
        a_share("LimitHook(warn_at=...)", warn_at)
        self.calls = dict(calls or {})
        self.tokens = tokens
        self.cost = cost
        self.seconds = seconds
        self.warn_at = warn_at
        self._clock = clock
        self._one_run = OneRun(self)
        self._forget()

    def _forget(self) -> None:
        self._began: float | None = None
        self._done_tool = "done"
        self._counted: dict[str, set[str]] = {tool: set() for tool in self.calls}  # ids of calls that ran or may still
        self._ran: set[str] = set()
        self._told: dict[str, int] = {}  # by limit: the step before which the model was told

    def on_event(self, event: Event) -> None:
        self._one_run.watch(event)
        self._count(event)

    def _count(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._forget()
                self._began = self._clock()
                self._done_tool = event.settings.get("done_tool", "done")
            case RunResumed():
                for past in event.history:
                    self._count(past)
                self._began = self._clock()
            case CallStarted() if event.asked.tool in self._counted:
                self._counted[event.asked.tool].add(event.asked.call_id)
                self._ran.add(event.asked.call_id)
            case StepFinished() if event.asked.tool in self._counted and event.asked.call_id not in self._ran:
                # granted here, then refused or answered by another hook: it has used nothing
                self._counted[event.asked.tool].discard(event.asked.call_id)

    def pre_prompt(self, state: Any, log: Sequence[Step], ctx: Prompt, step: int) -> Stop | InjectContext | None:
        self._one_run.check()
        self._check_names(ctx)
        notes, ending = [], False
        for level in self._levels(state, log):
            if level.stop and level.used >= level.limit:
                return Stop(level.stop)
            if level.used >= self.warn_at * level.limit and self._told.setdefault(level.said, step) == step:
                notes.append(f"{_number(level.used)} of {_number(level.limit)} {level.said} are used.")
                ending = ending or level.stop is not None
        notes += ["Come to an end with what is left."] * ending
        return InjectContext(" ".join(notes)) if notes else None

    def pre_dispatch(self, state: Any, log: Sequence[Step], tool_call: ToolCall, step: int) -> Stop | Deny | None:
        if tool_call.tool != self._done_tool and self.seconds is not None and self._elapsed() >= self.seconds:
            return Stop("time_limit")
        limit = self.calls.get(tool_call.tool)
        if limit is None:
            return None
        counted = self._counted[tool_call.tool]
        if len(counted) >= limit:
            return Deny(f"{tool_call.tool} may be called {_times(limit)} in a run; go on without it")
        counted.add(tool_call.call_id)
        return None

    def _check_names(self, ctx: Prompt) -> None:
        """A misspelt tool would be a limit that never holds. Prompts of the text protocol list no tools."""
        known = {tool.name for tool in ctx.tools}
        if unknown := next((tool for tool in self.calls if known and tool not in known), None):
            raise HookError(f"LimitHook(calls=...) limits {unknown!r}, but the tools are: {', '.join(sorted(known))}")

    def _levels(self, state: Any, log: Sequence[Step]) -> list[Level]:
        usage = usage_of(state, log)
        levels = []
        if self.tokens is not None:
            levels.append(Level("token_limit", usage.total_tokens, self.tokens, "tokens"))
        if self.cost is not None:
            if usage.cost is None and usage.total_tokens:
                raise HookError("LimitHook(cost=...): the backend reports no cost; give it prices, or limit tokens")
            levels.append(Level("cost_limit", usage.cost or 0.0, self.cost, "of the money"))
        if self.seconds is not None:
            levels.append(Level("time_limit", self._elapsed(), self.seconds, "seconds"))
        for tool, limit in self.calls.items():
            levels += [Level(None, len(self._counted[tool]), limit, f"calls of {tool}")] * (limit > 0)
        return levels

    def _elapsed(self) -> float:
        return 0.0 if self._began is None else self._clock() - self._began


def _number(value: float) -> str:
    return f"{value:,.0f}" if value == int(value) or value >= 1000 else f"{value:.3g}"


def _times(number: int) -> str:
    return {0: "not at all", 1: "once"}.get(number, f"{number} times")
