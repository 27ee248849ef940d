"""Prices of runs, and the limit on what a session may cost."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.support.judge_files import GRADER, JUDGED
from tests.support.plugin_files import EVALS, executions, summary_of, write_suite

from looplet.evals.prices import PriceTable
from looplet.result import RunResult
from looplet.types import Usage
from pytest_looplet.backends import Backend
from pytest_looplet.phase1.costs import provider_of, spent_by, with_costs
from pytest_looplet.phase1.in_flight import InFlight, Loop

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])
PRICES = "looplet_prices =\n    live-model-* 1000 2000\n"
LIVE = """
    import pytest
    from looplet.messages import Reply
    from looplet import MockLLMBackend, Usage
    from shop import script

    class Live:
        name = "live-model-1"

        def chat(self, prompt):
            order = int(prompt.messages[0].content.split()[-1])
            number = sum(message.role == "assistant" for message in prompt.messages)
            return MockLLMBackend([script(order)[number]]).chat(prompt).replace(usage=Usage(100, 50{cost}))

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_make_backend(name, config):
        return Live() if name == "live" else None
"""
FIVE = EVALS.replace("(17, 18, 19)", "(17, 18, 19, 20, 21)")


def _session(
    pytester: pytest.Pytester, *options: str, prices: str = PRICES, cost: str = ""
) -> tuple[pytest.RunResult, dict[str, Any]]:
    write_suite(pytester, FIVE, conftest=LIVE.replace("{cost}", cost), ini=prices)
    result = pytester.runpytest_subprocess("--looplet-backend=live", "--looplet-report=r.json", *options)
    report = pytester.path / "r.json"
    return result, json.loads(report.read_text()) if report.exists() else {}


@WORKERS
def test_runs_cost_what_the_prices_say(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    result, report = _session(pytester, *workers)
    assert result.ret == 0
    assert [run["usage"]["cost"] for run in report["runs"]] == [pytest.approx(2 * (0.1 + 0.1))] * 5
    assert report["totals"]["usage"]["cost"] == pytest.approx(2.0)


def test_what_the_backend_says_it_cost_stands(pytester: pytest.Pytester) -> None:
    _, report = _session(pytester, cost=", cost=0.5")
    assert {run["usage"]["cost"] for run in report["runs"]} == {1.0}


def test_an_unknown_price_is_unknown_and_not_nothing(pytester: pytest.Pytester) -> None:
    result, report = _session(pytester, prices="")
    assert {run["usage"]["cost"] for run in report["runs"]} == {None}
    assert "cost unknown" in result.stdout.str()


@WORKERS
def test_nothing_is_started_once_the_limit_is_reached(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    """Every run costs 0.40, so that two of them reach 0.50."""
    result, report = _session(pytester, "--looplet-max-cost=0.50", "--looplet-concurrency=1", *workers)
    not_run = [item for item in report["items"] if item["outcome"] == "error"]
    assert {item["message"] for item in not_run} == {"not run: --looplet-max-cost 0.50 was reached"}
    executed = executions(pytester)
    assert len(set(executed)) == len(executed)
    assert 2 <= len(executed) <= (3 if workers else 2), "what is in flight with another worker comes back"
    assert len(not_run) == 2 * (5 - len(executed))
    spent = f"${0.4 * len(executed):.2f} spent"
    said = f"looplet: --looplet-max-cost 0.50 was reached ({spent}); {len(executed)} of 5 runs finished"
    assert said in summary_of(result)
    assert result.ret == 1


@WORKERS
def test_a_limit_without_a_price_is_refused_before_anything_is_paid(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    result, _ = _session(pytester, "--looplet-max-cost=1", *workers, prices="looplet_prices = other 1 2\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(
        [
            "*--looplet-max-cost needs to know what 'live-model-1' costs*",
            "looplet_prices =",
            "    live-model-1 0.15 0.60",
        ]
    )
    assert executions(pytester) == []


def test_replays_cost_nothing_more_and_need_no_price(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    pytester.runpytest("--looplet-max-cost=0.01").assert_outcomes(passed=6)


@WORKERS
def test_a_line_that_is_no_price_is_refused(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    result, _ = _session(pytester, *workers, prices="looplet_prices = live-model-1 free\n")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["*looplet_prices, line 1: 'live-model-1 free' is no price; give MODEL INPUT OUTPUT*"])


@pytest.mark.parametrize("value", ["0", "-1", "nan", "inf", "much"])
def test_a_limit_is_an_amount_above_0(pytester: pytest.Pytester, value: str) -> None:
    result = pytester.runpytest(f"--looplet-max-cost={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*--looplet-max-cost='{value}': use an amount above 0, such as 0.50"])


def test_a_server_of_ones_own_has_no_public_prices() -> None:
    assert provider_of(Backend("openai", base_url="https://api.openai.com/v1")) == "openai"
    assert provider_of(Backend("anthropic", base_url="https://api.anthropic.com")) == "anthropic"
    assert provider_of(Backend("openai", base_url="http://localhost:8000/v1")) is None
    assert provider_of(Backend("ollama")) is None


TABLE = PriceTable.from_lines(["small 1 1", "large 10 10"])
MILLION = Usage(1_000_000, 0)


def test_every_loop_is_priced_by_its_own_model() -> None:
    loops = (RunResult("done", usage=MILLION), RunResult("done", usage=MILLION))
    result = with_costs(loops[-1].replace(all=loops), ["small", "large"], TABLE, None)
    assert [one.cost for one in result.all] == [1.0, 10.0]
    assert result.cost == 10.0


def test_a_run_that_never_came_back_has_spent_what_its_replies_cost() -> None:
    run = InFlight()
    for model, usage in (("small", MILLION), ("large", MILLION), ("unheard of", MILLION)):
        loop = Loop()
        loop.model, loop.replies = model, [usage, usage.replace(cost=0.5)]
        run.loops.append(loop)
    assert spent_by(run.loops, Backend("live", "small"), TABLE) == 1 + 10 + 3 * 0.5
    assert spent_by([], Backend("live", "small"), TABLE) is None


JUDGED_WITHOUT_RUNS = """
    import pytest
    CASES = [{"id": f"c{number}", "task": "none"} for number in range(6)]

    @pytest.mark.looplet(cases=CASES)
    def eval_case(case, judge):
        return judge.score("Is it polite?", case.id)
"""
JUDGE_PRICES = "looplet_prices =\n    live* 0 0\n    grader* 1000 1000\n"


@WORKERS
def test_judges_of_evals_without_a_run_are_limited(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write_suite(pytester, JUDGED_WITHOUT_RUNS, conftest=GRADER, ini=JUDGE_PRICES)
    options = ("--looplet-backend=live", "--looplet-judge=grader", "--looplet-max-cost=0.05", *workers)
    result = pytester.runpytest_subprocess(*options)
    asked = executions(pytester).count("judge call")
    assert 1 <= asked <= 2, "one is past the limit, and workers may ask together"
    result.assert_outcomes(passed=asked, errors=6 - asked)
    assert "not asked: --looplet-max-cost 0.05 was reached" in result.stdout.str()


def test_judges_of_stored_runs_share_one_limit(pytester: pytest.Pytester) -> None:
    write_suite(pytester, JUDGED.replace("(17, 18)", "range(10)"), conftest=GRADER, ini=JUDGE_PRICES)
    pytester.runpytest("--looplet-backend=live", "--looplet-judge=replay")
    executions(pytester)
    options = ("--looplet-traces=.looplet/runs", "--looplet-judge=grader", "--looplet-max-cost=0.30", "-n", "2")
    result = pytester.runpytest_subprocess(*options)
    asked = executions(pytester).count("judge call")
    assert 3 <= asked <= 4, "0.11 each: three, and the call that the other worker has begun; six if each counts alone"
    result.assert_outcomes(passed=asked, errors=10 - asked)
