"""What one run did differently from another: the engine behind `looplet diff`, snapshots and stale recordings.

Significant is what the agent did: steps added, removed, moved or renamed, arguments, results, errors, the stop reason,
the output. Informational is everything else: wording of prompts and replies, settings, tokens, time.
"""

from __future__ import annotations

from collections import Counter
from itertools import zip_longest
from typing import TYPE_CHECKING

from looplet._compare import StepFacts, changes, compare_steps
from looplet._pretty import visible
from looplet.trace.align import APART, OTHER_ARGUMENTS, OTHER_RESULT, RENAMED, SAME, Pair, align
from looplet.trace.change import Change, Diff
from looplet.trace.jsonable import canonical
from looplet.trace.layout import Layout
from looplet.trace.normalize import Normalizer
from looplet.trace.outline import Outline, StepPart, json_or_text, read_outlines
from looplet.trace.render import render_trace
from looplet.trace.wording import said_differently, short

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from looplet.trace.read import Trace
    from looplet.types import Step


def diff_traces(before: Trace, after: Trace) -> Diff:
    """Compare two traces. What differs from run to run by nature (see `normalize.py`) is left out."""
    return Diff((*_diff([_exact(before)], [_exact(after)]).changes, *_spent(before, after)))


def diff_texts(before: str, after: str) -> Diff:
    """Compare two texts made by `render_trace` or `normal_text`."""
    return _diff(read_outlines(before), read_outlines(after))


def _exact(trace: Trace) -> Outline:
    """The text of a trace, with the facts from its events: a text does not tell 5 from "5"."""
    layout = Layout(Normalizer())
    [outline] = read_outlines(render_trace(trace, layout))
    output = layout.json(trace.finished.output) if trace.finished else None
    return outline.exactly([_facts(step, layout) for step in trace.steps], output)


def _facts(step: Step, layout: Layout) -> StepFacts:
    call, result = step.tool_call, step.tool_result
    error = None if result.error is None else layout.text(result.error)
    kind = result.error_kind and str(result.error_kind)
    notes = tuple(map(layout.text, result.warnings))
    return StepFacts(call.tool, layout.json(call.args), layout.json(result.data), error, kind, notes)


def _diff(earlier: list[Outline], later: list[Outline]) -> Diff:
    several = max(len(earlier), len(later)) > 1
    found: list[Change] = []
    for number, (left, right) in enumerate(zip_longest(earlier, later), start=1):
        if left is None or right is None:
            word = "added" if left is None else "removed"
            found.append(Change(f"run_{word}", f"run {number} {word}", significant=True))
            continue
        prefix = f"run {number}, " if several else ""
        found += [change.replace(text=prefix + change.text) for change in _runs(left, right)]
    return Diff(tuple(sorted(found, key=lambda change: not change.significant)))


def _runs(before: Outline, after: Outline) -> Iterator[Change]:
    pairs = align(before.steps, after.steps, step_costs(before.steps, after.steps))
    yield from _stop_reasons(before.end.get("ended"), after.end.get("ended"))
    yield from _steps(pairs)
    yield from _outputs(before, after)
    yield from _errors(before.end.get("error"), after.end.get("error"))
    yield from _fields(before.fields, after.fields)
    yield from said_differently(before, after, pairs)


# --- steps


def step_costs(before: Sequence[StepPart], after: Sequence[StepPart]) -> Callable[[StepPart, StepPart], int]:
    """How unlike a step of `before` and one of `after` are, for `align`.

    A call that the other run makes as often was moved there; it was not turned into another call.
    """
    earlier, later = Counter(map(_call, before)), Counter(map(_call, after))
    kept = {id(step) for step in before if later[_call(step)] >= earlier[_call(step)]}
    kept |= {id(step) for step in after if earlier[_call(step)] >= later[_call(step)]}

    def cost(left: StepPart, right: StepPart) -> int:
        one, other = left.facts, right.facts
        if one.tool != other.tool:
            return APART if id(left) in kept or id(right) in kept else RENAMED
        if one.args != other.args:
            return APART if id(left) in kept and id(right) in kept else OTHER_ARGUMENTS
        return SAME if one == other else OTHER_RESULT

    return cost


def _call(step: StepPart) -> tuple[str, bytes]:
    return step.facts.tool, canonical(step.facts.args)


def _steps(pairs: list[Pair[StepPart]]) -> Iterator[Change]:
    moved = _moved(pairs)
    arrived = {id(step) for step in moved.values()}
    for left, right in pairs:
        if left is not None and right is not None:
            yield from _changed(left, right)
        elif left is not None:
            now = moved.get(id(left))
            yield from _removed(left) if now is None else _moved_to(now, left, pairs)
        elif right is not None and id(right) not in arrived:
            yield Change("step_added", f"step {_named(right)} added", True, right.number, None, right.text)


def _moved(pairs: list[Pair[StepPart]]) -> dict[int, StepPart]:
    """By identity: steps that are gone in one place and new, with the same call and best the same result, elsewhere."""
    gone = [left for left, right in pairs if left is not None and right is None]
    new: dict[tuple[str, bytes], list[StepPart]] = {}
    for left, right in pairs:
        if left is None and right is not None:
            new.setdefault(_call(right), []).append(right)
    moved: dict[int, StepPart] = {}
    for exactly in (True, False):
        for left in gone:
            there = new.get(_call(left), []) if id(left) not in moved else []
            place = next((i for i, right in enumerate(there) if not exactly or right.facts == left.facts), None)
            if place is not None:
                moved[id(left)] = there.pop(place)
    return moved


def _removed(step: StepPart) -> Iterator[Change]:
    yield Change("step_removed", f"step {_named(step)} removed", True, step.number, step.text, None)


def _moved_to(now: StepPart, step: StepPart, pairs: list[Pair[StepPart]]) -> Iterator[Change]:
    where = f"to step {now.number}"
    if now.number == step.number:  # one came before it and another one no longer does
        start, end = (
            next(i for i, pair in enumerate(pairs) if any(each is one for one in pair)) for each in (step, now)
        )
        passed = [left for left, right in pairs[min(start, end) : max(start, end)] if left and right]
        where = f"past step {_named(passed[-1] if start < end else passed[0])}" if passed else where
    yield Change("step_moved", f"step {_named(step)} moved {where}", True, step.number, step.text, now.text)
    yield from _changed(step, now)


def _changed(before: StepPart, after: StepPart) -> Iterator[Change]:
    number = f"{before.number}" if before.number == after.number else f"{before.number} (now {after.number})"
    for kind, text in compare_steps(before.facts, after.facts):
        name = "" if kind == "tool" else f" {visible(before.facts.tool)}"
        yield Change(kind, f"step {number}{name}: {text}", True, before.number, before.text, after.text)


def _named(step: StepPart) -> str:
    return f"{step.number} {visible(step.facts.tool)}"


# --- how it ended, and what it was given


def _outputs(before: Outline, after: Outline) -> Iterator[Change]:
    if before.ends_in_its_last_step and after.ends_in_its_last_step:
        return
    left, right = before.end.get("output"), after.end.get("output")
    if told := changes(before.output, after.output):
        words = f"changed: {told}" if (left is None) == (right is None) else _words(left, right)
        yield Change("output", f"output {words}", True, None, left, right)


def _errors(before: str | None, after: str | None) -> Iterator[Change]:
    if before != after:
        yield Change("error", f"error of the run {_words(before, after)}", True, None, before, after)


def _stop_reasons(before: str | None, after: str | None) -> Iterator[Change]:
    if before == after:
        return
    (reason, why, calls), (other_reason, other_why, other_calls) = _ended(before), _ended(after)
    if reason != other_reason:
        text = f"stop reason {reason} → {other_reason}"
    elif why != other_why:
        text = f"stop reason {reason}: {why or 'no status'} → {other_why or 'no status'}"
    else:
        text = f"stop reason {reason}: calls without a result {_words(calls, other_calls)}"
    yield Change("stop_reason", text, True, None, before, after)


def _ended(ended: str | None) -> tuple[str, str, str | None]:
    """`done (completed)` in its two parts, and the calls that stand below."""
    line, _, calls = (ended or "none").partition("\n")
    reason, _, why = line.rpartition(" (") if line.endswith(")") else (line, "", "")
    return reason or line, why.removesuffix(")"), calls or None


def _words(before: str | None, after: str | None) -> str:
    if before is None:
        return f"added: {short(after or '')}"
    if after is None:
        return f"removed: {short(before)}"
    return f"changed: {changes(json_or_text(before), json_or_text(after))}"


def _fields(before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    for name in {**before, **after}:
        left, right = before.get(name), after.get(name)
        if left != right:
            kind = "prompt" if name in ("task", "tools") else "setting"
            yield Change(kind, f"{name} {_words(left, right)}", False, None, left, right)


# --- what it cost


def _spent(before: Trace, after: Trace) -> Iterator[Change]:
    left, right = before.finished, after.finished
    if left is None or right is None:
        return
    if before.header.get("model") != after.header.get("model"):
        models = [visible(str(trace.header.get("model"))) for trace in (before, after)]
        yield Change("setting", f"model {models[0]} → {models[1]}", False, None, *models)
    tokens = [f"{end.usage.input_tokens:,} in, {end.usage.output_tokens:,} out" for end in (left, right)]
    if tokens[0] != tokens[1]:
        yield Change("tokens", f"tokens {tokens[0]} → {tokens[1]}", False, None, *tokens)
    times = [f"{end.duration_s:.3f} s" for end in (left, right)]
    if times[0] != times[1]:
        yield Change("time", f"time {times[0]} → {times[1]}", False, None, *times)
