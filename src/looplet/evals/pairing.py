"""Pair as many expected calls with actual ones as an order allows: by place, in order, or freely."""

from __future__ import annotations

from collections.abc import Callable

Matches = Callable[[int, int], bool]  # whether expected call i and actual call j match
Pairs = dict[int, int]  # expected to actual


def pair_places(expected: int, actual: int, matches: Matches) -> Pairs:
    return {at: at for at in range(min(expected, actual)) if matches(at, at)}


def pair_in_order(expected: int, actual: int, matches: Matches) -> Pairs:
    """The longest common subsequence; the earliest calls where several would do."""
    best = [[0] * (actual + 1) for _ in range(expected + 1)]  # best[i][j]: of expected[i:] and actual[j:]
    for i in reversed(range(expected)):
        for j in reversed(range(actual)):
            best[i][j] = best[i + 1][j + 1] + 1 if matches(i, j) else max(best[i + 1][j], best[i][j + 1])
    pairs: Pairs = {}
    i = j = 0
    while i < expected and j < actual:
        if matches(i, j) and best[i][j] == best[i + 1][j + 1] + 1:
            pairs[i] = j
            i, j = i + 1, j + 1
        elif best[i][j] == best[i][j + 1]:
            j += 1
        else:
            i += 1
    return pairs


def pair_any(expected: int, actual: int, matches: Matches) -> Pairs:
    """A largest matching, whatever the order. Taking the first that fits would not do: with looser rules for arguments
    one actual call may fit several expected ones, of which only one fits nothing else.
    """
    pairs: Pairs = {}
    for start in range(expected):
        owner = {call: want for want, call in pairs.items()}
        came_from: dict[int, int] = {}  # actual call to the expected one that asks for it
        waiting = [start]
        while waiting:
            want = waiting.pop(0)
            asked = [call for call in range(actual) if call not in came_from and matches(want, call)]
            came_from |= dict.fromkeys(asked, want)
            free = next((call for call in asked if call not in owner), None)
            if free is not None:
                _hand_over(free, came_from, pairs)
                break
            waiting += [owner[call] for call in asked]
    return pairs


def _hand_over(call: int, came_from: dict[int, int], pairs: Pairs) -> None:
    """Give `call` to the expected one that asked for it; what that one had goes to who asked for that, and so on."""
    given: int | None = call
    while given is not None:
        want = came_from[given]
        before = pairs.get(want)
        pairs[want] = given
        given = before
