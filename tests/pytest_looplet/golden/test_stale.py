"""A stale recording says in one line what changed, and waits for `looplet review`."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, summary_of, write_suite

from pytest_looplet.golden import decide, pending

if TYPE_CHECKING:
    from pathlib import Path

EVALS_ONE_CASE = EVALS.replace(', "script": script(order)', "").replace("(17, 18, 19)", "(17,)")
LOOP = "composable_loop(llm=llm, task=task, tools=[lookup, done])"


@pytest.fixture(autouse=True)
def not_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)


@pytest.fixture
def recorded(pytester: pytest.Pytester) -> Path:
    write_suite(pytester, EVALS_ONE_CASE, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=2)
    return pytester.path / "evals/__recordings__/eval_shop/agent/refund-17"


def stale_line(pytester: pytest.Pytester, shop: str) -> str:
    assert shop != SHOP
    write_suite(pytester, EVALS_ONE_CASE.replace("assert run", "assert True or run"), shop=shop, conftest=LIVE)
    result = pytester.runpytest()
    result.assert_outcomes(passed=2, failed=1)
    [line] = [line for line in summary_of(result) if line.startswith("stale: ")]
    assert f"stale recording: {line.partition(']: ')[2]}" in result.stdout.str()
    return line.removeprefix("stale: evals/eval_shop.py::recording[agent/refund-17]: ")


@pytest.mark.parametrize(
    ("shop", "line"),
    [
        (
            SHOP.replace(LOOP, LOOP[:-1] + ', config=__import__("looplet").LoopConfig(system_prompt="Be kind."))'),
            "request 1: system differs at char 0: recorded '' now 'Be kind.'",
        ),
        (
            SHOP.replace("[lookup, done]", "[done, lookup]"),
            'request 1: tools[0].name differs at char 0: recorded \'lookup\' now \'done\'',
        ),
        (
            SHOP.replace('{"order": order, "amount": order + 8}', '{"order": order, "amount": order + 9}'),
            "step 1 lookup: result: amount 25 → 26; request 2: messages[2].content differs at char 22: recorded '…7,\"",
        ),
        (
            SHOP.replace(LOOP, LOOP[:-1] + ', hooks=__import__("rewriting").hooks)'),
            "step 1 lookup: arguments: order 17 → 18 (and 1 more); request 2: messages[2].content differs at char 10: ",
        ),
        (
            SHOP.replace(LOOP, LOOP[:-1] + ", max_steps=1)"),
            "stop reason done → max_steps (and 2 more); 1 recorded reply was not asked for",
        ),
    ],
    ids=["prompt", "tool order", "result", "argument", "stop reason"],
)  # fmt: skip
def test_what_changed_is_said_in_one_line(pytester: pytest.Pytester, recorded: Path, shop: str, line: str) -> None:
    pytester.makepyfile(
        rewriting="""
        from looplet import Allow

        class Rewrite:
            def pre_dispatch(self, state, log, call, step):
                return Allow(args={"order": 18}) if call.tool == "lookup" else None

        hooks = [Rewrite()]
        """
    )
    assert stale_line(pytester, shop).startswith(line)


def test_a_stale_run_waits_for_review_until_the_agent_sends_what_was_recorded(
    pytester: pytest.Pytester, recorded: Path
) -> None:
    changed = SHOP.replace('"Find an order."', '"Look an order up."')
    line = stale_line(pytester, changed)
    [entry] = pending.load_all(pytester.path)
    assert (entry.kind, entry.id) == ("recording", "evals/eval_shop.py::recording[agent/refund-17]")
    assert (entry.target, entry.why, entry.problem) == (recorded, line, None)
    assert entry.command == "pytest evals/eval_shop.py -k '[refund-17]' --looplet-backend=ollama --looplet-record"
    write_suite(pytester, EVALS_ONE_CASE, conftest=LIVE)
    pytester.runpytest().assert_outcomes(passed=2)
    assert pending.load_all(pytester.path) == []


def test_an_accepted_recording_is_no_longer_stale_and_needed_no_model(
    pytester: pytest.Pytester, recorded: Path
) -> None:
    header = json.loads((recorded / "journal.jsonl").read_text().splitlines()[0])
    changed = SHOP.replace('"Find an order."', '"Look an order up."')
    stale_line(pytester, changed)
    [entry] = pending.load_all(pytester.path)
    decide.accept(entry)
    pytester.runpytest().assert_outcomes(passed=2)
    now = json.loads((recorded / "journal.jsonl").read_text().splitlines()[0])
    assert now["tools"][0]["description"] == "Look an order up."
    assert (now["model"], now["labels"]) == (header["model"], header["labels"])


def test_a_changed_behaviour_is_not_accepted_and_recording_again_settles_it(
    pytester: pytest.Pytester, recorded: Path
) -> None:
    stale_line(pytester, SHOP.replace('"amount": order + 8}', '"amount": order + 9}'))
    [entry] = pending.load_all(pytester.path)
    with pytest.raises(pending.PendingError, match=r"behaviour changed \(step 1 lookup: result: amount 25 → 26\)"):
        decide.accept(entry)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=2)
    assert pending.load_all(pytester.path) == []


def test_nothing_waits_in_ci(pytester: pytest.Pytester, recorded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    stale_line(pytester, SHOP.replace('"Find an order."', '"Look an order up."'))
    assert pending.load_all(pytester.path) == []
