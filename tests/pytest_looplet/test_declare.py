"""Reading `pytest.mark.looplet(...)`: every mistake is a collection error that says what to write."""

from __future__ import annotations

import pytest
from tests.support.plugin_files import EVALS, executions, write_suite

ONE_EVAL = """
    import pytest
    from shop import agent, script
    {mark}
    def eval_one(run):
        return 1.0
"""


def _error(pytester: pytest.Pytester, mark: str) -> str:
    write_suite(pytester, ONE_EVAL.format(mark=mark))
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    assert result.ret == 2
    assert executions(pytester) == []
    return result.stdout.str()


@pytest.mark.parametrize(
    ("mark", "said"),
    [
        ("", "eval_one: no cases; declare them: pytestmark = pytest.mark.looplet(agent=my_agent, cases=["),
        ("pytestmark = pytest.mark.looplet(agent=agent)", "eval_one: no cases; declare them"),
        ("pytestmark = pytest.mark.looplet(cases=[{'task': 'x'}])", "it asks for `run` and no agent is declared"),
        ("pytestmark = pytest.mark.looplet(agent=agent, cases=[])", "holds no case; give at least one"),
        ("pytestmark = pytest.mark.looplet(agent=agent, case=[1])", "unknown key 'case'; did you mean 'cases'?"),
        (
            "pytestmark = pytest.mark.looplet(agent, [1])",
            "pytest.mark.looplet takes keywords only (agent, cases, trials, threshold, gate)",
        ),
        (
            "pytestmark = pytest.mark.looplet(agent=agent, cases=[{'task': 'x'}], threshold='high')",
            "pytest.mark.looplet(threshold='high'): use a number from 0 to 1",
        ),
        (
            "pytestmark = pytest.mark.looplet(agent=agent, cases=[{'task': 'x'}], gate=1.5)",
            "pytest.mark.looplet(gate=1.5): use a number from 0 to 1",
        ),
        *(
            (
                f"pytestmark = pytest.mark.looplet(agent=agent, cases=[{{'task': 'x'}}], trials={trials})",
                f"pytest.mark.looplet(trials={trials}): use a whole number from 1 to 1000",
            )
            for trials in (0, -1, True, 2.0, 1001, "'3'")
        ),
        (
            "pytestmark = pytest.mark.looplet(agent=agent, cases=[{'task': 'Gate'}])",
            "case id 'gate' is the name of a verdict on all cases; rename the case",
        ),
        (
            "pytestmark = pytest.mark.looplet(agent=agent, cases=[{'task': 'x', 'trials': 0}])",
            "case 'x': trials=0: use a whole number from 1 to 1000",
        ),
        ("pytestmark = pytest.mark.looplet(agent=3, cases=[{'task': 'x'}])", "agent=3 is not callable"),
        (
            "pytestmark = pytest.mark.looplet(agent=lambda question: 1, cases=[{'task': 'x'}])",
            "agent lambda requires 'question'; an agent is given what it names of task, llm, workdir",
        ),
        (
            "pytestmark = pytest.mark.looplet(agent='shop', cases=[{'task': 'x'}])",
            "agent='shop': write 'module:function'",
        ),
        ("pytestmark = pytest.mark.looplet(agent='shop:nope', cases=[{'task': 'x'}])", "has no attribute 'nope'"),
        ("pytestmark = pytest.mark.looplet(agent=agent, cases='none*.json')", "cases='none*.json': no such file below"),
        (
            "pytestmark = pytest.mark.looplet(agent=agent, cases=[{'tsk': 'x'}])",
            "unknown key 'tsk'; did you mean 'task'?",
        ),
    ],
)
def test_a_mistake_is_a_collection_error_that_says_what_to_write(
    pytester: pytest.Pytester, mark: str, said: str
) -> None:
    assert said in _error(pytester, mark)


def test_two_agents_of_one_name_may_not_share_a_run(pytester: pytest.Pytester) -> None:
    evals = """
    import pytest
    def make(limit):
        def agent(task, llm): return limit
        return agent
    @pytest.mark.looplet(agent=make(1), cases=[{"task": "x"}])
    def eval_one(run): return 1.0
    @pytest.mark.looplet(agent=make(2), cases=[{"task": "x"}])
    def eval_two(run): return 1.0
    """
    write_suite(pytester, evals)
    result = pytester.runpytest()
    assert "two different agents would share the run agent/x; give them different names" in result.stdout.str()


def test_the_closest_mark_wins_key_by_key(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    @pytest.mark.looplet(cases=[CASES[0] | {"id": "own"}])
    def eval_own(run, case):
        assert case.id == "own"
    """
    )
    write_suite(pytester, evals)
    pytester.runpytest("-k", "eval_own").assert_outcomes(passed=1, deselected=6)


def test_the_agent_may_be_named_in_the_mark_or_in_the_ini_file(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS.replace("agent=agent, ", "agent='shop:agent', "))
    pytester.runpytest().assert_outcomes(passed=6)
    write_suite(pytester, EVALS.replace("agent=agent, ", ""), ini="looplet_agent = shop:agent\n")
    pytester.runpytest().assert_outcomes(passed=6)


def test_cases_are_read_from_files_beside_the_evals(pytester: pytest.Pytester) -> None:
    evals = EVALS.replace("cases=CASES", "cases='data/*.jsonl'")
    write_suite(pytester, evals)
    data = pytester.mkdir("evals/data") if (pytester.path / "evals").exists() else pytester.path
    (data / "refunds.jsonl").write_text(
        '{"id": "A", "task": "Refund order 1", "expected": 9, "script": '
        '[{"tool": "lookup", "args": {"order": 1}}, [{"tool": "done", "args": {"amount": 9}}]]}\n'
    )
    result = pytester.runpytest("-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(["*eval_amount?a? PASSED*"])


def test_an_eval_that_asks_for_the_case_only_needs_no_agent(pytester: pytest.Pytester) -> None:
    evals = """
    import pytest
    @pytest.mark.looplet(cases=[{"task": "x", "expected": 1}, {"task": "y", "expected": 0}])
    def eval_case(case):
        return case.expected == 1
    """
    write_suite(pytester, evals)
    pytester.runpytest().assert_outcomes(passed=1, failed=1)
