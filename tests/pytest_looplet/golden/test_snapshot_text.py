from __future__ import annotations

import pytest

from pytest_looplet.golden.snapshot_text import in_words

TEXT = "looplet trace\nsteps at most: 3\n\n[step 1] pay {}\nreasoning: x\nresult:\n  a\n\nended: done (completed)\n"


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("pay {}", "pay { }", "blank lines or spaces differ in [step 1]"),
        ("  a\n", "  a\n\n", "step 1 pay: result: 'a' → 'a\\n'"),
        ("at most: 3", "at most:  3", "blank lines or spaces differ in header"),
        ("[step 1] pay {}\n", "[step 1] pay {}\n  the model asked for: get {}\n", "the text differs in [step 1]"),
    ],
)
def test_a_difference_that_no_run_makes_is_told_by_its_place(old: str, new: str, words: str) -> None:
    assert in_words(TEXT, TEXT.replace(old, new)) == [words]
    assert len(in_words(TEXT.replace(old, new), TEXT)) == 1
