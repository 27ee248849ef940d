"""The fixtures, in evals and in ordinary tests."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.plugin_files import EVALS, LIVE, executions, write_suite

if TYPE_CHECKING:
    import pytest


def test_run_and_case_outside_evals_say_why_they_are_not_there(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_a(run): pass\ndef test_b(case): pass\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=2)
    assert "the fixtures `run` and `case` exist in evals only: functions named eval_*" in result.stdout.str()


def test_a_users_own_fixture_of_that_name_wins(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    @pytest.fixture
    def run(): return [1, 2]
    def eval_own(run): assert run == [1, 2]
    """
    )
    write_suite(pytester, evals)
    result = pytester.runpytest("-k", "eval_own")
    result.assert_outcomes(passed=1, deselected=4)
    assert executions(pytester) == [], "nobody needed our run"


def test_a_fixture_that_builds_on_ours_keeps_one_item_a_case(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    @pytest.fixture
    def run(run): return run.output
    """
    )
    write_suite(pytester, evals.replace('run.output["amount"]', 'run["amount"]').replace("len(run.steps)", "1"))
    pytester.runpytest().assert_outcomes(passed=6)


def test_parametrize_may_use_the_names_run_and_case(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        "import pytest\n@pytest.mark.parametrize('case, run', [(1, 2), (3, 4)])\n"
        "def test_a(case, run): assert case < run\n"
    )
    pytester.runpytest().assert_outcomes(passed=2)


def test_mock_llm_makes_models_and_insists_that_they_are_used_up(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        """
        from looplet import ToolCall, composable_loop

        def test_used_up(mock_llm):
            llm = mock_llm(ToolCall("done", {"answer": "yes"}))
            run = composable_loop(llm=llm, task="x", tools=[])
            assert [step.tool_call.tool for step in run] == ["done"]

        def test_left_over(mock_llm):
            mock_llm("one", "two")

        def test_fails_first(mock_llm):
            mock_llm("one", "two")
            assert 0
        """
    )
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, failed=1, errors=1)
    assert "2 of 2 responses are left" in result.stdout.str()


def test_llm_serves_ordinary_tests_with_a_live_backend(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS, conftest=LIVE)
    pytester.makepyfile(test_llm="def test_name(llm): assert llm.name == 'live-model-1'\n")
    pytester.runpytest("test_llm.py", "--looplet-backend=live").assert_outcomes(passed=1)
    result = pytester.runpytest("test_llm.py")
    result.assert_outcomes(errors=1)
    assert "the backend 'replay' has no model to call here; name a live one" in result.stdout.str()


def test_llm_in_an_eval_under_mock_is_the_script_of_its_case(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    def eval_llm(llm, case):
        assert type(llm).__name__ == "MockLLMBackend"
    """
    )
    write_suite(pytester, evals)
    pytester.runpytest("-k", "eval_llm", "--looplet-backend=mock").assert_outcomes(passed=3, deselected=6)
