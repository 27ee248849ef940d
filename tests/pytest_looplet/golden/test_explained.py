"""One engine explains a change wherever it shows: in a snapshot failure, in `looplet diff`, in a stale recording."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.support.plugin_files import LIVE, SHOP, summary_of, write_suite

from looplet.cli import main

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("with_syrupy")

EVALS = """
    import pytest
    from shop import agent

    pytestmark = pytest.mark.looplet(agent=agent, cases=[{"id": "refund", "task": "Refund order 17"}])

    def eval_trace(run, trace_snapshot):
        assert run == trace_snapshot
"""
LOOP = "composable_loop(llm=llm, task=task, tools=[lookup, done])"
REWRITE = """
    class Rewrite:
        def pre_dispatch(self, state, log, call, step):
            from looplet import Allow
            return Allow(args={"order": 17, "quick": True}) if call.tool == "lookup" else None
"""
QUICK = SHOP.replace("def lookup(order: int)", "def lookup(order: int, quick: bool = False)")

CHANGES = {
    "prompt": (
        SHOP.replace(LOOP, LOOP[:-1] + ', system_prompt="Be kind.")'),
        "system prompt added: Be kind.",
        "request 1: system differs at char 0: recorded '' now 'Be kind.'",
    ),
    "tool order": (
        SHOP.replace("[lookup, done]", "[done, lookup]"),
        "tools changed: 'lookup(order), done(amount)' → 'done(amount), lookup(order)'",
        "request 1: tools[0].name differs at char 0: recorded 'lookup' now 'done'",
    ),
    "argument": (
        QUICK.replace("    def agent", f"{REWRITE}\n    def agent").replace(LOOP, LOOP[:-1] + ", hooks=[Rewrite()])"),
        "step 1 lookup: arguments: quick added true",
        "step 1 lookup: arguments: quick added true; request 1: tools[0].parameters",
    ),
    "result": (
        SHOP.replace('"amount": order + 8}', '"amount": order + 9}', 1),
        "step 1 lookup: result: amount 25 → 26",
        "step 1 lookup: result: amount 25 → 26; request 2: messages[2].content differs at char ",
    ),
    "stop reason": (
        SHOP.replace(LOOP, LOOP[:-1] + ", max_steps=1)"),
        "stop reason done → max_steps",
        "stop reason done → max_steps (and 2 more); 1 recorded reply was not asked for",
    ),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_explained_in_the_same_line_everywhere(
    pytester: pytest.Pytester, change: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    shop, line, stale = CHANGES[change]
    assert shop != SHOP
    write_suite(pytester, EVALS, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record")
    pytester.runpytest("--snapshot-update").assert_outcomes(passed=1)
    shutil.copytree(pytester.path / ".looplet/runs/refund-replay", tmp_path / "before")

    write_suite(pytester, EVALS, conftest=LIVE, shop=shop)
    result = pytester.runpytest()
    result.assert_outcomes(failed=2)
    assert f"run == eval_trace[refund].trace: {line}" in result.stdout.str()
    [said] = [each for each in summary_of(result) if each.startswith("stale: ")]
    assert said.removeprefix("stale: evals/eval_shop.py::recording[agent/refund]: ").startswith(stale)

    capsys.readouterr()
    main(["diff", str(tmp_path / "before"), str(pytester.path / ".looplet/runs/refund-replay")])
    assert capsys.readouterr().out.splitlines()[0].strip() == line
