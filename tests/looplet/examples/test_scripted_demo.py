"""`python -m looplet.examples.scripted_demo`: the same lines every time, for a recording of a terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.examples import run_example

if TYPE_CHECKING:
    from pathlib import Path

ASKED = """\
reply 4: calls delete_rows (302+17 tokens)
⏸ delete 3 rows, because they repeat other rows? y
call delete_rows(ids=[27, 33, 40], reason='they repeat other rows')
#6 ✓ delete_rows(ids=[27, 33, 40], reason='they repeat other rows') → deleted 3 rows
request 5: 11 messages
reply 5: calls delete_rows (320+15 tokens)
⏸ delete 2 rows, because nobody can be reached? not before I have asked them
ApprovalHook.pre_dispatch: deny delete_rows: not before I have asked them
#7 ✗ delete_rows(ids=[11, 38], reason='nobody can be reached') → ERROR: not before I have asked them
"""


def test_the_output_is_the_same_every_time(tmp_path: Path) -> None:
    first, second = (run_example("scripted_demo", cwd=tmp_path) for _ in range(2))
    assert (first.returncode, first.stderr) == (0, "")
    assert first.stdout == second.stdout
    assert list(tmp_path.iterdir()) == [], "it leaves nothing behind"


def test_it_shows_a_trace_and_an_approval_and_a_refusal() -> None:
    shown = run_example("scripted_demo", "--mock").stdout
    assert ASKED in shown
    first, *_, last = shown.splitlines()
    assert first.startswith("run with mock, 5 tools: Clean the contacts up")
    assert last.startswith("ended: done (completed), output: The columns are tidy")
