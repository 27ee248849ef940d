"""One run: what the agent is given, what it may return, and what counts as an error of the run."""

from __future__ import annotations

import json

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, write_suite


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
        names = [name for name in dir(value) if name in inner or not name.startswith(("__", "co_lnotab"))]
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


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])
def test_whatever_an_agent_or_a_collector_raises_is_the_error_of_its_run(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    evals = """
    import asyncio, pytest
    from looplet import RunResult
    from looplet.evals import collector

    class Own(BaseException): pass
    class Mute(Exception):
        def __str__(self): raise RuntimeError("no text")
    ERRORS = {
        "skip": pytest.skip.Exception("agent skips"), "cancelled": asyncio.CancelledError("gone"),
        "interrupt": KeyboardInterrupt("agent"), "exit": GeneratorExit("over"), "own": Own("mine"), "mute": Mute(),
        "fine": None, "looked-at": None,
    }

    def agent(task):
        if ERRORS[task] is not None:
            raise ERRORS[task]
        return RunResult("done", task=task, output=task)

    @collector
    def look(task):
        if task == "looked-at":
            raise KeyboardInterrupt("collector")

    @pytest.mark.looplet(agent=agent, cases=[{"id": name, "task": name, "script": []} for name in ERRORS])
    def eval_one(run): return 1.0
    """
    write_suite(pytester, evals)
    result = pytester.runpytest_subprocess(*workers, timeout=60)
    result.assert_outcomes(passed=1, errors=7)
    told = result.stdout.str()
    for said in ("Skipped: agent skips", "CancelledError: gone", "KeyboardInterrupt: agent", "GeneratorExit: over"):
        assert said in told
    for said in ("Own: mine", "Mute (its text cannot be had: str() of it raised", "KeyboardInterrupt: collector"):
        assert said in told


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("5", "whose stop_reason is 5; it must be a str, such as 'done'"),
        ("'done', steps=(1,)", "whose steps is (1,); it must be Steps"),
        ("'done', errors=(ValueError('x'),)", "whose errors is (ValueError('x'),); it must be texts"),
        ("'done', duration=float('nan')", "whose duration is nan; it must be seconds"),
        ("'done', artifacts=[]", "whose artifacts is []; it must be a dict"),
        ("'done', usage=Usage('1')", "it must be a Usage of numbers"),
        ("'done', usage=Usage(1, 1, 0, 'much')", "it must be a Usage of numbers"),
    ],
)
def test_a_value_of_the_wrong_type_in_an_agents_own_result_is_an_error_of_its_run(
    pytester: pytest.Pytester, arguments: str, said: str
) -> None:
    evals = f"""
    import pytest
    from looplet import RunResult, Usage
    def agent(task):
        return RunResult({arguments}) if task == "odd" else RunResult("done", output=1)
    CASES = [{{"id": name, "task": name, "script": []}} for name in ("odd", "fine")]
    @pytest.mark.looplet(agent=agent, cases=CASES)
    def eval_one(run): return 1.0
    """
    write_suite(pytester, evals)
    result = pytester.runpytest()
    result.assert_outcomes(passed=1, errors=1)
    assert "agent agent returned a RunResult whose" in result.stdout.str()
    assert said in result.stdout.str()


@pytest.mark.parametrize(
    ("cost", "known"),
    [("Decimal('0.5')", 0.5), ("float('nan')", None), ("-1.0", None), ("10**400", None)],
)
def test_a_cost_is_a_number_or_unknown(pytester: pytest.Pytester, cost: str, known: float | None) -> None:
    evals = f"""
    import pytest
    from decimal import Decimal
    from looplet import RunResult, Usage
    def agent(task):
        return RunResult("done", usage=Usage(10, 5, cost={cost}))
    @pytest.mark.looplet(agent=agent, cases=[{{"id": "one", "task": "x", "script": []}}])
    def eval_one(run): return 1.0
    """
    write_suite(pytester, evals)
    pytester.runpytest("--looplet-report=r.json").assert_outcomes(passed=1)
    report = json.loads((pytester.path / "r.json").read_text())
    assert report["totals"]["usage"]["cost"] == known


def test_a_run_whose_trace_is_incomplete_is_not_recorded(pytester: pytest.Pytester) -> None:
    evals = EVALS.replace(
        "from shop import agent, script",
        """from shop import agent as whole, script
    from pathlib import Path

    def agent(task, llm):
        for step in (run := whole(task, llm)):
            if "18" in task:
                Path(".looplet/runs/refund-18-live.partial/run_1/incomplete.txt").write_text("the disk is full")
        return run""",
    )
    write_suite(pytester, evals, conftest=LIVE)
    result = pytester.runpytest("--looplet-backend=live", "--looplet-record")
    result.assert_outcomes(passed=4, errors=2)
    said = "case 'refund-18' was not recorded: its trace is incomplete (the disk is full); record it again"
    assert said in result.stdout.str()
    recordings = pytester.path / "evals/__recordings__/eval_shop/agent"
    assert sorted(path.name for path in recordings.iterdir()) == ["refund-17", "refund-19"]
