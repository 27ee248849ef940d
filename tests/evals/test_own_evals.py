"""Each of our own evals passes with the right agent, and fails with one that is broken in the way it watches for."""

from __future__ import annotations

import inspect
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import evals.eval_log_analyst as log_evals
import evals.eval_support_desk as desk_evals
import pytest

from looplet import MockLLMBackend, Prompt, ToolCall
from looplet.evals.case import load_cases
from looplet.evals.score import grade

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import ModuleType

    from looplet import RunResult
    from looplet.evals import EvalCase

    Policy = Callable[[Prompt], ToolCall]


def cases(module: ModuleType) -> dict[str, EvalCase]:
    folder = Path(str(module.__file__)).parent
    return {case.id: case for case in load_cases(module.pytestmark.kwargs["cases"], folder)}


def play(module: ModuleType, case: EvalCase, workdir: Path, model: Policy | None = None) -> RunResult:
    """Run the module's agent on one case, with its scripted model or a broken one."""
    if isinstance(case.files, dict):
        for name, text in case.files.items():
            (workdir / name).write_text(text)
    elif case.files:
        shutil.copytree(Path(str(module.__file__)).parent / case.files, workdir, dirs_exist_ok=True)
    run = module.agent(task=case.task, llm=MockLLMBackend(model or case.script), workdir=workdir)
    list(run)
    result: RunResult = run.result
    return result


def score(function: Callable[..., Any], run: RunResult, case: EvalCase, workdir: Path) -> float:
    offered = {"run": run, "case": case, "workdir": workdir}
    wanted = {name: offered[name] for name in inspect.signature(function).parameters}
    try:
        value = function(**wanted)
    except AssertionError:
        return 0.0
    found = grade(value, name=function.__name__, asserts=value is None).result.score
    assert found is not None
    return found


def evals_of(module: ModuleType) -> list[Callable[..., Any]]:
    return [value for name, value in vars(module).items() if name.startswith("eval_")]


@pytest.mark.parametrize(
    ("module", "case_id"), [(module, case_id) for module in (desk_evals, log_evals) for case_id in cases(module)]
)
def test_the_scripted_model_satisfies_every_eval(module: ModuleType, case_id: str, tmp_path: Path) -> None:
    case = cases(module)[case_id]
    run = play(module, case, tmp_path)
    assert {function.__name__: score(function, run, case, tmp_path) for function in evals_of(module)} == {
        function.__name__: 1.0 for function in evals_of(module)
    }


def first_call(prompt: Prompt) -> bool:
    return len(prompt.messages) == 1


def wrapped(right: Policy, change: Callable[[Prompt, ToolCall], ToolCall]) -> Policy:
    return lambda prompt: change(prompt, right(prompt))


def doubles_refunds(prompt: Prompt, call: ToolCall) -> ToolCall:
    return call.replace(args=call.args | {"amount": 2 * call.args["amount"]}) if call.tool == "refund" else call


def escalates_everything(prompt: Prompt, call: ToolCall) -> ToolCall:
    return ToolCall("escalate", {"order_id": 17, "reason": "?"}) if call.tool == "refund" else call


def acts_first(prompt: Prompt, call: ToolCall) -> ToolCall:
    return (
        ToolCall("refund", {"order_id": 17, "amount": 25.0}) if first_call(prompt) else ToolCall("done", {"answer": ""})
    )


def says_nothing(prompt: Prompt, call: ToolCall) -> ToolCall:
    return ToolCall("done", {"answer": "ok"}) if call.tool == "done" else call


def looks_twice(prompt: Prompt, call: ToolCall) -> ToolCall:
    return ToolCall("get_order", {"order_id": 17}) if len(prompt.messages) < 5 else call


def reports_nothing(prompt: Prompt, call: ToolCall) -> ToolCall:
    empty = {"service": None, "errors": 0, "first": None, "cause": None}
    return call.replace(args=empty) if call.tool == "write_report" else call


def reads_one_file(prompt: Prompt, call: ToolCall) -> ToolCall:
    return call.replace(args=call.args | {"file": "a.log"}) if call.tool == "search" else call


@pytest.mark.parametrize(
    ("module", "case_id", "broken", "function"),
    [
        (desk_evals, "small-refund", doubles_refunds, "eval_refunds_exactly_what_the_rules_allow"),
        (desk_evals, "small-refund", escalates_everything, "eval_escalates_only_what_is_too_expensive"),
        (desk_evals, "small-refund", acts_first, "eval_looks_before_it_acts"),
        (desk_evals, "too-old", says_nothing, "eval_tells_the_customer"),
        (desk_evals, "small-refund", looks_twice, "eval_wastes_no_steps"),
        (log_evals, "checkout", reports_nothing, "eval_report_is_right"),
        (log_evals, "two-files", reads_one_file, "eval_every_file_was_searched"),
        (log_evals, "checkout", says_nothing, "eval_answer_names_the_service"),
    ],
)
def test_each_eval_fails_for_a_broken_agent(
    module: ModuleType, case_id: str, broken: Any, function: str, tmp_path: Path
) -> None:
    case = cases(module)[case_id]
    run = play(module, case, tmp_path, wrapped(case.script, broken))
    assert score(getattr(module, function), run, case, tmp_path) < 1.0


def test_leaving_the_logs_alone_is_checked_on_the_files(tmp_path: Path) -> None:
    case = cases(log_evals)["checkout"]
    run = play(log_evals, case, tmp_path)
    (tmp_path / "app.log").write_text("tampered")
    assert score(log_evals.eval_leaves_the_logs_alone, run, case, tmp_path) == 0.0


def test_every_eval_has_a_broken_agent_above() -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    for module in (desk_evals, log_evals):
        assert [function.__name__ for function in evals_of(module) if function.__name__ not in text] == []


def test_the_expectation_is_not_in_reach_of_the_agent(tmp_path: Path) -> None:
    """Oracle data stays out of the task: changing the database changes what the scripted model does."""
    case = cases(desk_evals)["small-refund"]
    changed = [(17, "ann", "kettle", 250.0, 5, 0)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("evals.agents.support_desk.ORDERS", changed)
        run = play(desk_evals, case, tmp_path)
    assert run.tool_sequence == ["get_order", "escalate", "done"]
    assert score(desk_evals.eval_refunds_exactly_what_the_rules_allow, run, case, tmp_path) == 0.0
