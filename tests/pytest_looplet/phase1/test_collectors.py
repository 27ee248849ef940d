"""Collectors of an eval module run once, right after the agent, where it worked."""

from __future__ import annotations

import json

import pytest
from tests.support.plugin_files import SHOP, executions, write_suite

from looplet.trace.read import load_trace

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])
WORKING = """
    def working(task, llm, workdir):
        (workdir / "made.txt").write_text("made")
        return composable_loop(llm=llm, task=task, tools=[lookup, done])
"""
COLLECTING = """
    import pytest
    from looplet.evals import collector
    from shop import agent, note, script, working

    CASES = [
        {
            "id": "refund-17",
            "task": "Refund order 17",
            "expected": 25,
            "files": {"given.txt": "x"},
            "script": script(17),
        }
    ]
    pytestmark = pytest.mark.looplet(agent=working, cases=CASES)

    @collector
    def files(workdir):
        note("collected")
        return sorted(path.name for path in workdir.iterdir())

    @collector(name="difference")
    async def compare(run, case, task):
        return [run.output["amount"] - case.expected, task]

    def eval_files(run):
        assert run.artifacts["files"] == ["given.txt", "made.txt"]

    def eval_difference(run):
        assert run.artifacts["difference"] == [0, "Refund order 17"]
"""


@WORKERS
def test_they_look_once_at_what_the_run_left(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write_suite(pytester, COLLECTING, shop=SHOP + WORKING)
    pytester.runpytest_subprocess(*workers).assert_outcomes(passed=2)
    assert executions(pytester) == ["collected"]
    artifacts = {"files": ["given.txt", "made.txt"], "difference": [0, "Refund order 17"]}
    assert load_trace(pytester.path / ".looplet/runs/refund-17-replay").artifacts == artifacts
    pytester.runpytest_subprocess("--looplet-traces=.looplet/runs", *workers).assert_outcomes(passed=2)
    assert executions(pytester) == []


def test_one_that_fails_is_an_error_of_the_run_that_names_it(pytester: pytest.Pytester) -> None:
    failing = COLLECTING.replace('note("collected")', 'raise KeyError("no such order")')
    write_suite(pytester, failing, shop=SHOP + WORKING)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=2)
    text = result.stdout.str()
    assert "CollectorError: collector 'files' failed: KeyError: 'no such order'" in text
    assert 'raise KeyError("no such order")' in text, "where it failed"
    assert "looplet/evals/collect.py" not in text, "none of our own frames"


def test_two_of_one_name_are_refused(pytester: pytest.Pytester) -> None:
    write_suite(pytester, COLLECTING.replace('name="difference"', 'name="files"'), shop=SHOP + WORKING)
    result = pytester.runpytest_subprocess()
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "two collectors are called 'files'; give one another name" in result.stderr.str()


def test_one_that_wants_a_work_directory_says_what_the_agent_lacks(pytester: pytest.Pytester) -> None:
    evals = COLLECTING.replace("agent=working", "agent=agent").replace('"files": {"given.txt": "x"},', "")
    write_suite(pytester, evals, shop=SHOP + WORKING)
    result = pytester.runpytest_subprocess()
    result.assert_outcomes(errors=2)
    assert (
        "collector 'files' asks for 'workdir', and this run has none; give the agent a parameter" in result.stdout.str()
    )


def test_what_they_find_is_redacted_and_no_part_of_a_recording(pytester: pytest.Pytester) -> None:
    secret = "sk-" + "abcdefghij0123456789" * 2
    conftest = """
    import pytest
    from looplet import MockLLMBackend
    from shop import script

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_make_backend(name, config):
        return MockLLMBackend(script(17)) if name == "live" else None
    """
    evals = COLLECTING.replace('note("collected")', f'(workdir / "{secret}").touch()').replace(
        '"files"] ==', '"files"] !='
    )
    write_suite(pytester, evals, shop=SHOP + WORKING, conftest=conftest)
    result = pytester.runpytest_subprocess("--looplet-backend=live", "--looplet-record")
    result.assert_outcomes(passed=2)
    kept = json.loads((pytester.path / ".looplet/runs/refund-17-live/artifacts.json").read_text())
    assert "[redacted]" in kept["files"]
    recording = pytester.path / "evals/__recordings__/eval_shop/working/refund-17"
    assert sorted(path.name for path in recording.iterdir()) == ["journal.jsonl", "trace.txt"]


def test_what_they_find_stays_with_the_run_when_the_agent_writes_a_trace_of_its_own(
    pytester: pytest.Pytester,
) -> None:
    working = WORKING.replace("done])", "done], hooks=[ProvenanceSink(workdir.parent / 'own')])")
    write_suite(pytester, COLLECTING, shop=f"{SHOP}\n    from looplet import ProvenanceSink\n{working}")
    pytester.runpytest_subprocess().assert_outcomes(passed=2)
    pytester.runpytest_subprocess("--looplet-traces=.looplet/runs").assert_outcomes(passed=2)
