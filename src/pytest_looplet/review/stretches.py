"""Where two texts are equal and where not: exact for what a person would compare, quick for everything else."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from difflib import SequenceMatcher
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

Stretch = tuple[bool, slice, slice]  # equal or not, where before, where after


def stretches(before: list[str], after: list[str], most: int) -> Iterator[Stretch]:
    """Equal and unequal stretches in order. Equal ends are cut off first, and of what is between, no more than `most`
    items are compared by a search that is quadratic; longer texts are parted by what is unique in both.
    """
    head = _common(before, after)
    tail = _common(before[head:][::-1], after[head:][::-1])
    stop, other_stop = len(before) - tail, len(after) - tail
    yield True, slice(0, head), slice(0, head)
    for same, one, other in _search(before[head:stop], after[head:other_stop], most):
        yield same, _moved(one, head), _moved(other, head)
    yield True, slice(stop, len(before)), slice(other_stop, len(after))


def _common(before: list[str], after: list[str]) -> int:
    """How many leading items are equal."""
    shorter = min(len(before), len(after))
    return next((index for index in range(shorter) if before[index] != after[index]), shorter)


def _search(before: list[str], after: list[str], most: int) -> Iterator[Stretch]:
    if len(before) + len(after) > most:
        yield from _between_anchors(before, after, most)
        return
    matcher = SequenceMatcher(None, before, after, autojunk=False)
    for tag, start, stop, other_start, other_stop in matcher.get_opcodes():
        yield tag == "equal", slice(start, stop), slice(other_start, other_stop)


def _between_anchors(before: list[str], after: list[str], most: int) -> Iterator[Stretch]:
    """Patience diff (B. Cohen): what both texts hold once, in the longest common order, part the texts."""
    place = other_place = 0
    for index, other_index in [*_anchors(before, after), (len(before), len(after))]:
        one, other = before[place:index], after[other_place:other_index]
        if len(one) + len(other) <= most:
            for same, left, right in _search(one, other, most):
                yield same, _moved(left, place), _moved(right, other_place)
        else:
            yield False, slice(place, index), slice(other_place, other_index)
        if index < len(before):
            yield True, slice(index, index + 1), slice(other_index, other_index + 1)
        place, other_place = index + 1, other_index + 1


def _anchors(before: list[str], after: list[str]) -> list[tuple[int, int]]:
    once, other_once = _once(before), _once(after)
    ends: list[int] = []  # the smallest end of an increasing row of each length
    rows: list[tuple[int, int, int]] = []  # index before, index after, the row's previous entry
    tops: list[int] = []
    for line, index in once.items():
        other_index = other_once.get(line)
        if other_index is not None:
            length = bisect_left(ends, other_index)
            ends[length : length + 1] = [other_index]
            tops[length : length + 1] = [len(rows)]
            rows.append((index, other_index, tops[length - 1] if length else -1))
    found = []
    at = tops[-1] if tops else -1
    while at >= 0:
        index, other_index, at = rows[at]
        found.append((index, other_index))
    return found[::-1]


def _once(lines: list[str]) -> dict[str, int]:
    """What stands in the text once, in order, with its place."""
    counts = Counter(lines)
    return {line: index for index, line in enumerate(lines) if counts[line] == 1}


def _moved(part: slice, by: int) -> slice:
    return slice(part.start + by, part.stop + by)
