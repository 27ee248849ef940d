"""What was said between the steps of two runs: prompts, replies, hooks, notices. Informational, all of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from looplet._compare import excerpt, first_character
from looplet._pretty import shorten, visible
from looplet.trace.align import APART, OTHER_RESULT, SAME, align
from looplet.trace.change import Change
from looplet.trace.outline import Outline, Section, StepPart, is_reply

if TYPE_CHECKING:
    from collections.abc import Iterator

    from looplet.trace.align import Pair

_TEXT_CHARS = 60
_NUMBER = re.compile(r" \d+")
_ASKED = re.compile(r"\[(?:reply|request) -?\d")
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
    """What the model was given at first is compared with that; then, what stands between two steps with what stands

    between the steps they correspond to. A step without a partner is told as such, and what led to it with the next.
    """
    (start, *earlier), (other_start, *later) = _between(before), _between(after)
    yield from _compared(start, other_start, 1 if before.steps or after.steps else None, "at the start")
    ours, theirs = iter(earlier), iter(later)
    left_said: list[Section] = []
    right_said: list[Section] = []
    for left, right in [*pairs, (None, None)]:
        both_or_end = (left is None) == (right is None)
        left_said += next(ours) if left is not None or both_or_end else []
        right_said += next(theirs) if right is not None or both_or_end else []
        if both_or_end:
            yield from _compared(left_said, right_said, None if left is None else left.number, "after the last step")
            left_said, right_said = [], []
        elif left_said or right_said:
            left_said, right_said = _with_words(left_said), _with_words(right_said)


def _compared(before: list[Section], after: list[Section], step: int | None, without: str) -> Iterator[Change]:
    where = without if step is None else f"before step {step}"
    for one, other in align(before, after, _unlike):
        if one is None or other is None or _key(one) != _key(other):
            yield _said(one, other, where, step)


def _between(outline: Outline) -> list[list[Section]]:
    """The sections until the model is first asked, those ahead of each step, and those after the last one."""
    found: list[list[Section]] = [[]]
    asked = False
    for part in outline.parts:
        if not asked and (isinstance(part, StepPart) or _ASKED.match(part.heading)):
            asked = True
            found.append([])
        if isinstance(part, StepPart):
            found.append([])
        else:
            found[-1].append(part)
    return found if asked else [*found, []]


def _with_words(sections: list[Section]) -> list[Section]:
    """Without the replies that are nothing but the call of a step that is told as added or removed."""
    return [section for section in sections if section.body or not is_reply(section)]


def _unlike(before: Section, after: Section) -> int:
    if _key(before) == _key(after):
        return SAME
    return OTHER_RESULT if _kind(before) == _kind(after) else APART


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
