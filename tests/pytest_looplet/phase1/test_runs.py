"""Phase 1: each needed run once, before the first eval; concurrency, deadlines, output apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, executions, write_suite

from pytest_looplet.phase1.runs import _removing_earlier

if TYPE_CHECKING:
    from pathlib import Path

TASKS = [f"Refund order {order}" for order in (17, 18, 19)]


def test_a_run_is_executed_once_and_shared_by_all_evals_over_it(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    pytester.runpytest().assert_outcomes(passed=6)
    assert executions(pytester) == TASKS


def test_all_runs_come_before_the_first_eval(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    def eval_order(run):
        from shop import note
        note("eval")
        return True
    """
    )
    write_suite(pytester, evals)
    pytester.runpytest().assert_outcomes(passed=9)
    assert executions(pytester) == TASKS + ["eval"] * 3


def test_what_is_skipped_or_deselected_is_not_run(pytester: pytest.Pytester) -> None:
    evals = EVALS.replace(
        "def eval_amount", "@pytest.mark.skipif('sys.version_info > (3,)', reason='x')\n    def eval_amount"
    ).replace("def eval_length", "@pytest.mark.skipif(True, reason='x')\n    def eval_length")
    write_suite(pytester, evals)
    pytester.runpytest().assert_outcomes(skipped=6)
    pytester.runpytest("-k", "eval_none").assert_outcomes(deselected=6)
    assert executions(pytester) == []


def test_a_condition_that_cannot_be_told_is_an_error_of_its_eval_alone(pytester: pytest.Pytester) -> None:
    untold = """
    class Untold:
        def __bool__(self):
            raise ValueError("of two truths")

    @pytest.mark.skipif(Untold(), reason="x")
    def eval_amount"""
    write_suite(pytester, EVALS.replace("def eval_amount", untold.removeprefix("\n    ")))
    result = pytester.runpytest()
    result.assert_outcomes(errors=3, passed=3)
    result.stdout.fnmatch_lines(["*Error evaluating 'skipif' condition*"])
    result.stdout.no_fnmatch_line("*INTERNALERROR*")


def test_two_backends_make_two_items_a_case(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    result = pytester.runpytest("-v", "--looplet-backend=replay,mock", "-k", "eval_amount and refund-17")
    result.assert_outcomes(passed=2, deselected=10)
    result.stdout.fnmatch_lines(["*eval_amount?refund-17-replay? PASSED*", "*eval_amount?refund-17-mock? PASSED*"])
    assert _runs(pytester) == ["refund-17-mock", "refund-17-replay"]


def _runs(pytester: pytest.Pytester) -> list[str]:
    return sorted(path.name for path in (pytester.path / ".looplet/runs").iterdir() if path.is_dir())


def test_equally_named_eval_files_and_cases_in_two_folders_both_run(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    text = (pytester.path / "evals/eval_shop.py").read_text()
    other = pytester.path / "other/evals/eval_shop.py"
    other.parent.mkdir(parents=True)
    other.write_text(text)
    pytester.runpytest("--import-mode=importlib").assert_outcomes(passed=12)
    assert sorted(executions(pytester)) == sorted(TASKS * 2)
    names = _runs(pytester)
    assert names[0] == "evals-eval_shop-agent-refund-17-replay"
    assert len(names) == 6


BARRIER = (
    SHOP
    + """
    import threading
    together = threading.Barrier(3, timeout=10)
    alone = agent

    def agent(task, llm):
        together.wait()
        return alone(task, llm)
"""
)


def test_runs_overlap_up_to_the_concurrency_and_their_output_stays_apart(pytester: pytest.Pytester) -> None:
    shop = BARRIER.replace(
        "        return alone",
        "        import logging; logging.getLogger('shop').warning('log of %s', task)\n        return alone",
    )
    evals = EVALS.replace("1 / len(run.steps)", "False")
    write_suite(pytester, evals, shop=shop)
    result = pytester.runpytest("--looplet-concurrency=3", "-k", "length")
    result.assert_outcomes(failed=3, deselected=3)
    text = result.stdout.str()
    for task in TASKS:
        assert text.count(f"agent on {task}") == 1
        assert text.count(f"log of {task}") == 1


STUCK = SHOP.replace(
    '"Find an order."',
    '"Find an order."\n        import signal, threading\n        {first}\n        threading.Event().wait()',
)


def test_a_run_beyond_its_deadline_is_an_error_that_names_the_call_in_flight(pytester: pytest.Pytester) -> None:
    write_suite(pytester, shop=STUCK.replace("{first}", "pass"))
    result = pytester.runpytest_subprocess("-k", "amount and refund-17", "--looplet-run-timeout=0.3")
    result.assert_outcomes(errors=1, deselected=5)
    said = "case 'refund-17' was given up after 0.3 s; tool call 'lookup' of step 1 was in flight"
    assert said in result.stdout.str()
    assert "looplet show .looplet/runs/refund-17-replay.partial" in result.stdout.str(), "the partial trace is kept"
    assert list(_journals(pytester.path / ".looplet/runs"))


def test_an_interrupted_session_does_not_wait_for_calls_in_flight(pytester: pytest.Pytester) -> None:
    write_suite(pytester, shop=STUCK.replace("{first}", "os.kill(os.getpid(), signal.SIGINT)"))
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert executions(pytester) == TASKS[:1]


def _journals(folder: Path) -> list[Path]:
    return list(folder.rglob("journal.jsonl"))


def test_traces_are_private_ignored_by_git_and_of_the_last_session(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    pytester.runpytest().assert_outcomes(passed=6)
    pytester.runpytest("-k", "refund-17").assert_outcomes(passed=2, deselected=4)
    assert [path.parent.name for path in _journals(pytester.path / ".looplet/runs")] == ["refund-17-replay"]
    assert (pytester.path / ".looplet/.gitignore").read_text() == "*\n"


def test_traces_are_redacted(pytester: pytest.Pytester) -> None:
    secret = "sk-" + "abcdefghij0123456789" * 2
    write_suite(pytester, EVALS.replace("Refund order {order}", f"Key {secret} Refund order {{order}}"))
    pytester.runpytest("-k", "refund-17").assert_outcomes(passed=2, deselected=4)
    for path in (pytester.path / ".looplet/runs").rglob("*"):
        assert not path.is_file() or secret not in path.read_text()


def test_other_plugins_hear_of_runs_and_results(pytester: pytest.Pytester) -> None:
    conftest = (
        LIVE
        + """
    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_run_finished(case, result, error):
        note(f"run {case.id} {result.stop_reason} {error}")

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_eval_result(nodeid, outcome, score):
        note(f"{nodeid} {outcome} {score}")
    """
    )
    write_suite(pytester, conftest=conftest)
    pytester.runpytest("-k", "refund-17").assert_outcomes(passed=2, deselected=4)
    assert executions(pytester)[1:] == [
        "run refund-17 done None",
        "evals/eval_shop.py::eval_amount[refund-17] pass 1.0",
        "evals/eval_shop.py::eval_length[refund-17] pass 0.5",
    ]


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_session_asked_for_evals_that_evaluated_nothing_is_not_green(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    write_suite(pytester, EVALS.replace("def eval_", "@pytest.mark.skip\n    def eval_"))
    result = pytester.runpytest_subprocess(*workers)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "looplet: every eval was skipped; nothing was evaluated" in result.stdout.str()
    pytester.makepyfile(test_plain="def test_plain(): pass")
    result = pytester.runpytest_subprocess("--looplet-report=r.json", "test_plain.py", *workers)
    assert result.ret == pytest.ExitCode.NO_TESTS_COLLECTED
    assert "looplet: no evals were collected, although --looplet-report was given" in result.stdout.str()


FREED = (
    SHOP.replace("import os\n", "import gc, os, weakref\n")
    + """
    gc.disable()
    RUNS = []
    shop_agent = agent

    def agent(task, llm):
        run = shop_agent(task, llm)
        RUNS.append(weakref.ref(run))
        return run
"""
)


def test_a_run_that_is_back_does_not_wait_for_the_garbage_collector(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    def eval_freed(run):
        from shop import RUNS
        return len(RUNS) == 3 and all(ref() is None for ref in RUNS)
"""
    )
    write_suite(pytester, evals, shop=FREED)
    pytester.runpytest_subprocess("-k", "freed").assert_outcomes(passed=3, deselected=6)


def test_several_workers_remove_the_same_old_traces(tmp_path: Path) -> None:
    for number in range(20):
        for name in ("runs", "work"):
            (tmp_path / f".looplet/earlier/{name}/{number}").mkdir(parents=True)
    first = _removing_earlier(tmp_path)
    next(first)
    assert list(_removing_earlier(tmp_path))
    assert not (tmp_path / ".looplet/earlier").exists()
    assert list(first)
    assert list(_removing_earlier(tmp_path)) == []


@pytest.mark.parametrize("name", ["runs", "work"])
def test_what_a_link_in_the_place_of_old_traces_leads_to_is_kept(pytester: pytest.Pytester, name: str) -> None:
    write_suite(pytester)
    precious = pytester.path / "elsewhere/mine/data.txt"
    precious.parent.mkdir(parents=True)
    precious.write_text("precious")
    (pytester.path / ".looplet").mkdir()
    (pytester.path / ".looplet" / name).symlink_to(pytester.path / "elsewhere")
    pytester.runpytest().assert_outcomes(passed=6)
    assert precious.read_text() == "precious"
    assert not (pytester.path / ".looplet/earlier").exists()
