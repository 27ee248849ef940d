"""What was said between the steps of two runs: prompts, replies, hooks, notices. Informational, all of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from looplet._compare import excerpt, first_character
from looplet._pretty import shorten, visible
from looplet.trace.align import ALONE, OTHER_RESULT, SAME, align
from looplet.trace.change import Change
from looplet.trace.outline import Outline, Section, StepPart, is_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet.trace.align import Pair

_TEXT_CHARS = 60
_NUMBER = re.compile(r" \d+")
_KINDS = {  # first word of a heading → kind of change, what it is called
    "system": ("prompt", "system prompt"),
    "tools": ("prompt", "tool descriptions"),
    "user": ("prompt", "{} message {}"),
    "assistant": ("prompt", "{} message {}"),
    "tool": ("prompt", "{} message {}"),
    "reply": ("reply", "{} {}"),
}


def short(text: str) -> str:
    """A text on one line, shortened."""
    return shorten(visible(text.strip().replace("\n", " ")), _TEXT_CHARS)


def said_differently(before: Outline, after: Outline, pairs: list[Pair[StepPart]]) -> Iterator[Change]:
    """Prompts and replies between two steps are compared with those between the steps they correspond to."""
    earlier, later = _between(before), _between(after)
    for left, right in [*pairs, (None, None)]:
        if (left is None) != (right is None):
            continue  # an added or removed step is told as such
        number = left.number if left is not None else None
        where = f"before step {number}" if number is not None else "after the last step"
        there = right.number if right is not None else None
        for one, other in align(earlier.get(number, []), later.get(there, []), _unlike):
            if one is None or other is None or _key(one) != _key(other):
                yield _said(one, other, where, number)


def _between(outline: Outline) -> dict[int | None, list[Section]]:
    """The sections ahead of each step, by its number; None for those after the last one."""
    found: dict[int | None, list[Section]] = {}
    waiting: list[Section] = []
    for part in outline.parts:
        if isinstance(part, StepPart):
            found[part.number], waiting = waiting, []
        else:
            waiting.append(part)
    return found | {None: waiting}


def _unlike(before: Section, after: Section) -> int:
    if _key(before) == _key(after):
        return SAME
    return OTHER_RESULT if _kind(before) == _kind(after) else 2 * ALONE + 1  # never paired


def _key(section: Section) -> tuple[str, str]:
    """What makes a section the same: numbers of requests count from the start and say nothing by themselves."""
    return _NUMBER.sub("", section.heading, count=1), section.body


def _kind(section: Section) -> str:
    """`reply` for `[reply 3]`, `request failed` for `[request 2 failed]`, `hook Limit.pre_prompt`, `system`."""
    return "reply" if is_reply(section) else _NUMBER.sub("", section.heading.partition("]")[0][1:].partition(",")[0])


def _said(before: Section | None, after: Section | None, where: str, step: int | None) -> Change:
    section = after or before
    assert section is not None, "one of a pair is there"  # noqa: S101  # for the type checker
    kind, name = _KINDS.get(_kind(section).partition(" ")[0], ("event", "{} {}"))
    name = name.format(_kind(section), where)
    left, right = (None if each is None else each.text for each in (before, after))
    if before is not None and after is not None:
        return Change(kind, f"{name} changed {_where(before, after)}", False, step, left, right)
    said = "added" if before is None else "removed"
    return Change(kind, f"{name} {said}: {short(section.body or section.heading)}", False, step, left, right)


def _where(before: Section, after: Section) -> str:
    one, other = (before.body, after.body) if before.body != after.body else (before.heading, after.heading)
    at = first_character(one, other)
    return f"at char {at}: {excerpt(one, at)} → {excerpt(other, at)}"
