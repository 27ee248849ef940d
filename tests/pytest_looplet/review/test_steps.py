"""What a reviewer sees of two texts: parts, folds, headings."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st
from tests.support.reviewing import DONE, ESCALATED, LOOK_UP, REFUND, REFUNDED, Project

from pytest_looplet.review.lines import Pair
from pytest_looplet.review.steps import Fold, Row, Title, compare

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

ODD = (
    "<<<<<<< HEAD",
    "=======",
    "[step x]",
    "[step 3]",
    "[step 1] a",
    "[reply 1]",
    "ended: x",
    "looplet trace",
    "times",
)


def outline(rows: Iterable[Row]) -> list[str]:
    """Titles with their sign, and the labels of folds."""
    return [
        row.label if isinstance(row, Fold) else f"{row.sign}{row.text}" for row in rows if not isinstance(row, Pair)
    ]


def unfolded(rows: Iterable[Row]) -> Iterator[Title | Pair]:
    for row in rows:
        if isinstance(row, Fold):
            yield from unfolded(row.rows)
        else:
            yield row


def shown(rows: Iterable[Row]) -> list[str]:
    """The lines in sight, as a unified diff."""
    lines = []
    for row in rows:
        if isinstance(row, Pair):
            sides = [(" ", row.after)] if row.same else [("-", row.before), ("+", row.after)]
            lines += [f"{sign}{line}" for sign, line in sides if line is not None]
    return lines


def test_equal_texts_are_one_fold(project: Project) -> None:
    text = project.text()
    assert outline(compare(text, text)) == ["start, 3 steps and end unchanged"]


def test_another_tool_is_a_change_of_its_step(project: Project) -> None:
    rows = compare(project.text(REFUNDED), project.text(ESCALATED))
    assert outline(rows) == ["start and 1 step unchanged", "~step 2  refund → escalate", "1 step and end unchanged"]
    assert shown(rows) == [
        " [reply 2]",
        " ",
        '-[step 2] refund {"order": 17, "amount": 25}',
        '+[step 2] escalate {"order": 17}',
        " result:",
        "-  refunded 25",
        "+  told",
    ]


def test_an_added_step_does_not_change_those_behind_it(project: Project) -> None:
    rows = compare(project.text(REFUNDED), project.text([LOOK_UP, LOOK_UP, REFUND, DONE]))
    assert [line for line in outline(rows) if line[0] in "+-~"] == ["+step 2  look_up"]
    rows = compare(project.text([LOOK_UP, LOOK_UP, REFUND, DONE]), project.text(REFUNDED))
    assert [line for line in outline(rows) if line[0] in "+-~"] == ["-step 2  look_up"]


def test_a_moved_number_is_told_where_the_step_changed(project: Project) -> None:
    rows = compare(project.text(REFUNDED), project.text([LOOK_UP, LOOK_UP, REFUND, DONE.replace(args={"answer": "x"})]))
    assert "~step 4 (was step 3)  done" in outline(rows)
    assert " [reply 4]" in shown(rows)
    assert "-[reply 3]" not in shown(rows)


def test_equal_lines_far_from_a_change_are_folded_and_the_heading_stays(project: Project) -> None:
    prompt = [f"rule {number}" for number in range(30)]
    before, after = (project.text(system="\n".join([*prompt, last])) for last in ("be brief", "be polite"))
    rows = compare(before, after)
    assert outline(rows)[:2] == ["~start", "4 lines unchanged"]
    assert "28 lines unchanged" in outline(rows)
    assert shown(rows)[:5] == [" [system]", "   rule 28", "   rule 29", "-  be brief", "+  be polite"]


def test_thousands_of_changed_lines_are_counted_and_shown_when_asked_for() -> None:
    before, after = ("looplet trace\n\n[user]\n" + "\n".join([f"  {word}"] * 5_000) for word in ("old", "new"))
    rows = compare(before, after)
    assert outline(rows) == ["~start", "4,700 more lines changed"]
    assert len(shown(rows)) == 1 + 2 * 300
    assert len(shown(unfolded(rows))) == 1 + 2 * 5_000


def test_a_new_text_is_added_from_start_to_end(project: Project) -> None:
    rows = compare("", project.text())
    assert outline(rows) == ["+start", "+step 1  look_up", "+step 2  refund", "+step 3  done", "+end"]
    assert all(line.startswith("+") for line in shown(rows))


def test_several_runs_are_told_apart(project: Project) -> None:
    first, second = project.text(REFUNDED), project.text(ESCALATED)
    rows = compare(f"{first}\n{first}", f"{first}\n{second}")
    assert "~run 2 · step 2  refund → escalate" in outline(rows)


def test_what_a_model_wrote_cannot_pass_for_a_heading(project: Project) -> None:
    reply = DONE.replace(args={"answer": "x\n[step 9] rm {}\nended: done"})
    rows = compare(project.text(), project.text([LOOK_UP, REFUND, reply]))
    assert not any("step 9" in line for line in outline(rows))


texts = st.lists(st.one_of(st.sampled_from(ODD), st.text(max_size=6)), max_size=15).map("\n".join)


@given(texts, texts)
def test_whatever_a_file_holds_is_compared(before: str, after: str) -> None:
    """Files are edited by hand, and merges leave their marks."""
    rows = compare(before, after)
    assert all(isinstance(row, Title | Pair) for row in unfolded(rows))


@given(texts)
def test_no_text_differs_from_itself(text: str) -> None:
    assert not [line for line in shown(unfolded(compare(text, text))) if line[0] in "+-"]
