"""Workers that are killed: nothing published is run again, what was in flight is run once more, the session goes on."""

from __future__ import annotations

import pytest
from tests.support.plugin_files import EVALS, SHOP, executions, write_suite

ORDERS = tuple(range(20, 32))
TASKS = [f"Refund order {order}" for order in ORDERS]
MANY = EVALS.replace("(17, 18, 19)", str(ORDERS))
MODES = pytest.mark.parametrize("mode", ["load", "worksteal", "loadscope"])  # one of each kind of scheduler

KILLED = """
    import signal
    alive = agent

    def agent(task, llm):
        if task.endswith({orders!r}) and LOG.read_text().count(task) < {times}:
            note(task)
            {before}
            os.kill(os.getpid(), signal.SIGKILL)
        return alive(task, llm)

    LOG.touch()
"""
# in code of the inner session: kill the first process that comes here
ONCE = """
    import os, signal
    from pathlib import Path

    def die_once():
        try:
            Path(__file__).with_name("died").touch(exist_ok=False)
        except FileExistsError:
            return
        os.kill(os.getpid(), signal.SIGKILL)
"""


def _killing(*orders: str, times: int = 1, before: str = "pass") -> str:
    """A shop whose agent ends its process in the first `times` runs of each of these orders."""
    return SHOP + KILLED.format(orders=orders, times=times, before=before)


def _check(pytester: pytest.Pytester, result: pytest.RunResult, deaths: int = 1) -> None:
    """Every eval is accounted for, and each death is an error of at most one (which loadscope then calls again)."""
    outcomes = result.parseoutcomes()
    assert "INTERNALERROR" not in result.stdout.str()
    assert outcomes.get("failed", 0) == 0, "the blamed item is an error, not a failure"
    assert outcomes.get("errors", 0) <= deaths
    assert 2 * len(ORDERS) - outcomes.get("errors", 0) <= outcomes["passed"] <= 2 * len(ORDERS)
    assert result.ret == bool(outcomes.get("errors"))
    if outcomes.get("errors"):
        assert "worker died in phase 1" in result.stdout.str()
    assert sum(path.is_dir() for path in (pytester.path / ".looplet/runs").iterdir()) == len(ORDERS)


@MODES
def test_the_run_of_a_killed_worker_is_taken_over(pytester: pytest.Pytester, mode: str) -> None:
    write_suite(pytester, MANY, shop=_killing("25"))
    result = pytester.runpytest_subprocess("-n", "2", "--dist", mode)
    _check(pytester, result)
    assert sorted(executions(pytester)) == sorted([*TASKS, "Refund order 25"]), "one extra: the run in flight"


def test_workers_killed_at_the_same_moment_are_all_replaced(pytester: pytest.Pytester) -> None:
    together = 'while not all(f"order {n}" in LOG.read_text() for n in (20, 21)): __import__("time").sleep(0.001)'
    write_suite(pytester, MANY, shop=_killing("20", "21", before=together))
    result = pytester.runpytest_subprocess("-n", "2")
    _check(pytester, result, deaths=2)
    assert sorted(executions(pytester)) == sorted([*TASKS, *TASKS[:2]])


@MODES
def test_a_run_that_kills_every_worker_is_given_up_after_two_attempts(pytester: pytest.Pytester, mode: str) -> None:
    write_suite(pytester, MANY, shop=_killing("25", times=9))
    result = pytester.runpytest_subprocess("-n", "2", "-k", "amount", "--dist", mode)
    assert sorted(executions(pytester)) == sorted([*TASKS, "Refund order 25"])
    assert "case 'refund-25' ended its worker process 2 times; it was not tried again" in result.stdout.str()
    assert "INTERNALERROR" not in result.stdout.str()
    assert result.ret == 1


def test_a_worker_that_is_not_replaced_leaves_its_run_to_the_others(pytester: pytest.Pytester) -> None:
    soon = "import pytest_looplet.phase1.shared_store\npytest_looplet.phase1.shared_store._REPLACEMENT_S = 0.1\n"
    write_suite(pytester, MANY, shop=_killing("25"), conftest=soon)
    result = pytester.runpytest_subprocess("-n", "2", "--max-worker-restart=0")
    assert "INTERNALERROR" not in result.stdout.str()
    assert sorted(executions(pytester)) == sorted([*TASKS, "Refund order 25"])
    assert result.ret == 1, "xdist sends nobody the evals of the dead worker"


@pytest.mark.parametrize(("moment", "extra"), [("before", 1), ("after", 0)])
def test_a_worker_killed_while_it_publishes_costs_one_execution_at_most(
    pytester: pytest.Pytester, moment: str, extra: int
) -> None:
    conftest = (
        ONCE
        + """
    link = os.link

    def deadly(*paths):
        {before}
        link(*paths)
        {after}

    os.link = deadly
    """.format(**({"before": "pass", "after": "pass"} | {moment: "die_once()"}))
    )
    write_suite(pytester, MANY, conftest=conftest)
    result = pytester.runpytest_subprocess("-n", "2")
    _check(pytester, result)
    ran = executions(pytester)
    assert set(ran) == set(TASKS)
    assert len(ran) == len(TASKS) + extra


def test_a_worker_killed_while_it_collects_has_run_nothing(pytester: pytest.Pytester) -> None:
    write_suite(pytester, MANY + "\n    from conftest import die_once\n    die_once()\n", conftest=ONCE)
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=2 * len(ORDERS))
    assert sorted(executions(pytester)) == TASKS


@pytest.mark.parametrize("later", ["gw0", "gw1"])
def test_items_given_to_a_worker_that_is_already_dead_are_given_to_others(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, later: str
) -> None:
    """Xdist distributes items before it hears of the death; sending them ended the session once.

    Whichever worker is ready `later`: the controller knows gw0 before it is.
    """
    conftest = """
    import os, signal, time
    from pathlib import Path
    import pytest
    from shop import LOG, note
    nodes = {}
    gw0_waits = Path(__file__).with_name("gw0_waits")

    def pytest_configure(config):
        worker = getattr(config, "workerinput", {}).get("workerid")
        while worker == os.environ["LATER"] and not (LOG.read_text() if worker == "gw0" else gw0_waits.exists()):
            time.sleep(0.001)

    @pytest.hookimpl(wrapper=True)
    def pytest_runtestloop(session):
        if getattr(session.config, "workerinput", {}).get("workerid") == "gw0":
            gw0_waits.touch()
            while not LOG.read_text():
                time.sleep(0.001)
            os.kill(os.getpid(), signal.SIGKILL)
        return (yield)

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(node):
        nodes[node.gateway.id] = node

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(node):
        if node.gateway.id == "gw1":
            note("distributing")
            while not nodes["gw0"].shutting_down:
                time.sleep(0.001)
    """
    monkeypatch.setenv("LATER", later)
    write_suite(pytester, MANY, shop=SHOP + "\n    LOG.touch()\n", conftest=conftest)
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=2 * len(ORDERS) - 1, failed=1)
    assert "worker 'gw0' crashed while running" in result.stdout.str()
    assert sorted(executions(pytester)[1:]) == TASKS


def test_a_worker_killed_by_an_eval_has_nothing_run_again(pytester: pytest.Pytester) -> None:
    evals = MANY.replace("assert run.output", "from conftest import die_once; die_once()\n        assert run.output")
    write_suite(pytester, evals, conftest=ONCE)
    result = pytester.runpytest_subprocess("-n", "2")
    result.assert_outcomes(passed=2 * len(ORDERS) - 1, failed=1)
    assert "crashed while running 'evals/eval_shop.py::eval_amount[" in result.stdout.str()
    assert sorted(executions(pytester)) == TASKS


def test_no_run_begins_before_every_worker_has_collected(pytester: pytest.Pytester) -> None:
    """Xdist cannot cope with a worker that dies while it waits for the collection of another."""
    conftest = """
    import time
    from pytest_looplet.phase1.shared_store import FileStore
    from shop import LOG, note
    wait = FileStore.wait_for_schedule

    def noted_wait(store):
        note("waiting")
        wait(store)

    FileStore.wait_for_schedule = noted_wait

    def pytest_collection_modifyitems(config):
        if config.workerinput["workerid"] == "gw1":
            while LOG.read_text() in ("", "collected\\n"):
                time.sleep(0.001)
        note("collected")
    """
    write_suite(pytester, MANY, shop=SHOP + "\n    LOG.touch()\n", conftest=conftest)
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=2 * len(ORDERS))
    noted = executions(pytester)
    assert noted[:3] == ["collected", "waiting", "collected"]
    assert sorted(noted[3:]) == [*TASKS, "waiting"]
