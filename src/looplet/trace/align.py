"""Which step of one run corresponds to which of another: the pairing with the least to explain.

Global alignment by dynamic programming (S. B. Needleman and C. D. Wunsch, J. Mol. Biol. 48, 1970), with these costs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")

SAME, OTHER_RESULT, OTHER_ARGUMENTS, RENAMED, ALONE = 0, 1, 3, 7, 4  # a renamed step is likelier than one gone, one new
APART = 2 * ALONE + 1  # never paired
_MOST_CELLS = 4_000_000  # beyond, steps are paired by their number

Pair = tuple[T | None, T | None]


def align(before: Sequence[T], after: Sequence[T], cost: Callable[[T, T], int]) -> list[Pair[T]]:
    """Pair the items in order; None stands beside one that has no partner. Takes len(before) × len(after) steps."""
    start = _common(before, after, cost)
    end = _common(before[start:][::-1], after[start:][::-1], cost)
    left, right = before[start : len(before) - end], after[start : len(after) - end]
    middle = _by_number(left, right) if len(left) * len(right) > _MOST_CELLS else _cheapest(left, right, cost)
    tail = len(before) - end
    return [
        *zip(before[:start], after[:start], strict=True),
        *middle,
        *zip(before[tail:], after[len(after) - end :], strict=True),
    ]


def _common(before: Sequence[T], after: Sequence[T], cost: Callable[[T, T], int]) -> int:
    """How many leading items are the same."""
    count = 0
    for left, right in zip(before, after, strict=False):
        if cost(left, right) != SAME:
            break
        count += 1
    return count


def _by_number(before: Sequence[T], after: Sequence[T]) -> list[Pair[T]]:
    both = min(len(before), len(after))
    paired: list[Pair[T]] = list(zip(before[:both], after[:both], strict=True))
    return [*paired, *((item, None) for item in before[both:]), *((None, item) for item in after[both:])]


def _cheapest(before: Sequence[T], after: Sequence[T], cost: Callable[[T, T], int]) -> list[Pair[T]]:
    costs = [[ALONE * column for column in range(len(after) + 1)]]
    for row, left in enumerate(before, start=1):
        above, line = costs[-1], [ALONE * row]
        for column, right in enumerate(after, start=1):
            together = above[column - 1] + cost(left, right)
            line.append(min(together, above[column] + ALONE, line[-1] + ALONE))
        costs.append(line)
    pairs: list[Pair[T]] = []
    row, column = len(before), len(after)
    while row or column:  # from the end: of equally cheap pairings the one that pairs the earliest steps
        here = costs[row][column]
        if row and here == costs[row - 1][column] + ALONE:
            row -= 1
            pairs.append((before[row], None))
        elif column and here == costs[row][column - 1] + ALONE:
            column -= 1
            pairs.append((None, after[column]))
        else:
            row, column = row - 1, column - 1
            pairs.append((before[row], after[column]))
    return pairs[::-1]
