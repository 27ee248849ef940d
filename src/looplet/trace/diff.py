"""What one run did differently from another: the engine behind `looplet diff`, snapshots and stale recordings.

Significant is what the agent did: steps added, removed, moved or renamed, arguments, results, errors, the stop reason,
the output. Informational is everything else: wording of prompts and replies, settings, tokens, time.
"""

from __future__ import annotations

from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from looplet._compare import changes, compare_steps
from looplet._pretty import visible
from looplet.trace.align import OTHER_ARGUMENTS, OTHER_RESULT, RENAMED, SAME, Pair, align
from looplet.trace.change import Change, Diff
from looplet.trace.layout import Layout
from looplet.trace.normalize import Normalizer
from looplet.trace.outline import Outline, StepPart, json_or_text, read_outlines
from looplet.trace.render import render_trace
from looplet.trace.wording import said_differently, short

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet.trace.read import Trace


def diff_traces(before: Trace, after: Trace) -> Diff:
    """Compare two traces. What differs from run to run by nature (see `normalize.py`) is left out."""
    layout = Layout(Normalizer())
    told = diff_texts(render_trace(before, layout), render_trace(after, layout))
    return Diff((*told.changes, *_spent(before, after)))


def diff_texts(before: str, after: str) -> Diff:
    """Compare two texts made by `render_trace` or `normal_text`."""
    earlier, later = read_outlines(before), read_outlines(after)
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
    pairs = align(before.steps, after.steps, step_cost)
    yield from _stop_reasons(before.end.get("ended"), after.end.get("ended"))
    yield from _steps(pairs)
    yield from _ends(before.end, after.end)
    yield from _fields(before.fields, after.fields)
    yield from said_differently(before, after, pairs)


# --- steps


def step_cost(before: StepPart, after: StepPart) -> int:
    """How unlike two steps are, for `align`."""
    left, right = before.facts, after.facts
    if left.tool != right.tool:
        return RENAMED
    if left.args != right.args:
        return OTHER_ARGUMENTS
    return SAME if before.facts == after.facts else OTHER_RESULT


def _steps(pairs: list[Pair[StepPart]]) -> Iterator[Change]:
    moved = _moved(pairs)
    for left, right in pairs:
        if left is not None and right is not None:
            yield from _changed(left, right)
        elif left is not None:
            yield _gone(left, moved.get(left.number))
        elif right is not None and right.number not in moved.values():
            yield Change("step_added", f"step {_named(right)} added", True, right.number, None, right.text)


def _moved(pairs: list[Pair[StepPart]]) -> dict[int, int]:
    """Numbers before and after of the steps that are gone in one place and new, with the same call, in another."""
    new = [right for left, right in pairs if left is None and right is not None]
    moved: dict[int, int] = {}
    for left, right in pairs:
        if left is not None and right is None:
            same = next((each for each in new if _call(each) == _call(left)), None)
            if same is not None:
                new.remove(same)
                moved[left.number] = same.number
    return moved


def _call(step: StepPart) -> tuple[str, Any]:
    return step.facts.tool, step.facts.args


def _gone(step: StepPart, now: int | None) -> Change:
    if now is None:
        return Change("step_removed", f"step {_named(step)} removed", True, step.number, step.text, None)
    return Change("step_moved", f"step {_named(step)} moved to step {now}", True, step.number, step.text, step.text)


def _changed(before: StepPart, after: StepPart) -> Iterator[Change]:
    number = f"{before.number}" if before.number == after.number else f"{before.number} (now {after.number})"
    for kind, text in compare_steps(before.facts, after.facts):
        name = "" if kind == "tool" else f" {visible(before.facts.tool)}"
        yield Change(kind, f"step {number}{name}: {text}", True, before.number, before.text, after.text)


def _named(step: StepPart) -> str:
    return f"{step.number} {visible(step.facts.tool)}"


# --- how it ended, and what it was given


def _ends(before: dict[str, str], after: dict[str, str]) -> Iterator[Change]:
    for name in ("output", "error"):  # a file edited by hand, or a merge conflict, may hold other names
        left, right = before.get(name), after.get(name)
        if left == right or (_is_last_result(left) and _is_last_result(right)):
            continue
        what = "output" if name == "output" else "error of the run"
        yield Change(name, f"{what} {_words(left, right)}", True, None, left, right)


def _stop_reasons(before: str | None, after: str | None) -> Iterator[Change]:
    if before != after:
        text = f"stop reason {_stop_reason(before)} → {_stop_reason(after)}"
        yield Change("stop_reason", text, True, None, before, after)


def _stop_reason(ended: str | None) -> str:
    return (ended or "none").partition(" (")[0]


def _is_last_result(output: str | None) -> bool:
    """Then a difference is one of that step."""
    return output is not None and output.startswith("the result of step ")


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
