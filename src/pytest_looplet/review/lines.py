"""Two lists of lines as pairs of before and after, and which words of a changed line differ."""

from __future__ import annotations

import re
from difflib import SequenceMatcher
from typing import TYPE_CHECKING, NamedTuple

from looplet._compare import first_character
from looplet._pretty import visible

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Key = Callable[[str], str]

_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)
_MOST_LINES = 2_000  # compared line by line; beyond it the search takes longer than anybody looks at the result
_MOST_CHARS = 4_000  # of a line that are shown: a result of a megabyte on one line is still one line
_MOST_WORDS = 600  # in two lines compared word by word
_AROUND = 200  # characters shown before the first difference of a line that is cut
_TAB = 4
_ALIKE = 0.3  # lines less alike are two lines, and marking their words would only be noise


class Line(NamedTuple):
    """One line as it is shown. `marked` are the spans that differ from the line it is paired with."""

    text: str
    marked: tuple[tuple[int, int], ...] = ()


class Pair(NamedTuple):
    """The same line before and after, or one that was taken out (no `after`), or put in (no `before`)."""

    before: Line | None
    after: Line | None
    same: bool = False


def pairs(before: Sequence[str], after: Sequence[str], key: Key = str) -> list[Pair]:
    """Align two texts. Lines whose `key` is equal are the same line."""
    keys = [key(line) for line in before], [key(line) for line in after]
    found: list[Pair] = []
    for same, one, other in _blocks(*keys):
        if same:
            found += [
                Pair(_line(left), _line(right), same=True)
                for left, right in zip(before[one], after[other], strict=True)
            ]
        else:
            found += _changed(before[one], after[other])
    return found


def _blocks(before: list[str], after: list[str]) -> Iterator[tuple[bool, slice, slice]]:
    """Equal and unequal stretches in order; equal ends are cut off before the costly search between them."""
    shorter = min(len(before), len(after))
    head = next((index for index in range(shorter) if before[index] != after[index]), shorter)
    most = shorter - head
    tail = next((index for index in range(most) if before[-1 - index] != after[-1 - index]), most)
    yield True, slice(0, head), slice(0, head)
    ends = len(before) - tail, len(after) - tail
    if ends[0] + ends[1] - 2 * head > _MOST_LINES:
        yield False, slice(head, ends[0]), slice(head, ends[1])
    else:
        matcher = SequenceMatcher(None, before[head : ends[0]], after[head : ends[1]], autojunk=False)
        for tag, start, stop, other_start, other_stop in matcher.get_opcodes():
            yield (
                tag == "equal",
                slice(head + start, head + stop),
                slice(head + other_start, head + other_stop),
            )
    yield True, slice(ends[0], None), slice(ends[1], None)


def _changed(before: Sequence[str], after: Sequence[str]) -> Iterator[Pair]:
    common = min(len(before), len(after))
    for old, new in zip(before, after, strict=False):
        yield _pair(old, new)
    for old in before[common:]:
        yield Pair(_line(old), None)
    for new in after[common:]:
        yield Pair(None, _line(new))


def _pair(before: str, after: str) -> Pair:
    old, new = _shown(before), _shown(after)
    if max(len(old), len(new)) > _MOST_CHARS:
        start = max(0, first_character(old, new) - _AROUND)
        return Pair(Line(_cut(old, start)), Line(_cut(new, start)))
    left, right = _marks(old, new)
    return Pair(Line(old, left), Line(new, right))


def _marks(before: str, after: str) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int], ...]]:
    words = _WORD.findall(before), _WORD.findall(after)
    if len(words[0]) + len(words[1]) > _MOST_WORDS:
        return (), ()
    matcher = SequenceMatcher(None, *words, autojunk=False)
    if matcher.ratio() < _ALIKE:
        return (), ()
    codes = matcher.get_opcodes()
    if not any("".join(words[0][start:stop]).strip() for tag, start, stop, _, _ in codes if tag == "equal"):
        return (), ()  # only spaces in common: marking everything says nothing
    changed = [code for code in codes if code[0] != "equal"]
    return (
        _spans(words[0], [(start, stop) for _, start, stop, _, _ in changed]),
        _spans(words[1], [(start, stop) for _, _, _, start, stop in changed]),
    )


def _spans(words: list[str], ranges: list[tuple[int, int]]) -> tuple[tuple[int, int], ...]:
    """Ranges of words as ranges of characters."""
    starts = [0]
    for word in words:
        starts.append(starts[-1] + len(word))
    return tuple((starts[first], starts[last]) for first, last in ranges if first < last)


def _line(text: str) -> Line:
    return Line(_cut(_shown(text), 0))


def _shown(text: str) -> str:
    return visible(text.expandtabs(_TAB))


def _cut(text: str, start: int) -> str:
    if len(text) <= _MOST_CHARS:
        return text
    part = text[start : start + _MOST_CHARS]
    before = f"({start:,} characters) …" if start else ""
    rest = len(text) - start - len(part)
    return f"{before}{part}" + (f"… ({rest:,} more characters)" if rest else "")
