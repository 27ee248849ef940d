"""What waits for a decision about something that is gone, and which sessions know that it is gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, write_suite
from tests.support.snapshot_files import WORKERS, session, snapshot_suite

from pytest_looplet.golden import pending

pytestmark = pytest.mark.usefixtures("with_syrupy")

SHOPS = [f"evals/eval_shop.py::eval_trace[refund-{order}]" for order in (17, 18, 19)]
OTHER = "evals/eval_other.py::eval_other[refund-20]"


def _waiting(pytester: pytest.Pytester) -> list[str]:
    return [entry.id for entry in pending.load_all(pytester.path)]


def _four_new_ones(pytester: pytest.Pytester) -> None:
    snapshot_suite(pytester)
    session(pytester).assert_outcomes(failed=4)
    assert _waiting(pytester) == [OTHER, *SHOPS]


def _edit(pytester: pytest.Pytester, old: str, new: str, file: str = "evals/eval_shop.py") -> None:
    path = pytester.path / file
    path.write_text(path.read_text().replace(old, new))


@WORKERS
def test_an_eval_that_was_renamed_leaves_nothing_to_accept(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    _four_new_ones(pytester)
    _edit(pytester, "eval_trace", "eval_calls")
    session(pytester, *workers)
    assert _waiting(pytester) == [OTHER, *(name.replace("trace", "calls") for name in SHOPS)]


@WORKERS
def test_a_case_that_was_deleted_leaves_nothing_to_accept(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    _four_new_ones(pytester)
    _edit(pytester, "(17, 18, 19)", "(17, 19)")
    session(pytester, "-k", "not refund-17", *workers)
    assert _waiting(pytester) == [OTHER, SHOPS[0], SHOPS[2]]


def test_a_folder_that_was_moved_leaves_nothing_behind(pytester: pytest.Pytester) -> None:
    _four_new_ones(pytester)
    (pytester.path / "more").mkdir()
    shutil.move(pytester.path / "evals", pytester.path / "more" / "evals")
    session(pytester)
    assert _waiting(pytester) == [f"more/{name}" for name in (OTHER, *SHOPS)]


@WORKERS
def test_a_recording_whose_case_is_gone_is_not_waited_for(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    evals = EVALS.replace(', "script": script(order)', "")
    write_suite(pytester, evals, conftest=LIVE)
    session(pytester, "--looplet-backend=live", "--looplet-record", "--looplet-trials=2", *workers)
    pytester.makepyfile(shop=SHOP.replace('"Find an order."', '"Look an order up."'))
    session(pytester, "--looplet-trials=2", *workers)
    stale = [f"evals/eval_shop.py::recording[agent/refund-{case}]" for case in ("17", "17-t2", "18", "18-t2")]
    assert _waiting(pytester)[:4] == stale
    _edit(pytester, "(17, 18, 19)", "(17,)")
    session(pytester, *workers)
    assert _waiting(pytester) == stale[:2], "the second trial may be run again"


@pytest.mark.parametrize(
    "arguments",
    [
        "-k eval_other",
        "--lf -k eval_other",
        "evals/eval_other.py",
        "evals/eval_shop.py::eval_calls",
        "--collect-only",
        "--ignore=evals/eval_shop.py",
        "--looplet-backend=mock,replay -k eval_other",
    ],
)
def test_a_session_that_does_not_know_discards_nothing(pytester: pytest.Pytester, arguments: str) -> None:
    _four_new_ones(pytester)
    if "-k eval_other" not in arguments:
        _edit(pytester, "eval_trace", "eval_calls")
    session(pytester, *arguments.split())
    assert set(SHOPS) < set(_waiting(pytester))


def test_a_file_that_cannot_be_collected_discards_nothing(pytester: pytest.Pytester) -> None:
    _four_new_ones(pytester)
    _edit(pytester, "def eval_trace", "1 / 0\n\ndef eval_calls")
    session(pytester)
    session(pytester, "--continue-on-collection-errors")
    assert _waiting(pytester) == [OTHER, *SHOPS]


def test_nothing_is_discarded_in_ci(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    _four_new_ones(pytester)
    _edit(pytester, "eval_trace", "eval_calls")
    monkeypatch.setenv("CI", "true")
    session(pytester)
    assert _waiting(pytester) == [OTHER, *SHOPS]


def test_what_several_backends_left_is_known_to_a_session_with_one(pytester: pytest.Pytester) -> None:
    snapshot_suite(pytester)
    session(pytester, "--looplet-backend=mock,replay")
    waiting = _waiting(pytester)
    assert len(waiting) == 4
    assert all("-mock]" in name or "-replay]" in name for name in waiting)
    session(pytester, "-k", "nothing at all")
    assert _waiting(pytester) == waiting


def test_an_entry_nobody_can_read_stays(pytester: pytest.Pytester) -> None:
    _four_new_ones(pytester)
    entry = pending.load_all(pytester.path)[1]
    Path(entry.folder / "pending.json").write_text("{}")
    session(pytester)
    assert len(_waiting(pytester)) == 4
