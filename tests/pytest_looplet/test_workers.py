"""With xdist: every run exactly once in every dist mode, and the same summary."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from tests.support.plugin_files import EVALS, LIVE, SHOP, executions, summary_of, write_suite

if TYPE_CHECKING:
    import pytest

ORDERS = tuple(range(20, 32))
MANY = EVALS.replace("(17, 18, 19)", str(ORDERS))
MIXED = (
    MANY
    + """
    @pytest.mark.xdist_group("mixed")
    def eval_mixed(run, case):
        if case.id == "refund-21":
            return 1 / 0
        return case.id != "refund-22"

    def eval_skipped(run):
        pytest.skip("not today")
"""
)
MODES = [
    (),
    ("-n", "2"),
    *(("-n", "2", "--dist", mode) for mode in ("worksteal", "loadfile", "loadscope", "loadgroup")),
]


def test_every_mode_executes_each_run_once_and_ends_with_the_same_summary_and_report(
    pytester: pytest.Pytester,
) -> None:
    write_suite(pytester, MIXED)
    found = set()
    for workers in MODES:
        result = pytester.runpytest_subprocess("--looplet-report=report.json", *workers)
        assert result.ret == 1
        assert sorted(executions(pytester)) == [f"Refund order {order}" for order in ORDERS], workers
        report = (pytester.path / "report.json").read_text()
        found.add(("\n".join(summary_of(result)), report))
    assert len(found) == 1
    summary, report = found.pop()
    assert "eval_mixed" in summary
    assert json.loads(report)["totals"]["error"] == 1


def test_workers_run_at_the_same_time(pytester: pytest.Pytester) -> None:
    shop = SHOP.replace(
        '        print(f"agent on',
        """        import os
        (Path(LOG).parent / f"here-{os.getpid()}").touch()
        for _ in range(1000):
            if len(list(Path(LOG).parent.glob("here-*"))) == 2:
                break
            __import__("time").sleep(0.02)
        else:
            raise RuntimeError("the other worker never came")
        print(f"agent on""",
    )
    write_suite(pytester, shop=shop)
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=6)


def test_results_no_pickle_can_carry_are_read_from_the_trace(pytester: pytest.Pytester) -> None:
    shop = SHOP.replace(
        'return {"amount": amount}', 'return {"amount": amount, "lock": __import__("threading").Lock()}'
    )
    write_suite(pytester, MANY, shop=shop)
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=2 * len(ORDERS))


def test_a_live_backend_made_by_a_hook_works_in_workers(pytester: pytest.Pytester) -> None:
    write_suite(pytester, MANY.replace(', "script": script(order)', ""), conftest=LIVE)
    result = pytester.runpytest_subprocess("-n", "2", "--looplet-backend=live")
    result.assert_outcomes(passed=2 * len(ORDERS))
    assert executions(pytester).count("live call") == 2 * len(ORDERS)


def test_stopping_at_the_first_failure_is_not_mistaken_for_lost_evals(pytester: pytest.Pytester) -> None:
    write_suite(pytester, MIXED)
    result = pytester.runpytest_subprocess("-n", "2", "-x")
    assert "never reported" not in result.stdout.str()


def test_workers_without_evals_do_not_load_looplet(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_plain():\n    import sys\n    assert 'looplet' not in sys.modules\n")
    pytester.runpytest_subprocess("-n", "2").assert_outcomes(passed=1)
