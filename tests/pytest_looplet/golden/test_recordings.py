"""Recording runs and replaying them: without a network, and loudly when the agent changed."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, executions, summary_of, write_suite

if TYPE_CHECKING:
    from pathlib import Path

EVALS_WITHOUT_SCRIPT = EVALS.replace(', "script": script(order)', "")
WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])


def _session(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """In this process, but with workers in one of its own: a session with workers leaves threads behind."""
    run = pytester.runpytest_subprocess if "-n" in arguments else pytester.runpytest
    return run(*arguments)


def _recorded(pytester: pytest.Pytester, *arguments: str) -> Path:
    write_suite(pytester, EVALS_WITHOUT_SCRIPT, conftest=LIVE)
    result = _session(pytester, "--looplet-backend=live", "--looplet-record", *arguments)
    result.assert_outcomes(passed=6)
    assert executions(pytester).count("live call") == 6
    return pytester.path / "evals/__recordings__/eval_shop/agent"


@WORKERS
def test_recordings_are_played_without_the_model(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    folder = _recorded(pytester, *workers)
    assert sorted(path.name for path in folder.iterdir()) == ["refund-17", "refund-18", "refund-19"]
    result = _session(pytester, *workers)
    result.assert_outcomes(passed=6)
    assert "live call" not in executions(pytester)
    assert "3 runs (replay live-model-1); tokens " in "\n".join(summary_of(result))


def test_a_recording_is_committed_with_normal_modes_and_without_gitignore(pytester: pytest.Pytester) -> None:
    trace = _recorded(pytester) / "refund-17"
    assert sorted(path.name for path in trace.iterdir()) == ["journal.jsonl", "trace.txt"]
    assert all(path.stat().st_mode & 0o444 == 0o444 for path in (trace, *trace.iterdir()))


def test_a_missing_recording_is_one_line_with_the_command(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS_WITHOUT_SCRIPT)
    result = pytester.runpytest("-k", "eval_amount and refund-17")
    result.assert_outcomes(errors=1, deselected=5)
    said = (
        "no recording of case 'refund-17'; record it: "
        "pytest evals/eval_shop.py -k '[refund-17]' --looplet-backend=ollama --looplet-record"
    )
    assert said in result.stdout.str()
    assert executions(pytester) == []


@pytest.mark.parametrize("case", ["or", "and", "not", "on", "one-more", "t2", "true"])
def test_the_command_records_that_case_and_no_other(pytester: pytest.Pytester, case: str) -> None:
    """As a shell reads it, whatever case and folder are called, and whatever else stands in an id."""
    evals = """
    import pytest
    from shop import agent

    NAMES = ["or", "and", "not", "on", "one-more", "t2", "true"]
    CASES = [{"id": case, "task": f"Refund order {number}"} for number, case in enumerate(NAMES)]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    @pytest.mark.parametrize("detail", ["or", "of it"])
    def eval_on(run, detail):
        assert run.output
    """
    write_suite(pytester, "def eval_nothing(): return True", conftest=LIVE)
    file = pytester.path / "my 'new' evals" / "evals" / "eval_of_one.py"
    file.parent.mkdir(parents=True)
    file.write_text(textwrap.dedent(evals), encoding="utf-8")
    shown = pytester.runpytest_subprocess(file, "--looplet-trials=2", "-q").stdout.str()
    commands = set(re.findall(r"record it: (.*)$", shown, re.MULTILINE))
    (command,) = {found for found in commands if f"[{case}]" in found}
    command = command.replace("pytest ", f"{shlex.quote(sys.executable)} -m pytest ", 1).replace("=ollama", "=live")
    done = subprocess.run(command, shell=True, cwd=pytester.path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    recorded = file.parent / "__recordings__/eval_of_one/agent"
    assert sorted(path.name for path in recorded.iterdir()) == [case, f"{case}-t2"]


def test_mock_without_a_script_is_a_usage_error_naming_the_case(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS_WITHOUT_SCRIPT)
    result = pytester.runpytest("--looplet-backend=mock")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--looplet-backend=mock: case 'refund-17' of eval_shop.py has no script" in result.stderr.str()
    result = pytester.runpytest_subprocess("--looplet-backend=mock", "-n", "2")
    result.assert_outcomes(errors=6)
    assert "case 'refund-17' of eval_shop.py has no script" in result.stdout.str()


@WORKERS
def test_a_changed_agent_is_scored_named_and_fails_the_session(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    _recorded(pytester)
    pytester.makepyfile(shop=SHOP.replace('"Find an order."', '"Look an order up."'))
    result = _session(pytester, *workers)
    result.assert_outcomes(passed=6, failed=3)
    assert result.ret == 1
    shares = [int(share) for share in re.findall(r"\[ *(\d+)%\]", result.stdout.str())]
    assert shares
    assert max(shares) == 100
    stale = [line for line in summary_of(result) if line.startswith("stale: ")]
    assert len(stale) == 3
    assert stale[0].startswith("stale: evals/eval_shop.py::recording[agent/refund-17]: request 1: tools[0].description")
    result = _session(pytester, "-o", "looplet_stale=warn", *workers)
    result.assert_outcomes(passed=6)
    assert [line for line in summary_of(result) if line.startswith("stale: ")] == stale


def test_replies_nobody_asked_for_make_a_run_stale(pytester: pytest.Pytester) -> None:
    _recorded(pytester)
    shop = SHOP.replace("tools=[lookup, done])", "tools=[lookup, done], max_steps=1)")
    write_suite(pytester, EVALS_WITHOUT_SCRIPT.replace("assert run", "assert True or run"), shop=shop, conftest=LIVE)
    result = pytester.runpytest("-k", "refund-17")
    result.assert_outcomes(passed=2, deselected=4, failed=1)
    assert "1 recorded reply was not asked for" in "\n".join(summary_of(result))


def test_recordings_no_case_uses_are_named_by_a_full_session(pytester: pytest.Pytester) -> None:
    _recorded(pytester)
    write_suite(pytester, EVALS_WITHOUT_SCRIPT.replace("(17, 18, 19)", "(17, 18)"), conftest=LIVE)
    line = "unused recording: evals/__recordings__/eval_shop/agent/refund-19"
    for workers in ((), ("-n", "2")):
        result = _session(pytester, *workers)
        result.assert_outcomes(passed=4)
        assert line in summary_of(result)
    result = pytester.runpytest("evals/eval_shop.py::eval_amount")
    assert line not in summary_of(result), "a part of a file says nothing about the rest"


def test_recording_replaces_only_the_selected_cases_and_those_whole(pytester: pytest.Pytester) -> None:
    folder = _recorded(pytester)
    (folder / "refund-17/extra.txt").write_text("old")
    (folder / "refund-18/extra.txt").write_text("old")
    result = pytester.runpytest("--looplet-backend=live", "--looplet-record", "-k", "refund-17")
    result.assert_outcomes(passed=2, deselected=4)
    assert not (folder / "refund-17/extra.txt").exists()
    assert (folder / "refund-18/extra.txt").exists()
    assert len(list(folder.iterdir())) == 3, "nothing temporary is left"


@pytest.mark.parametrize("error", ["RuntimeError", "__import__('looplet.errors').errors.AuthError"])
def test_a_run_that_failed_does_not_replace_its_recording(pytester: pytest.Pytester, error: str) -> None:
    folder = _recorded(pytester)
    before = (folder / "refund-17/journal.jsonl").read_bytes()
    chat = "def chat(self, prompt):"
    broken = LIVE.replace(chat, f"{chat}\n            raise {error}('broken')")
    pytester.makeconftest(broken)
    result = pytester.runpytest("--looplet-backend=live", "--looplet-record", "-k", "refund-17")
    result.assert_outcomes(errors=2, deselected=4)
    assert (folder / "refund-17/journal.jsonl").read_bytes() == before


def test_an_agent_of_several_loops_is_recorded_loop_by_loop(pytester: pytest.Pytester) -> None:
    shop = (
        SHOP
        + """
    def twice(task, llm):
        list(agent(task, llm))
        return agent(task, llm)
    """
    )
    evals = EVALS_WITHOUT_SCRIPT.replace("from shop import agent", "from shop import twice as agent")
    write_suite(pytester, evals, shop=shop, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record", "-k", "refund-17").assert_outcomes(
        passed=2, deselected=4
    )
    folder = pytester.path / "evals/__recordings__/eval_shop/twice/refund-17"
    assert sorted(path.name for path in folder.iterdir()) == ["run_1", "run_2"]
    executions(pytester)
    pytester.runpytest("-k", "refund-17").assert_outcomes(passed=2, deselected=4)
    assert "live call" not in executions(pytester)


def test_recordings_are_redacted_and_still_replay(pytester: pytest.Pytester) -> None:
    secret = "sk-" + "abcdefghij0123456789" * 2
    evals = EVALS_WITHOUT_SCRIPT.replace("Refund order {order}", f"Key {secret} Refund order {{order}}")
    write_suite(pytester, evals, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=6)
    for path in (pytester.path / "evals/__recordings__").rglob("*.*"):
        assert secret not in path.read_text()
    pytester.runpytest().assert_outcomes(passed=6)
