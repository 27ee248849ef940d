"""The fixtures, in evals and in ordinary tests."""

from __future__ import annotations

import pytest
from tests.support.plugin_files import EVALS, LIVE, executions, write_suite


def test_run_and_case_outside_evals_say_why_they_are_not_there(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_a(run): pass\ndef test_b(case): pass\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=2)
    said = "the fixtures `run`, `case`, `judge` and `workdir` exist in evals only: functions named eval_*"
    assert said in result.stdout.str()


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


def test_a_fixture_that_builds_on_ours_may_have_parameters(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    @pytest.fixture(params=["first", "last"])
    def run(run, request): return run.steps[0 if request.param == "first" else -1]
    def eval_step(run): return run.tool_call.tool in ("lookup", "done")
    def eval_step_of_case(case, run): return case.id.startswith("refund")
    """
    )
    write_suite(pytester, evals)
    result = pytester.runpytest("-v", "-k", "eval_step")
    result.assert_outcomes(passed=12, deselected=12)
    result.stdout.fnmatch_lines(["*eval_step?*first*PASSED*"])
    assert len(executions(pytester)) == 3


@pytest.mark.parametrize("name", ["run", "case"])
def test_ours_may_be_parametrized_too_although_they_read_no_parameter(pytester: pytest.Pytester, name: str) -> None:
    mark = f"    @pytest.mark.parametrize('{name}', [1, 2], indirect=True)\n"
    write_suite(
        pytester, EVALS + mark + "    def eval_twice(run, case): return run.output['amount'] == case.expected\n"
    )
    result = pytester.runpytest("-v", "-k", "twice")
    result.assert_outcomes(passed=6, deselected=6)
    assert len(executions(pytester)) == 3


def test_what_a_parameter_replaces_is_not_reached_and_not_run(pytester: pytest.Pytester) -> None:
    conftest = """
    import pytest

    @pytest.fixture
    def answer(run): return run.output["amount"]

    def pytest_generate_tests(metafunc):
        if "answer" in metafunc.fixturenames:
            metafunc.parametrize("answer", [25, 26])
    """
    write_suite(pytester, EVALS + "\n    def eval_answer(answer, case): return answer in (25, 26)\n", conftest=conftest)
    pytester.runpytest("-k", "eval_answer").assert_outcomes(passed=6, deselected=6)
    assert executions(pytester) == []


BY_NAME = """
    @pytest.fixture
    def llm(request): return request.getfixturevalue("llm")
"""


def test_a_model_that_is_got_by_name_counts_as_asked_for(pytester: pytest.Pytester) -> None:
    evals = EVALS + "\n    def eval_model(run, llm): return llm.name == 'live-model-1'\n"
    write_suite(pytester, evals, conftest=LIVE + BY_NAME)
    pytester.makepyfile(test_llm="def test_name(llm): assert llm.name == 'live-model-1'\n")
    result = pytester.runpytest("test_llm.py", "--looplet-backend=live")
    result.assert_outcomes(passed=1)
    assert "no evals were collected" not in result.stdout.str()
    calling = evals.replace("return llm.name ==", "return llm.chat(run.steps[0].prompt).text !=")
    write_suite(pytester, calling, conftest=LIVE + BY_NAME)
    result = pytester.runpytest("evals", "-k", "model", "--looplet-backend=live", "--looplet-record")
    result.assert_outcomes(passed=3, deselected=6)
    assert "unused recording" not in result.stdout.str()
    assert (pytester.path / "evals/__recordings__/eval_shop/evals/eval_model").is_dir()


def test_the_output_of_a_run_is_shown_each_time_its_item_is_run(pytester: pytest.Pytester) -> None:
    conftest = """
    import pytest
    from _pytest.runner import runtestprotocol

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(item, nextitem):
        for last in (False, True):
            item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
            for report in runtestprotocol(item, nextitem=nextitem, log=False):
                if report.when == "call":
                    print("sections", [title for title, _ in report.sections])
                if last:
                    item.ihook.pytest_runtest_logreport(report=report)
            item._report_sections.clear()
        return True
    """
    write_suite(pytester, conftest=conftest)
    result = pytester.runpytest("-s", "-k", "amount and refund-17")
    result.assert_outcomes(passed=1, deselected=5)
    assert result.stdout.str().count("sections ['Captured stdout of the run setup']") == 2


def test_the_output_of_a_run_is_shown_once_however_many_fixtures_ask_for_it(pytester: pytest.Pytester) -> None:
    write_suite(pytester, FILES.replace("        @tool", "        print('said once')\n        @tool", 1))
    result = pytester.runpytest("-rP", "-k", "eval_outcome")
    result.assert_outcomes(passed=1, deselected=1)
    assert result.stdout.str().count("said once") == 1


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


FILES = """
    import pytest
    from looplet import ToolCall, composable_loop, tool

    def agent(task, llm, workdir):
        @tool
        def write(text: str) -> str:
            "Write."
            (workdir / "out.txt").write_text((workdir / "in.txt").read_text() + text)
            return "written"

        return composable_loop(llm=llm, task=task, tools=[write])

    SCRIPT = [ToolCall("write", {"text": "b"}), ToolCall("done", {"answer": "x"})]
    CASES = [{"id": "a", "task": "t", "files": {"in.txt": "a"}, "script": SCRIPT}]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    def eval_outcome(run, workdir):
        assert (workdir / "out.txt").read_text() == "ab"

    def eval_without_run(workdir):
        assert sorted(path.name for path in workdir.iterdir()) == ["in.txt", "out.txt"]
"""


@pytest.mark.parametrize("options", [(), ("-n", "2")])
def test_workdir_is_what_the_run_left(pytester: pytest.Pytester, options: tuple[str, ...]) -> None:
    write_suite(pytester, FILES)
    pytester.runpytest_subprocess(*options).assert_outcomes(passed=2)


def test_workdir_of_an_agent_without_one_is_an_error_that_says_so(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS + "\n    def eval_files(workdir):\n        assert workdir\n")
    result = pytester.runpytest("-k", "eval_files")
    result.assert_outcomes(errors=3, deselected=6)
    assert "asks for no `workdir`; give it a parameter of that name" in result.stdout.str()


def test_files_nobody_can_find_are_an_error_before_anything_runs(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS.replace('"expected"', '"files": {"a.txt": "x"}, "expected"'))
    result = pytester.runpytest()
    assert result.ret == pytest.ExitCode.INTERRUPTED
    assert executions(pytester) == []
    assert (
        "case 'refund-17' has files, and agent agent has no parameter `workdir` to find them by" in result.stdout.str()
    )


def test_files_for_evals_that_look_at_the_case_alone_need_no_work_directory(pytester: pytest.Pytester) -> None:
    evals = EVALS.partition("    def eval_amount")[0].replace('"expected"', '"files": {"a.txt": "x"}, "expected"')
    write_suite(pytester, evals + "    def eval_case(case):\n        assert case.files\n")
    pytester.runpytest().assert_outcomes(passed=3)


CHANGING = """
    import pytest, threading
    from shop import agent, script

    CASES = [{"id": "refund-17", "task": "Refund order 17", "script": script(17)}]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    def eval_first(run):
        assert run.output.pop("amount") == 25
        run.steps[0].tool_call.args.clear()

    def eval_second(run):
        assert run.output.pop("amount") == 25
        assert run.steps[0].tool_call.args == {"order": 17}
"""


def test_what_an_eval_changes_of_the_run_is_unchanged_for_the_next(pytester: pytest.Pytester) -> None:
    write_suite(pytester, CHANGING)
    pytester.runpytest().assert_outcomes(passed=2)


def test_a_run_that_cannot_be_copied_is_shared(pytester: pytest.Pytester) -> None:
    agent = "lambda task: __import__('looplet').RunResult('done', output=LOCK)"
    evals = CHANGING.replace("agent=agent", f"agent={agent}").replace("CASES =", "LOCK = threading.Lock()\n    CASES =")
    evals = evals.partition("    def eval_first")[0] + "    def eval_it(run): assert run.output is LOCK\n"
    write_suite(pytester, evals)
    pytester.runpytest().assert_outcomes(passed=1)


def test_a_model_that_is_asked_for_by_its_name_is_closed_with_the_session(pytester: pytest.Pytester) -> None:
    write_suite(pytester, conftest=LIVE, ini="looplet_backend = live\n")
    pytester.makepyfile(
        test_plain="""
        def test_plain(request):
            request.getfixturevalue("llm")
            assert request.config.pluginmanager.hasplugin("looplet-controller"), "which closes it"
        """
    )
    pytester.runpytest("test_plain.py").assert_outcomes(passed=1)
