"""Lines before and after: which are the same, which words differ, and what becomes of the odd ones."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pytest_looplet.review.lines import Pair, pairs

LINES = st.lists(st.text(st.sampled_from("ab {}\t\x1b\u202e語"), max_size=8), max_size=12)


def removed(found: list[Pair]) -> list[str]:
    return [pair.before for pair in found if pair.before is not None and not pair.same]


def added(found: list[Pair]) -> list[str]:
    return [pair.after for pair in found if pair.after is not None and not pair.same]


def words(pair: Pair) -> tuple[list[str], list[str]]:
    """What is marked before and after."""
    sides = zip((pair.before, pair.after), pair.marks(), strict=True)
    before, after = ([line[start:stop] for start, stop in spans] if line is not None else [] for line, spans in sides)
    return before, after


@given(LINES, LINES)
def test_both_texts_can_be_read_off_the_pairs(before: list[str], after: list[str]) -> None:
    found = pairs(before, after)
    shown = [[pair.after for pair in pairs([], lines) if pair.after is not None] for lines in (before, after)]
    assert [pair.before for pair in found if pair.before is not None] == shown[0]
    assert [pair.after for pair in found if pair.after is not None] == shown[1]
    assert all(pair.before == pair.after for pair in found if pair.same)
    assert all(shown_line.isprintable() for shown_line in (*shown[0], *shown[1]))


@given(LINES)
def test_a_text_has_no_difference_to_itself(text: list[str]) -> None:
    assert all(pair.same for pair in pairs(text, text))


def test_the_words_that_differ_are_marked() -> None:
    (pair,) = pairs(["refund of 25 EUR"], ["refund of 5 EUR"])
    assert words(pair) == (["25"], ["5"])


def test_lines_that_share_nothing_but_spaces_are_not_marked() -> None:
    (pair,) = pairs(["  refunded 25"], ["  told"])
    assert words(pair) == ([], [])


def test_a_shared_indentation_is_nothing_to_compare_by() -> None:
    (pair,) = pairs(["        a"], ["        b"])
    assert words(pair) == ([], [])


def test_a_key_says_which_lines_are_the_same() -> None:
    (pair,) = pairs(["1 a"], ["2 a"], key=lambda line: line[2:])
    assert pair.same
    assert pair.after == "2 a"


def test_control_characters_are_visible_and_tabs_are_spaces() -> None:
    (pair,) = pairs([], ["\ta\x1b[31m\u202eb"])
    assert added([pair]) == [r"    a\x1b[31m\u202eb"]


def test_a_very_long_line_is_shown_around_its_first_difference() -> None:
    start, end = "x" * 100_000, "y" * 50_000
    (pair,) = pairs([f"{start}1{end}"], [f"{start}2{end}"])
    for line, digit in ((pair.before, "1"), (pair.after, "2")):
        assert line is not None
        assert line.startswith("(99,800 characters) …xxx")
        assert f"x{digit}y" in line
        assert line.endswith("y… (46,201 more characters)")
        assert len(line) < 5_000


def test_very_different_long_texts_are_not_searched_for_what_they_share() -> None:
    """The search is quadratic: these would take minutes."""
    before, after = ([f"{side} {number}" for number in range(20_000)] for side in "ab")
    found = pairs(["same", *before, "end"], ["same", *after, "end"])
    assert (found[0].same, found[-1].same) == (True, True)
    assert (len(removed(found)), len(added(found))) == (20_000, 20_000)
