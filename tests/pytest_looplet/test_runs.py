"""Phase 1: each needed run once, before the first eval; concurrency, deadlines, output apart."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, executions, write_suite

if TYPE_CHECKING:
    from pathlib import Path

TASKS = [f"Refund order {order}" for order in (17, 18, 19)]

AGENT_CASES = """
    import pytest
    from shop import agent
    pytestmark = pytest.mark.looplet(agent=agent, cases=[{"id": "one", "task": "Refund order 17", "script": []}])
"""


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


def test_two_backends_make_two_items_a_case(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    result = pytester.runpytest("-v", "--looplet-backend=replay,mock", "-k", "eval_amount and refund-17")
    result.assert_outcomes(passed=2, deselected=10)
    result.stdout.fnmatch_lines(["*eval_amount?refund-17-replay? PASSED*", "*eval_amount?refund-17-mock? PASSED*"])
    assert sorted(path.name for path in (pytester.path / ".looplet/runs").iterdir()) == [
        "refund-17-mock",
        "refund-17-replay",
    ]


def test_equally_named_eval_files_and_cases_in_two_folders_both_run(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    text = (pytester.path / "evals/eval_shop.py").read_text()
    other = pytester.path / "other/evals/eval_shop.py"
    other.parent.mkdir(parents=True)
    other.write_text(text)
    pytester.runpytest("--import-mode=importlib").assert_outcomes(passed=12)
    assert sorted(executions(pytester)) == sorted(TASKS * 2)
    names = sorted(path.name for path in (pytester.path / ".looplet/runs").iterdir())
    assert names[0] == "evals-eval_shop-agent-refund-17-replay"
    assert len(names) == 6


def test_an_agent_gets_what_it_names_and_can_reach_no_expectation(pytester: pytest.Pytester) -> None:
    shop = (
        SHOP
        + """
    import looplet.ambient

    def reach(value, seen, depth=0):
        if depth > 9 or id(value) in seen or isinstance(value, (str, int, float, type(None), type(os))):
            return [value] if isinstance(value, str) else []
        seen[id(value)] = value
        found = []
        inner = ("__closure__", "__self__", "__dict__", "__defaults__", "__kwdefaults__", "__wrapped__")
        names = [name for name in dir(value) if name in inner or not name.startswith("__")]
        children = [getattr(value, name, None) for name in names]
        if isinstance(value, dict):
            children += [*value, *value.values()]
        elif isinstance(value, (list, tuple, set)):
            children += list(value)
        for child in children:
            found += reach(child, seen, depth + 1)
        return found

    def nosy(task, llm, workdir):
        run = agent(task, llm)
        texts = reach([task, llm, workdir, looplet.ambient.current.get(), run], {})
        assert any("Refund order" in text for text in texts), "the search finds what is there"
        assert not any("the secret answer" in text for text in texts)
        return run
    """
    )
    evals = EVALS.replace("from shop import agent", "from shop import nosy as agent").replace(
        '"expected": order + 8', '"expected": "the secret answer"'
    )
    write_suite(pytester, evals.replace('run.output["amount"] == case.expected', "case.expected"), shop=shop)
    pytester.runpytest().assert_outcomes(passed=6)


def test_the_work_directory_is_fresh_and_holds_the_files_of_the_case(pytester: pytest.Pytester) -> None:
    evals = """
    import pytest
    from looplet.result import RunResult

    def agent(task, workdir):
        names = sorted(path.relative_to(workdir).as_posix() for path in workdir.rglob("*") if path.is_file())
        (workdir / "left.txt").write_text("x")
        return RunResult("done", task=task, output=names)

    @pytest.mark.looplet(agent=agent, cases=[
        {"task": "texts", "files": {"a.txt": "A", "deep/b.txt": "B"}, "expected": ["a.txt", "deep/b.txt"]},
        {"task": "folder", "files": "fixture", "expected": ["c.txt"]},
        {"task": "none", "expected": []},
    ])
    def eval_files(run, case):
        assert run.output == case.expected

    @pytest.mark.looplet(agent=agent, cases=[{"task": "out", "files": {"../up.txt": "A"}}])
    def eval_outside(run): return True
    """
    evals = evals.replace("agent, cases", "agent, cases", 1)
    write_suite(pytester, evals)
    (pytester.path / "evals/fixture").mkdir()
    (pytester.path / "evals/fixture/c.txt").write_text("C")
    # replay without a recording and without a script would refuse; a model of our own is never called here
    (pytester.path / "conftest.py").write_text(LIVE_STUB)
    for _ in range(2):
        result = pytester.runpytest("--looplet-backend=live")
        result.assert_outcomes(passed=3, errors=1)
    assert "the file '../up.txt' lies outside the work directory" in result.stdout.str()


LIVE_STUB = """
import pytest
@pytest.hookimpl(optionalhook=True)
def pytest_looplet_make_backend(name, config):
    return object() if name == "live" else None
"""

MESSAGES = """[
        {"role": "user", "content": task},
        {"role": "assistant", "content": None, "tool_calls": [
            {"id": "1", "type": "function", "function": {"name": "look", "arguments": '{"x": 1}'}}]},
        {"role": "tool", "tool_call_id": "1", "content": "found"},
        {"role": "assistant", "content": "25"},
    ]"""


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("return loop()", ""),
        ("return iter(list(loop()))", ""),
        ("for step in loop(): yield step", ""),
        ("run = loop(); list(run); return run.result", ""),
        ("list(loop()); return 'whatever'", ""),
        ("list(loop(first)); list(loop()); return None", ""),
        (f"return {MESSAGES}", ""),
        ("return 'whatever'", "agent agent returned str and ran no loop; return the run, a RunResult or OpenAI-style"),
        ("loop()", "agent agent returned NoneType and ran no loop"),
        ("raise OSError('disk')", "OSError: disk"),
        ("raise SystemExit(3)", "SystemExit: 3"),
    ],
)
def test_what_an_agent_may_return(pytester: pytest.Pytester, body: str, said: str) -> None:
    evals = f"""
    import pytest
    from looplet import MockLLMBackend, ToolCall, composable_loop
    calls = [ToolCall("done", {{"answer": "25"}})]
    first = MockLLMBackend([ToolCall("done", {{"answer": "1"}})])

    def agent(task, llm):
        def loop(model=llm): return composable_loop(llm=model, task=task, tools=[])
        {body}

    pytestmark = pytest.mark.looplet(agent=agent, cases=[{{"id": "one", "task": "x", "script": calls}}])

    def eval_output(run):
        assert run.output == "25"
        assert len(run.all) == {2 if "first" in body else 0}
    """
    write_suite(pytester, evals)
    result = pytester.runpytest()
    result.assert_outcomes(**({"errors": 1} if said else {"passed": 1}))
    assert said in result.stdout.str()


def test_async_agents_run_in_an_event_loop_of_their_own(pytester: pytest.Pytester) -> None:
    evals = """
    import asyncio, pytest
    from looplet import ToolCall, async_composable_loop, composable_loop
    script = [ToolCall("done", {"answer": "25"})]

    async def inner(task, llm):
        await asyncio.sleep(0)
        return [step async for step in async_composable_loop(llm=llm, task=task, tools=[])]

    async def outer(task, llm):
        return async_composable_loop(llm=llm, task=task, tools=[])

    async def sync_loop(task, llm):
        return composable_loop(llm=llm, task=task, tools=[])

    CASES = [{"task": "x", "script": script}]

    @pytest.mark.looplet(agent=inner, cases=CASES)
    def eval_inner(run): assert run.output == "25"
    @pytest.mark.looplet(agent=outer, cases=CASES)
    def eval_outer(run): assert run.output == "25"
    @pytest.mark.looplet(agent=sync_loop, cases=CASES)
    def eval_sync(run): assert run.output == "25"
    """
    write_suite(pytester, evals)
    pytester.runpytest().assert_outcomes(passed=3)


def test_a_provider_that_fails_is_an_error_not_a_wrong_answer(pytester: pytest.Pytester) -> None:
    evals = """
    import pytest
    from looplet import composable_loop
    from looplet.errors import AuthError
    def agent(task, llm): return composable_loop(llm=llm, task=task, tools=[])
    @pytest.mark.looplet(agent=agent, cases=[{"id": "one", "task": "x", "script": [AuthError("no such key")]}])
    def eval_one(run): return True
    """
    write_suite(pytester, evals)
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    assert "the model failed: " in result.stdout.str()
    assert "no such key" in result.stdout.str()
    assert "looplet show .looplet/runs/one-replay" in result.stdout.str()


def test_running_out_of_steps_is_the_models_doing_and_is_evaluated(pytester: pytest.Pytester) -> None:
    evals = """
    import pytest
    from looplet import composable_loop
    from shop import lookup, script
    def agent(task, llm): return composable_loop(llm=llm, task=task, tools=[lookup], max_steps=1)
    @pytest.mark.looplet(agent=agent, cases=[{"task": "x", "script": script(1)[:1]}])
    def eval_one(run): return run.stop_reason == "done"
    """
    write_suite(pytester, evals)
    pytester.runpytest().assert_outcomes(failed=1)


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
