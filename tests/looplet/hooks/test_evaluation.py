"""Evals on a live run say what they would say through pytest, and may send the model back to work."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_sync
from tests.support.plugin_files import write_suite

from looplet import EvalHook, LoopConfig, MockLLMBackend, RunResult, ToolCall, tool
from looplet.evals import EvalCase
from looplet.events import RunResumed, RunStarted
from looplet.messages import Capabilities

if TYPE_CHECKING:
    from types import ModuleType

    from tests.support.drive import Drive


@tool
def look(order: int) -> int:
    """Look an order up."""
    if order < 0:
        raise ValueError("no such order")
    return order


@tool
def done(amount: int) -> dict[str, int]:
    """Finish."""
    return {"amount": amount}


TOOLS = [look, done]


def looking(order: int = 1) -> ToolCall:
    return ToolCall("look", {"order": order})


def finish(amount: int) -> ToolCall:
    return ToolCall("done", {"amount": amount})


def eval_amount(run: RunResult) -> None:
    assert run.output["amount"] == 25, "the amount is not 25"


def eval_unexplained(run: RunResult) -> None:
    assert run.output["amount"] == 25


def eval_score(run: RunResult) -> float:
    return float(run.output["amount"]) / 100


def test_a_failing_eval_rejects_the_completion_with_its_reason(drive: Drive) -> None:
    llm = MockLLMBackend([finish(7), finish(25)])
    result = drive(llm, tools=TOOLS, hooks=[EvalHook(eval_amount, reject_below=0.5)])
    assert (result.output, len(result.steps)) == ({"amount": 25}, 2)
    assert "not accepted: eval_amount: the amount is not 25" in llm.prompts[1].messages[-1].content


def test_without_the_hook_the_first_answer_stands() -> None:
    assert run_sync([finish(7), finish(25)], tools=TOOLS).output == {"amount": 7}


def test_without_a_threshold_the_evals_only_watch() -> None:
    hook = EvalHook(eval_amount)
    result = run_sync([finish(7)], tools=TOOLS, hooks=[hook])
    assert result.stop_reason == "done"
    (found,) = hook.results
    assert (found.name, found.step, found.final, found.outcome) == ("eval_amount", 1, True, "failed")
    assert found.result.reason.startswith("the amount is not 25")


def test_a_score_below_the_threshold_rejects() -> None:
    hook = EvalHook(eval_score, reject_below=0.2)
    result = run_sync([finish(19), finish(20)], tools=TOOLS, hooks=[hook])
    assert result.output == {"amount": 20}
    assert [(found.outcome, found.result.score) for found in hook.results] == [("failed", 0.19), ("passed", 0.2)]
    assert result.steps[0].tool_result.error == "not accepted: eval_score: a score of 0.19"


def test_all_reasons_reach_the_model() -> None:
    def eval_label(run: RunResult) -> str:
        return "incorrect"

    result = run_sync([finish(7)], tools=TOOLS, hooks=[EvalHook(eval_amount, eval_label, reject_below=0)], max_steps=1)
    error = result.steps[0].tool_result.error or ""
    assert "eval_amount: the amount is not 25" in error
    assert "eval_label: 'incorrect'" in error


def test_an_assertion_without_a_message_shows_its_line() -> None:
    source = "def eval_plain(run):\n    assert run.output is None\n"
    space: dict[str, Any] = {}
    exec(compile(source, __file__ + ".nowhere", "exec"), space)
    hook = EvalHook(space["eval_plain"], eval_unexplained)
    run_sync([finish(7)], tools=TOOLS, hooks=[hook])
    assert hook.results[0].result.reason == "an assertion did not hold"
    assert "25" in hook.results[1].result.reason


def test_the_evals_see_the_run_as_it_would_be(drive: Drive) -> None:
    seen: list[RunResult] = []

    def eval_look(run: RunResult) -> bool:
        seen.append(run)
        return True

    result = drive([looking(), looking(-1), finish(25)], task="Refund", tools=TOOLS, hooks=[EvalHook(eval_look)])
    live = seen[-1]
    for field in ("stop_reason", "status", "task", "output", "errors", "usage", "tool_sequence", "cost"):
        assert getattr(live, field) == getattr(result, field), field
    assert [step.tool_call for step in live.steps] == [step.tool_call for step in result.steps]


def test_every_few_steps_they_look_at_the_run_so_far() -> None:
    def eval_progress(run: RunResult) -> dict[str, Any]:
        return {"score": 1, "steps": len(run.steps), "ended": run.stop_reason}

    hook = EvalHook(eval_progress, every=2)
    run_sync([looking(), looking(2), looking(3), looking(4), finish(25)], tools=TOOLS, hooks=[hook])
    assert [(found.step, found.final, found.result.details["ended"]) for found in hook.results] == [
        (2, False, "running"),
        (4, False, "running"),
        (5, True, "done"),
    ]


def test_an_eval_that_fails_on_the_way_rejects_nothing() -> None:
    hook = EvalHook(eval_amount, every=1, reject_below=0.5)
    assert run_sync([looking(), finish(25)], tools=TOOLS, hooks=[hook]).stop_reason == "done"
    assert [found.outcome for found in hook.results] == ["error", "passed"]


def test_the_done_tool_may_have_another_name() -> None:
    hook = EvalHook(lambda run: True)
    run_sync([ToolCall("finish", {"answer": "x"})], hooks=[hook], config=LoopConfig(done_tool="finish"))
    assert [found.final for found in hook.results] == [True]


def test_a_case_is_handed_over() -> None:
    def eval_expected(run: RunResult, case: EvalCase) -> bool:
        return bool(run.output["amount"] == case.expected)

    for case in ({"task": "x", "expected": 25}, EvalCase(task="x", expected=25)):
        hook = EvalHook(eval_expected, case=case)
        run_sync([finish(25)], tools=TOOLS, hooks=[hook])
        assert hook.results[0].outcome == "passed"


def test_results_are_those_of_the_latest_run() -> None:
    hook = EvalHook(eval_amount)
    for _ in range(2):
        run_sync([finish(25)], tools=TOOLS, hooks=[hook])
    assert len(hook.results) == 1


def test_a_resumed_run_keeps_its_task() -> None:
    seen: list[Any] = []

    def eval_look(run: RunResult) -> bool:
        seen.append(run.task)
        return True

    hook = EvalHook(eval_look)
    began = RunStarted("id", "Refund", "", (), 5, {}, "m", Capabilities())
    hook.on_event(RunResumed("id", 1, (began,)))
    result = run_sync([finish(25)], tools=TOOLS)
    hook.check_done(None, result.steps, None, 1)
    assert seen == ["Refund"]


def test_an_interrupt_is_no_verdict() -> None:
    def eval_interrupted(run: RunResult) -> bool:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_sync([finish(25)], tools=TOOLS, hooks=[EvalHook(eval_interrupted)])


async def eval_async(run: RunResult) -> bool:
    return True


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (EvalHook, r"EvalHook\(\) has no eval"),
        (lambda: EvalHook("eval_x"), r"EvalHook\('eval_x'\): give eval functions"),  # type: ignore[arg-type]  # the mistake under test
        (lambda: EvalHook(eval_async), r"EvalHook: eval_async is async; give a plain function"),
        (lambda: EvalHook(lambda run, judge: True), r"asks for 'judge'; during a run there are only run and case"),
        (lambda: EvalHook(lambda case: True), r"asks for 'case'; give it one: EvalHook\(..., case=\{...\}\)"),
        (lambda: EvalHook(eval_amount, every=0), r"EvalHook\(every=...\) is 0"),
        (lambda: EvalHook(eval_amount, reject_below=70), r"EvalHook\(reject_below=70\): give a score from 0 to 1"),
    ],
)
def test_nonsense_is_refused_at_construction(make: Any, message: str) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        make()


EVALS = """
    import pytest
    from looplet.evals import EvalResult
    from shop import agent, script

    CASES = [{"id": "one", "task": "Refund order 17", "expected": 25, "script": script(17)}]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES, threshold=0.5)

    def eval_asserts(run, case):
        assert run.output["amount"] == case.expected

    def eval_asserts_wrongly(run):
        assert run.output["amount"] == 1

    def eval_true(run): return True
    def eval_false(run): return False
    def eval_high(run): return 0.5
    def eval_low(run): return 0.49
    def eval_label(run): return "incorrect"
    def eval_dict(run): return {"score": len(run.steps) / 2, "steps": len(run.steps)}
    def eval_result(run): return EvalResult(label="correct")
    def eval_out_of_range(run): return 7
    def eval_nothing(run): pass
    def eval_crashes(run): return run.output["nothing"]
    def eval_gives_up(run): pytest.fail("no")
    def eval_skips(run): pytest.skip("not here")
    def eval_ended(run): return run.status == "completed" and run.stop_reason == "done"
"""


def test_the_verdicts_are_those_of_pytest(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS)
    pytester.runpytest("--looplet-backend=mock", "--looplet-report=report.json")
    items = json.loads((pytester.path / "report.json").read_text(encoding="utf-8"))["items"]
    words = {"pass": "passed", "fail": "failed", "error": "error", "skip": "skipped"}
    through_pytest = {item["eval"].rpartition("::")[2]: words[item["outcome"]] for item in items}
    pytester.syspathinsert()
    module = _import(pytester, "evals/eval_shop.py")
    evals = [getattr(module, name) for name in vars(module) if name.startswith("eval_")]
    hook = EvalHook(*evals, reject_below=0.5, case=module.CASES[0])
    run_sync(module.script(17), task=module.CASES[0]["task"], tools=_tools_of(module), hooks=[hook], max_steps=2)
    assert {found.name: found.outcome for found in hook.results} == through_pytest
    assert Counter(through_pytest.values()) == {"passed": 6, "failed": 5, "error": 3, "skipped": 1}


def test_an_eval_that_cannot_judge_rejects_too() -> None:
    def eval_needs_note(run: RunResult) -> bool:
        return bool(run.output["note"])

    result = run_sync([finish(7)], tools=TOOLS, hooks=[EvalHook(eval_needs_note, reject_below=0.5)], max_steps=1)
    assert result.steps[0].tool_result.error == "not accepted: eval_needs_note: KeyError: 'note'"


def _import(pytester: pytest.Pytester, path: str) -> ModuleType:
    from importlib.util import module_from_spec, spec_from_file_location

    spec = spec_from_file_location("live_evals", pytester.path / path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _tools_of(module: ModuleType) -> list[Any]:
    shop = sys.modules[module.agent.__module__]
    return [shop.lookup, shop.done]
