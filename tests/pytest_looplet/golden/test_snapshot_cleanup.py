"""syrupy deletes snapshots it did not come across; the guard lets it do so only where that means something.

Each way in which a needed snapshot is lost is first shown with syrupy alone, then with the guard.
"""

from __future__ import annotations

from typing import NamedTuple

import pytest
from tests.support.snapshot_files import WORKERS, session, snapshot_suite, traces

pytestmark = pytest.mark.usefixtures("with_syrupy")

OTHER = "eval_other/eval_other[refund-20].trace"
FIRST, SECOND, THIRD = (f"eval_shop/eval_trace[refund-{order}].trace" for order in (17, 18, 19))
ALL = {OTHER, FIRST, SECOND, THIRD}
SECOND_EVAL = "evals/eval_shop.py::eval_trace[refund-18]"


class Loss(NamedTuple):
    """A session in which needed snapshots are not compared. `alone` and `with_workers` are those syrupy deletes."""

    arguments: tuple[str, ...] = ()
    broken: str = ""
    alone: frozenset[str] | set[str] = frozenset()
    with_workers: frozenset[str] | set[str] = frozenset()
    why: str = ""
    why_with_workers: str = ""


LOSSES = {
    "raised before it compared": Loss((), "raise", {SECOND}, {SECOND}, f"{SECOND_EVAL} failed"),
    "passed without comparing": Loss((), "return", {SECOND}, {SECOND}, f"{SECOND_EVAL} passed without comparing"),
    "stopped by -x": Loss(("-x",), "raise", {SECOND, THIRD}, {SECOND, THIRD}, f"{SECOND_EVAL} failed"),
    "run failed": Loss((), "agent", {SECOND}, {SECOND}, f"{SECOND_EVAL} failed"),
    "interrupted": Loss(
        (), "interrupt", {SECOND, THIRD}, {SECOND, THIRD}, f"{SECOND_EVAL} was not run", "a worker died"
    ),
    "not imported": Loss((), "import", ALL, {OTHER}, "evals/eval_other.py was not collected"),
    "file skipped": Loss((), "skip file", {OTHER}, {OTHER}, "evals/eval_other.py was not collected"),
    "-k file": Loss(("-k", "not eval_other.py"), "", {OTHER}, {OTHER}, "not everything was selected"),
    "-k mark": Loss(("-k", "not slow"), "", {OTHER}, {OTHER}, "not everything was selected"),
    "--lf": Loss(("--lf",), "", {FIRST, THIRD}, {OTHER, FIRST, THIRD}, "not everything was selected"),
}
ONLY_PLAIN = {"--collect-only": Loss(("--collect-only",), "", ALL)}
ONLY_WITH_WORKERS = {"worker died": Loss((), "exit", with_workers={SECOND}, why="a worker died")}
KEPT_ANYWAY = {
    "skipped": Loss((), "skip"),
    "-m": Loss(("-m", "not slow")),
    "--deselect": Loss(("--deselect", "evals/eval_other.py")),
    "--ignore": Loss(("--ignore", "evals/eval_other.py")),
    "another file": Loss(("evals/eval_shop.py",)),
    "another eval": Loss(("evals/eval_shop.py::eval_trace[refund-17]",)),
    "live": Loss(("--looplet-backend=live",)),
}


def _lost(pytester: pytest.Pytester, loss: Loss, *workers: str) -> tuple[set[str], pytest.RunResult]:
    in_its_own_process = workers or loss.broken == "interrupt"
    run = pytester.runpytest_subprocess if in_its_own_process else pytester.runpytest
    before = traces(pytester)
    result = run("--snapshot-update", *loss.arguments, *workers)
    lost = before.keys() - traces(pytester).keys()
    for name in lost:
        path = pytester.path / "evals/__snapshots__" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(before[name], encoding="utf-8")
    return lost, result


def _prepared(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, loss: Loss) -> None:
    snapshot_suite(pytester)
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    assert traces(pytester).keys() == ALL
    if loss.broken == "agent":
        shop = pytester.path / "shop.py"
        shop.write_text(shop.read_text().replace("    note(task)\n", "    assert '18' not in task\n"))
    monkeypatch.setenv("BREAK", loss.broken)


def _fail_one(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    """What --lf then selects."""
    monkeypatch.setenv("BREAK", "raise")
    session(pytester).assert_outcomes(passed=3, errors=1)
    monkeypatch.setenv("BREAK", "")


def _check(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, loss: Loss, *workers: str) -> None:
    _prepared(pytester, monkeypatch, loss)
    if "--lf" in loss.arguments:
        _fail_one(pytester, monkeypatch)
    monkeypatch.setenv("NO_GUARD", "1")
    lost, result = _lost(pytester, loss, *workers)
    assert lost == (loss.with_workers if workers else loss.alone), "syrupy deletes them by itself"
    monkeypatch.delenv("NO_GUARD")
    if "--lf" in loss.arguments:
        _fail_one(pytester, monkeypatch)
    kept, result = _lost(pytester, loss, *workers)
    assert kept == set()
    output = result.stdout.str()
    assert "unused" not in output.replace("whether it is unused is not known", "")
    if "--collect-only" not in loss.arguments:  # then there is no summary
        why = loss.why_with_workers or loss.why if workers else loss.why
        for name in lost:
            said = f"kept snapshot: evals/__snapshots__/{name} (whether it is unused is not known: {why})"
            assert said in output


@pytest.mark.parametrize("loss", [*LOSSES.values(), *ONLY_PLAIN.values()], ids=[*LOSSES, *ONLY_PLAIN])
def test_a_needed_snapshot_is_kept(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, loss: Loss) -> None:
    _check(pytester, monkeypatch, loss)


@pytest.mark.parametrize("loss", [*LOSSES.values(), *ONLY_WITH_WORKERS.values()], ids=[*LOSSES, *ONLY_WITH_WORKERS])
def test_a_needed_snapshot_is_kept_with_workers(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, loss: Loss
) -> None:
    _check(pytester, monkeypatch, loss, "-n", "2")


@pytest.mark.parametrize("loss", KEPT_ANYWAY.values(), ids=KEPT_ANYWAY)
def test_what_syrupy_keeps_is_kept(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, loss: Loss) -> None:
    _prepared(pytester, monkeypatch, loss)
    kept, result = _lost(pytester, loss)
    assert (kept, result.ret) == (set(), 0)


@pytest.mark.parametrize("name", ["skipped", "live"])
def test_what_is_not_compared_is_kept_with_workers(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _prepared(pytester, monkeypatch, KEPT_ANYWAY[name])
    kept, result = _lost(pytester, KEPT_ANYWAY[name], "-n", "2")
    assert (kept, result.ret) == (set(), 0)


@WORKERS
def test_an_unused_snapshot_is_named_and_fails_a_full_session(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    snapshot_suite(pytester)
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    _without_refund_18(pytester)
    result = session(pytester, *workers)
    result.assert_outcomes(passed=3)
    assert result.ret == 1
    assert f"unused snapshot: evals/__snapshots__/{SECOND}" in result.outlines


@WORKERS
def test_an_unused_snapshot_is_deleted_by_a_full_session_and_named(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    snapshot_suite(pytester)
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    _without_refund_18(pytester)
    result = session(pytester, "--snapshot-update", *workers)
    assert result.ret == 0
    assert f"deleted snapshot: evals/__snapshots__/{SECOND}" in result.outlines
    assert traces(pytester).keys() == {OTHER, FIRST, THIRD}


@WORKERS
def test_a_part_of_the_suite_does_not_fail_for_snapshots_of_the_other(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    snapshot_suite(pytester)
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    result = session(pytester, "-k", "not slow", *workers)
    result.assert_outcomes(passed=3, deselected=0 if workers else 1)
    assert result.ret == 0
    assert "unused" not in result.stdout.str()
    monkeypatch.setenv("NO_GUARD", "1")
    assert session(pytester, "-k", "not slow", *workers).ret == 1, "syrupy by itself fails"


@WORKERS
def test_an_eval_that_passes_without_comparing_is_named_and_fails_nothing(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    snapshot_suite(pytester)
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    monkeypatch.setenv("BREAK", "return")
    result = session(pytester, *workers)
    assert result.ret == 0
    said = "trace_snapshot: passed without comparing: evals/eval_shop.py::eval_trace (1 item)"
    assert f"{said}; what there is of snapshots stays" in result.outlines
    assert "unused" not in result.stdout.str()


@WORKERS
def test_an_eval_that_never_compares_keeps_no_snapshot_of_others(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    """There is no snapshot of its own that could be lost."""
    snapshot_suite(pytester)
    monkeypatch.setenv("BREAK", "return")
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    (pytester.path / "evals/eval_other.py").write_text("")
    gone = pytester.path / "evals/__snapshots__/eval_shop/eval_trace[refund-20].trace"
    gone.write_text("looplet trace\n")
    result = session(pytester, "--snapshot-update", *workers)
    assert "passed without comparing" not in result.stdout.str()
    assert f"deleted snapshot: {gone.relative_to(pytester.path)}" in result.outlines


@WORKERS
def test_nothing_is_deleted_in_ci(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    snapshot_suite(pytester)
    session(pytester, "--snapshot-update").assert_outcomes(passed=4)
    _without_refund_18(pytester)
    monkeypatch.setenv("CI", "true")
    result = session(pytester, "--snapshot-update", *workers)
    said = f"unused snapshot: evals/__snapshots__/{SECOND} (kept: CI is set, or --snapshot-no-cleanup)"
    assert said in result.outlines
    assert traces(pytester).keys() == ALL


def test_snapshots_of_others_are_cleaned_up_as_before(pytester: pytest.Pytester) -> None:
    """A suite without trace_snapshot is none of our business."""
    one = "def test_one(snapshot):\n    assert 1 == snapshot\n\n"
    pytester.makepyfile(test_a=f"{one}def test_two(snapshot):\n    assert 2 == snapshot\n")
    session(pytester, "--snapshot-update").assert_outcomes(passed=2)
    pytester.makepyfile(test_a=f"{one}def test_two():\n    assert 0\n")
    result = session(pytester, "--snapshot-update")
    result.stdout.fnmatch_lines(["*1 unused snapshot deleted.*"])


def _without_refund_18(pytester: pytest.Pytester) -> None:
    evals = pytester.path / "evals/eval_shop.py"
    evals.write_text(evals.read_text().replace("(17, 18, 19)", "(17, 19)"))
