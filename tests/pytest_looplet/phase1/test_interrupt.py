"""Ctrl-C, SIGTERM and -x while agents hang: the session ends, and what has finished is kept and said.

A session that waits for what hangs would hang here, too: the time limits are for that, nothing is measured.
"""

from __future__ import annotations

import signal
import threading

import pytest
from tests.support.plugin_files import EVALS, SHOP, executions, write_suite
from tests.support.runs import BLOCKED, INTERRUPTED

from pytest_looplet.phase1.interrupt import Leash, terminable
from pytest_looplet.phase1.tally import Tally

HUNG_S = 120
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])
AT_ONCE = "--looplet-concurrency=6"
SYNC = SHOP + BLOCKED.replace("{block}", "block()")
SAID = "looplet: 1 of 3 runs finished; score them with: pytest --looplet-traces .looplet/runs"


@WORKERS
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM"])
def test_a_signal_ends_the_session_although_agents_hang(
    pytester: pytest.Pytester, name: str, workers: tuple[str, ...]
) -> None:
    write_suite(pytester, shop=SYNC, conftest=INTERRUPTED.format(name=name))
    result = pytester.runpytest_subprocess(AT_ONCE, *workers, timeout=HUNG_S)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert SAID in result.stdout.str()
    result = pytester.runpytest_subprocess("--looplet-traces", ".looplet/runs", *workers, timeout=HUNG_S)
    result.assert_outcomes(passed=2, errors=4)
    assert executions(pytester).count("Refund order 17") == 2, "the agent and the one it calls; not run again"


def test_threads_of_async_agents_keep_the_process_no_longer_than_others(pytester: pytest.Pytester) -> None:
    """Those of asyncio's own executor would be waited for when the interpreter ends."""
    evals = EVALS.replace("agent=agent", "agent=agent_in_thread").replace("import agent,", "import agent_in_thread,")
    write_suite(pytester, evals, shop=SYNC, conftest=INTERRUPTED.format(name="SIGINT"))
    result = pytester.runpytest_subprocess(AT_ONCE, timeout=HUNG_S)
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert SAID in result.stdout.str()


@WORKERS
def test_x_leaves_behind_what_hangs_and_starts_nothing_more(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    first = """if task.endswith("17"):
            while "18" not in LOG.read_text():  # by another process, with workers
                pass
            raise ValueError("no")
        else:"""
    shop = SYNC.replace('if not task.endswith("17"):', first)
    write_suite(pytester, shop=shop)
    result = pytester.runpytest_subprocess("-x", "--looplet-concurrency=2", *workers, timeout=HUNG_S)
    assert result.ret in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.INTERRUPTED)
    assert "ValueError: no" in result.stdout.str()
    assert "looplet: 1 of 3 runs finished; score them with" in result.stdout.str()
    if not workers:
        assert executions(pytester) == ["Refund order 17", "Refund order 18"]


def test_maxfail_counts_runs_with_errors(pytester: pytest.Pytester) -> None:
    shop = SHOP.replace("note(task)", "note(task)\n        if not task.endswith('18'): raise ValueError('no')")
    write_suite(pytester, EVALS.replace("(17, 18, 19)", "(17, 18, 19, 20)"), shop=shop)
    result = pytester.runpytest_subprocess("--maxfail=2", "-k", "amount")
    assert executions(pytester) == ["Refund order 17", "Refund order 18", "Refund order 19"]
    assert "looplet: 3 of 4 runs finished" in result.stdout.str()
    result = pytester.runpytest_subprocess("--looplet-traces=.looplet/runs", "-k", "amount")
    assert "not run: --maxfail=2, after the error of refund-17-replay, refund-19-replay" in result.stdout.str()


def test_sigterm_is_an_interrupt_only_while_it_is_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []
    monkeypatch.setattr("pytest_looplet.phase1.interrupt.os.kill", lambda _pid, number: killed.append(number))
    wanted = True
    with terminable(lambda: wanted):
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)
        wanted = False
        signal.raise_signal(signal.SIGTERM)
    assert killed == [signal.SIGTERM], "it ends the process as it always would"
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_handler_of_somebody_else_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[int] = []
    before = signal.signal(signal.SIGTERM, lambda number, _frame: seen.append(number))
    try:
        with terminable():
            signal.raise_signal(signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert seen == [signal.SIGTERM]


def test_a_thread_that_is_not_the_main_one_handles_no_signals() -> None:
    done = threading.Event()

    def work() -> None:
        with terminable():
            done.set()

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done.is_set()


def test_a_worker_stops_when_its_controller_was_interrupted_or_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    tally = Tally()
    leash = Leash(tally)
    leash.check()
    monkeypatch.setattr("pytest_looplet.phase1.interrupt.os.getppid", lambda: 1)
    leash.check()  # the only process of a session: a parent that is gone is nobody's business
    tally.is_shared = True
    with pytest.raises(KeyboardInterrupt):
        leash.check()
    monkeypatch.undo()
    tally.halt()
    with pytest.raises(KeyboardInterrupt):
        leash.check()


def test_the_handlers_that_tests_see_are_not_changed(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        import signal

        def test_default():
            assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
        """
    )
    for workers in ((), ("-n", "1")):
        pytester.runpytest_subprocess(*workers).assert_outcomes(passed=1)
