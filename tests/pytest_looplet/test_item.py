"""Calling and grading evals: verdicts, and the three outcomes pass, fail and error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.plugin_files import EVALS, summary_of, write_suite

if TYPE_CHECKING:
    from pathlib import Path

HEAD = """
    import pytest
    from looplet.evals import EvalResult
    from shop import agent, script
    CASES = [{"id": "one", "task": "Refund order 17", "script": script(17)}]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)
"""


def _run(pytester: pytest.Pytester, body: str, *arguments: str, ini: str = "") -> pytest.RunResult:
    write_suite(pytester, HEAD + body, ini=ini)
    return pytester.runpytest("-v", *arguments)


@pytest.mark.parametrize(
    ("body", "outcome"),
    [
        ("return True", "passed"),
        ("return False", "failed"),
        ("return 0.0", "passed"),
        ("return 1", "passed"),
        ("return 'pass'", "passed"),
        ("return 'Correct'", "passed"),
        ("return 'incorrect'", "failed"),
        ("return 'fail'", "failed"),
        ("return 'verbose'", "passed"),
        ("return {'score': 0.0, 'f1': 0.9}", "passed"),
        ("return EvalResult(score=0.5, reason='half')", "passed"),
        ("return EvalResult(label='no')", "failed"),
        ("assert run.steps", "passed"),
        ("assert not run.steps", "failed"),
        ("pytest.fail('no')", "failed"),
        ("pytest.skip('no')", "skipped"),
        ("return 1.5", "errors"),
        ("return float('nan')", "errors"),
        ("return {'f1': float('inf')}", "errors"),
        ("return object()", "errors"),
        ("return", "errors"),
        ("raise KeyError('x')", "errors"),
    ],
)
def test_a_return_value_decides_the_outcome(pytester: pytest.Pytester, body: str, outcome: str) -> None:
    result = _run(pytester, f"    def eval_one(run):\n        {body}\n")
    result.assert_outcomes(**{outcome: 1})
    assert result.ret == {"passed": 0, "skipped": 5}.get(outcome, 1)


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("pass", "eval_one returned nothing; return a score or assert"),
        ("return float('nan')", "eval_one returned nan; a score must be a finite number"),
        ("return 7", "eval_one returned 7; a score is a number from 0 to 1"),
        ("return [1]", "eval_one returned list [1]; return a bool, a number from 0 to 1"),
        ("return False", "eval_one gave a score of 0"),
        ("return EvalResult(score=False, reason='rude')", "eval_one gave a score of 0: rude"),
    ],
)
def test_what_went_wrong_is_said_in_one_line_without_a_traceback(
    pytester: pytest.Pytester, body: str, said: str
) -> None:
    result = _run(pytester, f"    def eval_one(run):\n        {body}\n")
    assert said in result.stdout.str()
    assert "graded_call" not in result.stdout.str()


def test_a_score_stands_beside_passed(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "    def eval_one(run): return 0.75\n")
    result.stdout.fnmatch_lines(["*eval_one?one? PASSED 0.75 *"])


def test_a_number_fails_only_below_the_threshold_of_mark_or_ini(pytester: pytest.Pytester) -> None:
    body = """
    def eval_ini(run): return 0.5
    @pytest.mark.looplet(threshold=0.4)
    def eval_mark(run): return 0.5
    """
    _run(pytester, body).assert_outcomes(passed=2)
    _run(pytester, body, ini="looplet_threshold = 0.6\n").assert_outcomes(passed=1, failed=1)
    no_score = _run(pytester, "    def eval_x(run): return {'f1': 0.5}\n", ini="looplet_threshold = 0.6\n")
    assert "eval_x has a threshold of 0.6 and returned no score; return {'score': ...}" in no_score.stdout.str()


def test_a_crash_inside_an_eval_is_an_error_and_a_failed_assert_is_a_failure(pytester: pytest.Pytester) -> None:
    body = """
    def eval_crash(run): return run.nope
    def eval_wrong(run): assert run.output == 3
    """
    result = _run(pytester, body)
    result.assert_outcomes(errors=1, failed=1)
    assert result.ret == 1
    summary = "\n".join(summary_of(result))
    assert (
        "ERROR evals/eval_shop.py::eval_crash[one]: AttributeError: 'RunResult' object has no attribute 'nope'"
        in summary
    )
    assert "FAIL evals/eval_shop.py::eval_wrong[one]: assert {'amount': 25} == 3" in summary


def test_each_failure_prints_how_to_look_at_its_trace(pytester: pytest.Pytester) -> None:
    result = _run(pytester, "    def eval_one(run): return False\n")
    assert "looplet show .looplet/runs/one-replay" in result.stdout.str()
    assert (pytester.path / ".looplet/runs/one-replay/journal.jsonl").is_file()
    assert "agent on Refund order 17" in result.stdout.str(), "what the run printed stands with the failure"


@pytest.mark.usefixtures("every_plugin")
@pytest.mark.parametrize("plugin", ["none", "strict", "auto", "anyio"])
def test_async_evals_run_with_and_without_an_async_plugin(pytester: pytest.Pytester, plugin: str) -> None:
    body = """
    import asyncio
    {mark}
    async def eval_one(run):
        await asyncio.sleep(0)
        return 0.25
    """
    marks = {"strict": "@pytest.mark.asyncio", "anyio": "@pytest.mark.anyio"}
    flags = {"none": ["-p", "no:asyncio", "-p", "no:anyio"], "auto": ["-o", "asyncio_mode=auto"]}.get(plugin, [])
    conftest = "import pytest\n@pytest.fixture\ndef anyio_backend():\n    return 'asyncio'\n"
    write_suite(pytester, HEAD + body.format(mark=marks.get(plugin, "")), conftest=conftest)
    result = pytester.runpytest_subprocess("-v", *flags)
    result.stdout.fnmatch_lines(["*eval_one?one* PASSED 0.25 *"])


def test_terminal_escapes_in_messages_are_made_visible(pytester: pytest.Pytester) -> None:
    body = """
    def eval_one(run):
        raise ValueError("\\x1b[31mred")

    def broken(task, llm): raise ValueError("\\x1b[31mred")
    @pytest.mark.looplet(agent=broken)
    def eval_two(run): return True
    """
    result = _run(pytester, body, "--tb=line")
    result.assert_outcomes(errors=2)
    assert all("\\x1b[31mred" in line for line in summary_of(result) if line.startswith("ERROR"))
    assert not any("\x1b" in line for line in summary_of(result))


@pytest.mark.usefixtures("every_plugin")
def test_hypothesis_may_drive_an_eval(pytester: pytest.Pytester) -> None:
    body = """
    from hypothesis import HealthCheck, given, settings, strategies as st
    @settings(max_examples=5, database=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(number=st.integers())
    def eval_one(run, number):
        assert run.output["amount"] != number or number == 25
    """
    _run(pytester, body).assert_outcomes(passed=1)


def test_async_methods_and_skipped_and_xfailed_evals(pytester: pytest.Pytester) -> None:
    body = """
    class EvalAsync:
        async def eval_one(self, run): return True
        @pytest.mark.xfail(reason="known")
        def eval_known(self, run): return False
        @pytest.mark.skipif("True", reason="not now")
        def eval_later(self, run): return False
    """
    _run(pytester, body).assert_outcomes(passed=1, xfailed=1, skipped=1)


def test_scores_reach_junit(pytester: pytest.Pytester) -> None:
    _run(pytester, "    def eval_one(run): return 0.75\n", "--junit-xml=junit.xml")
    assert '<property name="looplet_score" value="0.75"' in (pytester.path / "junit.xml").read_text()


def test_values_that_no_report_can_carry_do_not_stop_the_session(pytester: pytest.Pytester) -> None:
    body = "    def eval_one(run): return {'score': 0.5, 'object': object(), 'set': {1}}\n"
    write_suite(pytester, HEAD + body)
    result = pytester.runpytest_subprocess("-n", "1")
    result.assert_outcomes(passed=1)
    assert result.ret == 0


def test_the_json_report_holds_scores_outcomes_and_runs(pytester: pytest.Pytester) -> None:
    body = """
    def eval_half(run): return {"score": 0.5, "f1": 0.9}
    def eval_label(run): return EvalResult(label="no", reason="rude")
    def eval_crash(run): return 1 / 0
    """
    result = _run(pytester, body, "--looplet-report=out/report.json")
    report = _report(pytester.path / "out/report.json")
    assert "report: " in "\n".join(summary_of(result))
    outcomes = {item["eval"].partition("::")[2]: item["outcome"] for item in report["items"]}
    assert outcomes == {"eval_half": "pass", "eval_label": "fail", "eval_crash": "error"}
    half = next(item for item in report["items"] if "half" in item["id"])
    assert (half["score"], half["metrics"], half["case"]) == (0.5, {"f1": 0.9}, "one")
    (run,) = report["runs"]
    assert (run["stop_reason"], run["backend"], run["model"]) == ("done", "script", "mock")
    assert run["trace"] == ".looplet/runs/one-replay"
    assert run["usage"]["input_tokens"] > 0
    assert report["totals"]["error"] == 1


def _report(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = json.loads(path.read_text())
    return loaded


def test_ordinary_tests_beside_evals_are_left_alone(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS + "\n    def test_plain():\n        assert True\n")
    pytester.runpytest().assert_outcomes(passed=7)
