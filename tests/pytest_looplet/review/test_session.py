"""Decisions without a screen: what is carried out, what is refused, what is left."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.reviewing import COMMAND, ESCALATED, REFUNDED

from looplet.trace.read import read_journal
from pytest_looplet.golden.pending import pending_dir
from pytest_looplet.review.lines import Pair
from pytest_looplet.review.session import ACCEPTED, ELSEWHERE, REJECTED, SKIPPED, Review, named

if TYPE_CHECKING:
    from tests.support.reviewing import Project


def test_accepting_a_snapshot_puts_the_new_text_in_place(project: Project) -> None:
    old, new = project.text(REFUNDED), project.text(ESCALATED)
    project.snapshot("a", old, new)
    review = Review(project.root)
    assert review.accept(review.entries[0])
    assert project.snapshot_path("a").read_text(encoding="utf-8") == new
    assert project.pending() == []
    assert (review.entries[0].decision, review.summary()) == (ACCEPTED, "1 accepted, 0 left")


def test_a_decided_entry_still_shows_what_was_decided_about(project: Project) -> None:
    project.snapshot("a", "looplet trace\n\n[user]\n  old\n", "looplet trace\n\n[user]\n  new\n")
    review = Review(project.root)
    review.accept(review.entries[0])
    assert Pair("  old", "  new") in review.entries[0].rows


def test_a_decision_is_final(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    review = Review(project.root)
    review.reject(review.entries[0])
    project.snapshot("a", "old\n", "newer\n")
    assert not review.accept(review.entries[0])
    assert (review.entries[0].decision, len(project.pending())) == (REJECTED, 1)


def test_rejecting_keeps_the_target_and_drops_the_entry(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    review = Review(project.root)
    assert review.reject(review.entries[0])
    assert project.snapshot_path("a").read_text(encoding="utf-8") == "old\n"
    assert project.pending() == []
    assert (review.entries[0].decision, review.summary()) == (REJECTED, "1 rejected, 0 left")


def test_a_skipped_entry_is_left(project: Project) -> None:
    name = project.snapshot("a", "old\n", "new\n")
    review = Review(project.root)
    review.skip(review.entries[0])
    assert (review.entries[0].decision, review.summary(), project.pending()) == (SKIPPED, "1 left", [name])
    assert review.accept(review.entries[0])
    review.skip(review.entries[0])
    assert review.entries[0].decision == ACCEPTED


def test_what_changed_since_is_refused_and_stays(project: Project) -> None:
    name = project.snapshot("a", "old\n", "new\n")
    review = Review(project.root)
    project.snapshot_path("a").write_text("pulled\n", encoding="utf-8")
    assert not review.accept(review.entries[0])
    assert review.entries[0].refused == (
        "eval_refund[a].trace has changed since it was compared; run pytest again, then review"
    )
    assert (project.snapshot_path("a").read_text(encoding="utf-8"), project.pending()) == ("pulled\n", [name])


def test_a_recording_whose_wording_drifted_is_accepted(project: Project) -> None:
    project.recording("a")
    review = Review(project.root)
    assert review.entries[0].refusal is None
    assert [change.significant for change in review.entries[0].changes] == [False]
    assert review.accept(review.entries[0])
    prompt = read_journal(project.recording_path("a")).prompt(1)
    assert (prompt.system, project.pending()) == ("Be brief and polite.", [])


def test_a_recording_whose_behaviour_changed_is_never_accepted(project: Project) -> None:
    name = project.recording("a", ESCALATED)
    review = Review(project.root)
    expected = f"the agent's behaviour changed (step 2: tool refund → escalate); record it again: {COMMAND}"
    assert review.entries[0].refusal == expected
    assert not review.accept(review.entries[0])
    assert (review.entries[0].refused, project.pending()) == (expected, [name])


def test_an_entry_that_cannot_be_read_says_so_and_can_be_rejected(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    (folder,) = pending_dir(project.root).glob("[!.]*")
    (folder / "pending.json").write_text(json.dumps({"schema": 99}), encoding="utf-8")
    review = Review(project.root)
    (entry,) = review.entries
    assert (entry.kind, entry.why()) == ("unreadable", ["cannot read pending.json: it is not of schema 1"])
    assert not review.accept(entry)
    assert entry.refused.endswith("it is not of schema 1; reject it and run pytest again")
    assert review.reject(entry)
    assert project.pending() == []


def test_an_entry_that_somebody_else_decided_meanwhile_is_no_longer_left(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    review, other = Review(project.root), Review(project.root)
    other.reject(other.entries[0])
    assert not review.accept(review.entries[0])
    assert review.entries[0].refused == "already decided elsewhere; nothing is left to do"
    assert (review.entries[0].decision, review.summary()) == (ELSEWHERE, "1 decided elsewhere, 0 left")
    assert project.snapshot_path("a").read_text(encoding="utf-8") == "old\n"


@pytest.mark.parametrize("decision", ["accept", "reject"])
def test_an_entry_that_was_written_again_is_shown_again_before_it_is_decided(project: Project, decision: str) -> None:
    name = project.snapshot("a", "[user]\n  old\n", "[user]\n  new\n")
    review = Review(project.root)
    assert review.entries[0].rows
    project.snapshot("a", "[user]\n  old\n", "[user]\n  newer\n")
    assert not getattr(review, decision)(review.entries[0])
    assert review.entries[0].refused == "was written again since you looked; look at it again, then decide"
    assert Pair("  old", "  newer") in review.entries[0].rows
    assert project.pending() == [name]
    assert getattr(review, decision)(review.entries[0])
    assert project.pending() == []


def test_an_entry_whose_snapshot_is_gone_is_not_told_as_new(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    project.snapshot_path("a").unlink()
    (entry,) = Review(project.root).entries
    assert entry.why() == ["its snapshot is gone: there is nothing left to compare with"]
    assert entry.refusal == "its snapshot is gone; reject this entry"


def test_a_missing_snapshot_is_told_as_new(project: Project) -> None:
    project.snapshot("a", None, project.text(), "there is no such snapshot yet")
    review = Review(project.root)
    assert review.entries[0].why() == ["new snapshot: there was none to compare with"]
    assert review.accept(review.entries[0])
    assert project.snapshot_path("a").is_file()


def test_a_change_outside_of_every_step_is_told_as_pytest_told_it(project: Project) -> None:
    project.snapshot("a", "looplet trace\n", "looplet trace\n\n", "one line\nanother \x1b line")
    assert Review(project.root).entries[0].why() == ["one line", r"another \x1b line"]


def test_the_next_entry_is_an_undecided_one_and_skipped_ones_come_last(project: Project) -> None:
    for case in "abc":
        project.snapshot(case, "old\n", "new\n")
    review = Review(project.root)
    review.skip(review.entries[1])
    assert [review.next_open(index) for index in range(3)] == [2, 2, 0]
    review.accept(review.entries[0])
    review.accept(review.entries[2])
    assert review.next_open(0) == 1
    review.reject(review.entries[1])
    assert review.next_open(0) is None


@pytest.mark.parametrize(
    ("pattern", "cases"),
    [
        ("evals/eval_shop.py::eval_refund[a]", "a"),
        ("*[a]", "a"),
        ("*[?]", "ab"),
        ("*", "ab"),
        ("*[ab]", ""),  # brackets are part of ids, not a set of characters
        ("*refund*", "ab"),
        ("eval_refund[a]", ""),
    ],
)
def test_patterns_match_whole_ids_and_take_brackets_literally(project: Project, pattern: str, cases: str) -> None:
    names = {project.snapshot(case, "old\n", "new\n"): case for case in "ab"}
    assert "".join(names[entry.id] for entry in named(Review(project.root).entries, pattern)) == cases
