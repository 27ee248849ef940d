"""Two lists of lines as pairs of before and after, and which words of a changed line differ."""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING, NamedTuple

from looplet._compare import first_character
from looplet._pretty import visible
from pytest_looplet.review.stretches import stretches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Key = Callable[[str], str]

Spans = tuple[tuple[int, int], ...]

_WORD = re.compile(r"\w+|\s+|.", re.DOTALL)
_MOST_CHARS = 4_000  # of a line that are shown: a result of a megabyte on one line is still one line
_MOST_LINES = 2_000  # compared exactly
_MOST_WORDS = 200  # of two lines, compared exactly
_AROUND = 200  # characters shown before the first difference of a line that is cut
_TAB = 4
_ALIKE = 0.3  # lines less alike are two lines, and marking their words would only be noise


class Pair(NamedTuple):
    """The same line before and after, or one that was taken out (no `after`), or put in (no `before`), as shown."""

    before: str | None
    after: str | None
    same: bool = False

    def marks(self) -> tuple[Spans, Spans]:
        """Which characters differ, before and after. Asked for when a line is shown: it is the costly part."""
        if self.same or self.before is None or self.after is None:
            return (), ()
        return _marks(self.before, self.after)


def pairs(before: Sequence[str], after: Sequence[str], key: Key = str) -> list[Pair]:
    """Align two texts. Lines whose `key` is equal are the same line."""
    keys = [key(line) for line in before], [key(line) for line in after]
    found: list[Pair] = []
    for same, one, other in stretches(*keys, _MOST_LINES):
        if same:
            found += [
                Pair(_line(left), _line(right), same=True)
                for left, right in zip(before[one], after[other], strict=True)
            ]
        else:
            found += _changed(before[one], after[other])
    return found


def _changed(before: Sequence[str], after: Sequence[str]) -> Iterator[Pair]:
    both = min(len(before), len(after))
    for old, new in zip(before, after, strict=False):
        yield _pair(old, new)
    for old in before[both:]:
        yield Pair(_line(old), None)
    for new in after[both:]:
        yield Pair(None, _line(new))


def _pair(before: str, after: str) -> Pair:
    old, new = _shown(before), _shown(after)
    start = 0
    if max(len(old), len(new)) > _MOST_CHARS:
        start = max(0, first_character(old, new) - _AROUND)
    return Pair(_cut(old, start), _cut(new, start))


@lru_cache(maxsize=4096)
def _marks(before: str, after: str) -> tuple[Spans, Spans]:
    words = _WORD.findall(before), _WORD.findall(after)
    found = list(stretches(*words, _MOST_WORDS))
    kept = "".join(word for same, one, _ in found if same for word in words[0][one])
    if 2 * len(kept) < _ALIKE * (len(before) + len(after)) or not kept.strip():
        return (), ()  # little or nothing but spaces in common: marking nearly everything says nothing
    changed = [(one, other) for same, one, other in found if not same]
    return _spans(words[0], [one for one, _ in changed]), _spans(words[1], [other for _, other in changed])


def _spans(words: list[str], ranges: list[slice]) -> Spans:
    """Ranges of words as ranges of characters."""
    starts = [0, *accumulate(map(len, words))]
    return tuple((starts[each.start], starts[each.stop]) for each in ranges if each.start < each.stop)


def _line(text: str) -> str:
    return _cut(_shown(text), 0)


def _shown(text: str) -> str:
    return visible(text.expandtabs(_TAB))


def _cut(text: str, start: int) -> str:
    if len(text) <= _MOST_CHARS:
        return text
    part = text[start : start + _MOST_CHARS]
    before = f"({start:,} characters) …" if start else ""
    rest = len(text) - start - len(part)
    return f"{before}{part}" + (f"… ({rest:,} more characters)" if rest else "")
