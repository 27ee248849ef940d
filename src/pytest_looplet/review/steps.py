"""Two texts of a run, compared step by step: what a reviewer reads, without saying how it looks.

A text is cut into parts: the start (settings, system prompt, tools, task), one part a step (the reply that led to it,
what the model was told before, the call, the result), and the end. Parts that are equal in both texts are folded, and
so are long stretches of equal lines in parts that are not.
"""

from __future__ import annotations

import re
from itertools import groupby, zip_longest
from typing import TYPE_CHECKING, NamedTuple

from looplet._pretty import shorten, visible
from looplet.trace.align import align
from looplet.trace.diff import step_costs
from looplet.trace.outline import Outline, Section, StepPart, read_outlines
from pytest_looplet.review.lines import Pair, pairs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_ASKED = re.compile(r"\[(?:reply|request) \d")
_NUMBERED = re.compile(r"^(\[(?:reply|step|request)|output: the result of step) \d+")
_CONTEXT = 2  # equal lines shown before and after a change
_FOLDED_AT_LEAST = 3  # a fold of fewer lines would take as much room as the lines
_MOST_CHANGED = 300  # changed lines in a row that are shown at first
_TOOL_CHARS = 40


class Part(NamedTuple):
    """A piece of a run's text: `start`, `step 3`, `end`."""

    name: str
    lines: tuple[str, ...]
    step: StepPart | None = None


class Title(NamedTuple):
    """Begins a part. `sign`: + for a part put in, - for one taken out, ~ for a changed one, empty for an equal one."""

    text: str
    sign: str = ""


class Fold(NamedTuple):
    """Rows that are shown when they are asked for."""

    label: str
    rows: tuple[Row, ...]


Row = Title | Pair | Fold


def compare(before: str, after: str) -> list[Row]:
    """The rows of a review: changed parts whole but for long equal stretches, equal parts folded."""
    old, new = read_outlines(before), read_outlines(after)
    several = max(len(old), len(new)) > 1
    rows: list[Row] = []
    equal: list[list[Row]] = []
    for loop, (left_run, right_run) in enumerate(zip_longest(old, new), start=1):
        for left, right in _pairs(parts(left_run), parts(right_run)):
            title = _title(left, right, f"run {loop} · " if several else "")
            found = pairs(left.lines if left else (), right.lines if right else (), key=line_key)
            if not title.sign:
                equal.append([title, *found])
                continue
            rows += [*_equal_parts(equal), title, *_without_excess(_with_context(found))]
            equal = []
    return [*rows, *_equal_parts(equal)]


def parts(run: Outline | None) -> list[Part]:
    """Cut the text of one run."""
    return [] if run is None else list(_parts(run))


def _parts(run: Outline) -> Iterator[Part]:
    """The start lasts until the model first answers; what follows the last step belongs to the end."""
    name, lines = "start", _fields(run.fields)
    for part in run.parts:
        if name == "start" and (isinstance(part, StepPart) or _ASKED.match(part.heading)):
            yield Part(name, tuple(lines))
            name, lines = "end", []
        for section in part.sections if isinstance(part, StepPart) else (part,):
            lines += [*([""] if lines and is_heading(section.heading) else []), *_section(section)]
        if isinstance(part, StepPart):
            yield Part(f"step {part.number}", tuple(lines), part)
            lines = []
    end = _fields(run.end)
    if name == "start":
        yield Part(name, tuple(lines))
        lines = []
    if lines or end:
        yield Part("end", (*lines, *([""] if lines and end else []), *end))


def _pairs(before: Sequence[Part], after: Sequence[Part]) -> Iterator[tuple[Part | None, Part | None]]:
    """Start with start, end with end, and the steps as the diff aligns them."""
    left, right = ({part.name: part for part in side if part.step is None} for side in (before, after))
    earlier, later = _steps(before), _steps(after)
    cost = step_costs([step for step, _ in earlier], [step for step, _ in later])
    steps = align(earlier, later, lambda one, other: cost(one[0], other[0]))
    for name, found in (("start", []), ("", steps), ("end", [])):
        if name in left or name in right:
            yield left.get(name), right.get(name)
        for one, other in found:
            yield one[1] if one else None, other[1] if other else None


def _steps(side: Sequence[Part]) -> list[tuple[StepPart, Part]]:
    return [(part.step, part) for part in side if part.step is not None]


def _section(section: Section) -> list[str]:
    return [section.heading, *(f"  {line}".rstrip() for line in section.body.split("\n") if section.body)]


def _fields(fields: Mapping[str, str]) -> list[str]:
    """`name: value`, a value of several lines below its name."""
    lines = []
    for name, value in fields.items():
        lines += _section(Section(f"{name}:", value)) if "\n" in value else [f"{name}: {value}".rstrip()]
    return lines


def _content(part: Part) -> tuple[str, ...]:
    return tuple(line_key(line) for line in part.lines)


def line_key(line: str) -> str:
    """The line without the number of its step: a step put in before it does not change it."""
    return _NUMBERED.sub(r"\1", line)


def is_heading(line: str) -> bool:
    """Headings stand at the left margin; whatever a model or tool wrote is indented."""
    return line.startswith("[")


def _title(left: Part | None, right: Part | None, prefix: str) -> Title:
    part = right or left
    assert part is not None, "a pair has at least one of the two"  # noqa: S101  # for the type checker
    text = prefix + part.name
    if left and right and left.name != right.name:
        text += f" (was {left.name})"
    tools = [_tool(each.step.facts.tool) for each in (left, right) if each and each.step]
    text += "  " + " → ".join(dict.fromkeys(tools)) if tools else ""
    sign = "~" if left and right else "+" if right else "-"
    return Title(text, "" if left and right and _content(left) == _content(right) else sign)


def _tool(name: str) -> str:
    return shorten(visible(name), _TOOL_CHARS)


def _equal_parts(equal: list[list[Row]]) -> list[Row]:
    if not equal:
        return []
    names = [rows[0].text for rows in equal if isinstance(rows[0], Title)]
    steps = sum("step " in name for name in names)
    counted = [f"{steps} step{'' if steps == 1 else 's'}"] if steps else []
    words = [*(["start"] if "start" in names else []), *counted, *(["end"] if "end" in names else [])]
    label = " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]])) or f"{len(equal)} parts"
    return [Fold(f"{label} unchanged", tuple(row for rows in equal for row in rows))]


def _with_context(found: Sequence[Pair]) -> Iterator[Row]:
    """Fold equal lines that are far from a change, but keep the heading under which a change stands."""
    shown: set[int] = set()
    heading: int | None = None
    for index, pair in enumerate(found):
        if pair.same and pair.after and is_heading(pair.after):
            heading = index
        if not pair.same:
            shown |= {index, *_near(found, index, -1), *_near(found, index, 1)}
            shown |= {heading} if heading is not None else set()
    hidden: list[Pair] = []
    for index, pair in enumerate(found):
        if index in shown:
            yield from _folded(hidden)
            hidden = []
            yield pair
        else:
            hidden.append(pair)
    yield from _folded(hidden)


def _near(found: Sequence[Pair], index: int, towards: int) -> Iterator[int]:
    """The equal lines next to a change, up to the end of its paragraph."""
    for place in range(index + towards, index + towards * (_CONTEXT + 1), towards):
        if not 0 <= place < len(found) or not found[place].same or not found[place].after:
            return
        yield place


def _folded(hidden: list[Pair]) -> Sequence[Row]:
    if len(hidden) < _FOLDED_AT_LEAST:
        return hidden
    return [Fold(f"{len(hidden)} lines unchanged", tuple(hidden))]


def _without_excess(rows: Iterator[Row]) -> Iterator[Row]:
    """Fold what comes after the first few hundred changed lines in a row, and say how many they are."""
    for changed, group in groupby(rows, key=lambda row: isinstance(row, Pair) and not row.same):
        found = list(group)
        yield from found[:_MOST_CHANGED] if changed else found
        if changed and len(found) > _MOST_CHANGED:
            rest = found[_MOST_CHANGED:]
            yield Fold(f"{len(rest):,} more lines changed", tuple(rest))
