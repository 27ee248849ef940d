"""Where two texts are equal: the search is exact for short texts, and honest and quick for long ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_looplet.review.stretches import stretches

ITEMS = st.lists(st.sampled_from("abcdefgh"), max_size=30)
EXACT = 1_000


@given(ITEMS, ITEMS, st.sampled_from([0, 3, 10, EXACT]))
def test_the_stretches_make_up_both_texts_and_equal_ones_are_equal(
    before: list[str], after: list[str], most: int
) -> None:
    """However long a text may be before it is parted."""
    found = list(stretches(before, after, most))
    assert [item for _, one, _ in found for item in before[one]] == before
    assert [item for _, _, other in found for item in after[other]] == after
    assert all(before[one] == after[other] for same, one, other in found if same)


def same(before: list[str], after: list[str], most: int) -> int:
    return sum(one.stop - one.start for same, one, _ in stretches(before, after, most) if same)


def test_long_texts_are_parted_by_what_is_unique_in_both() -> None:
    before = [f"line {number}" for number in range(30_000)]
    after = [f"other {line}" if number % 50 == 0 else line for number, line in enumerate(before)]
    assert same(before, after, EXACT) == 30_000 * 49 // 50


def test_what_moved_does_not_hide_what_stayed() -> None:
    before = [f"line {number}" for number in range(3_000)]
    after = [*before[1_000:], *before[:1_000]]
    assert same(before, after, 10) == 2_000


def test_texts_of_repeated_lines_are_left_alone_where_a_search_would_take_minutes() -> None:
    before, after = ["a", "b"] * 20_000, ["b", "b", "a"] * 20_000
    assert same(["same", *before, "end"], ["same", *after, "end"], EXACT) == 2
