"""The product in one screen: ask the model, run what it asked for, yield each step, stop when told.

Everything here is a generator that decides and performs nothing. Each `yield` below is an effect (`looplet.effects`)
that a driver carries out, so the loop is written once for every driver and tested with `next()` and `send()`.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TYPE_CHECKING

from looplet._core.finish import answer_without_tools, begin
from looplet._core.model_turn import ask_model
from looplet._core.tool_turn import close_step, decide, is_concurrent_safe, is_waiting, open_step, start
from looplet.effects import run_tools

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet._core.parse import ParsedCall
    from looplet.effects import Decided, Flow
    from looplet.state import RunState


def loop(state: RunState) -> Flow[None]:
    """Run until something sets `state.stop`. `StepFinished` is where the user's `for` gets its turn."""
    calls = yield from begin(state)  # none, but for a resumed run
    while not state.stop:
        calls = calls or (yield from ask_model(state))
        for wave in waves(state, calls):
            yield from run_wave(state, wave)
        calls = []
    if state.stop == "max_steps" and state.config.final_answer:
        yield from answer_without_tools(state)


def waves(state: RunState, calls: list[ParsedCall]) -> Iterator[list[ParsedCall]]:
    """Calls that run together: one, or neighbours whose tools are `concurrent_safe`; never more than the budget."""
    state.unanswered = list(calls)
    while state.unanswered and not state.stop:
        if state.cancelled:  # from the `for` body, say: what has not begun stays open
            state.end("cancelled")
            return
        most = min(state.config.max_parallel_calls, state.steps_left)
        together = list(takewhile(lambda parsed: is_concurrent_safe(state, parsed), state.unanswered[:most]))
        yield together or state.unanswered[:1]


def run_wave(state: RunState, wave: list[ParsedCall]) -> Flow[None]:
    """Decide about each call, run the allowed ones, then finish their steps one by one, in order."""
    decided: list[Decided] = []
    for parsed in wave:
        decision = yield from decide(state, parsed, step=len(state.steps) + len(decided) + 1)
        if decision is None:  # a hook stopped the run: this call and the rest stay unexecuted
            break
        decided.append(decision)
    yield from start(decided)
    results = yield from run_tools(decided)
    for decision, result in zip(decided, results, strict=True):  # no break here: what ran is recorded
        step = open_step(state, decision, result)
        yield from close_step(state, decision, step)  # emits StepFinished
        if is_waiting(state, decision):  # the results of the rest are in the journal, and are taken up on resuming
            break
