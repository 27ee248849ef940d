"""Stored runs: scoring them again gives what the session gave that ran them."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, executions, summary_of, write_suite

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])
TRACES = "--looplet-traces=.looplet/runs"
ALONE = "--looplet-traces scores stored runs and runs nothing; leave out"

AGENTS = """
    from looplet import RunResult, async_composable_loop

    def two_loops(task, llm):
        for _ in composable_loop(llm=llm, task=f"{task} first", tools=[lookup, done]):
            pass
        return composable_loop(llm=llm, task=f"{task} then", tools=[lookup, done])

    def own_result(task, llm):
        run = composable_loop(llm=llm, task=task, tools=[lookup, done])
        for _ in run:
            pass
        return run.result.replace(output={"mine": 1})

    def messages(task, llm):
        note(task)
        call = {"id": "1", "function": {"name": "lookup", "arguments": '{"order": 17}'}}
        return [
            {"role": "user", "content": task},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "1", "content": "found"},
            {"role": "assistant", "content": "It is 25."},
        ]

    def result_only(task, llm):
        return RunResult("done", task=task, output=3, artifacts={"own": [1]})

    async def asynchronous(task, llm):
        return async_composable_loop(llm=llm, task=task, tools=[lookup, done])

    def crashing(task, llm):
        for _ in composable_loop(llm=llm, task=task, tools=[lookup, done]):
            pass
        raise ValueError("after the run")

    def crashing_at_once(task, llm):
        raise ValueError("before any run")

    def working(task, llm, workdir):
        print("seen on stdout")
        (workdir / "made.txt").write_text("made")
        return composable_loop(llm=llm, task=f"{task} in {workdir}", tools=[lookup, done])

    ALL = [two_loops, own_result, messages, result_only, asynchronous, crashing, crashing_at_once, working]
"""

# the repr of the whole run is in the report, so that nothing of it may differ
SCORING = """
    import re
    import pytest
    from looplet.evals import EvalResult, collector
    from shop import ALL, script

    CASES = [{"id": "refund-17", "task": "Refund order 17", "script": script(17) * 2}]

    @collector
    def ending(run, task):
        return {"task": task, "stopped": run.stop_reason}
"""
EVAL = """
    @pytest.mark.looplet(agent=ALL[{number}], cases=CASES, trials={trials})
    def eval_{name}(run):
        text = re.sub(r"duration[_a-z]*=[\\d.e-]+", "", repr(run))
        return EvalResult(score=len(run.steps) / 10, reason=text)
"""
NAMES = ["two", "own", "messages", "result", "asynchronous", "crashing", "at_once", "working"]
MANY = SCORING + "".join(
    EVAL.format(number=number, name=name, trials=2 if name in ("two", "crashing") else 1)
    for number, name in enumerate(NAMES)
)
# failures show what was captured, and the values in play
FAILING = """
    @pytest.mark.looplet(agent=ALL[-1], cases=CASES)
    def eval_failing(run):
        print("seen in the eval")
        assert run.output == {"amount": 26}

    @pytest.mark.looplet(agent=ALL[-1], cases=CASES)
    def eval_low(run):
        return 0.0
"""


def _without_times(text: str) -> str:
    return re.sub(r'(time|timestamp|hostname)="[^"]*"|in [\d.]+s|(st|ran)\.(xml|json)|-{3,}|={3,}', "", text)


def _testcases(junit: str) -> list[str]:
    """In one order: with workers they stand in that of their arrival."""
    text = _without_times(junit).replace("</testsuite></testsuites>", "")
    return sorted(text.split("<testcase "))


def _outcome(pytester: pytest.Pytester, name: str, *options: str) -> dict[str, Any]:
    """Everything by which a session can be judged."""
    result = pytester.runpytest_subprocess(f"--junitxml={name}.xml", f"--looplet-report={name}.json", *options)
    return {
        "exit status": result.ret,
        "outcomes": {key: value for key, value in result.parseoutcomes().items() if key != "seconds"},
        "summary": [line for line in summary_of(result) if not line.startswith("report: ")],
        "json": json.loads((pytester.path / f"{name}.json").read_text()),
        "junit": _testcases((pytester.path / f"{name}.xml").read_text()),
    }


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    prices = "looplet_prices =\n    mock 1 2\njunit_logging = all\n"
    write_suite(pytester, MANY + FAILING, shop=SHOP + AGENTS, ini=prices)
    return pytester


@WORKERS
def test_scoring_stored_runs_gives_what_the_session_gave_that_ran_them(
    suite: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    ran = _outcome(suite, "ran", *workers)
    executed = executions(suite)
    assert ran["exit status"] == 1
    assert ran["json"]["totals"]["error"] == 3, "two trials and one case of agents that crash"
    assert ran["json"]["totals"]["pass"] >= 6
    scored = _outcome(suite, "st", TRACES, *workers)
    assert executed
    assert executions(suite) == [], "nothing is run"
    for what, value in ran.items():
        assert scored[what] == value, what


@WORKERS
def test_backends_and_trials_are_those_of_the_session_that_ran(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    write_suite(pytester, conftest=LIVE)
    ran = _outcome(pytester, "ran", "--looplet-backend=live,mock", "--looplet-trials=2", *workers)
    executions(pytester)
    assert ran["outcomes"] == {"passed": 24}
    scored = _outcome(pytester, "st", TRACES, *workers)
    assert scored == ran
    assert executions(pytester) == [], "no model is asked"


def test_a_stale_recording_stays_stale(pytester: pytest.Pytester) -> None:
    write_suite(pytester, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=6)
    write_suite(pytester, EVALS.replace('"Refund order {order}"', '"Please refund {order}"'))
    ran = _outcome(pytester, "ran")
    assert ran["exit status"] == 1
    assert _outcome(pytester, "st", TRACES) == ran


def test_runs_may_have_been_moved(pytester: pytest.Pytester) -> None:
    """An artifact of a CI job, say. Even without the session's file the labels of the traces tell whose they are."""
    write_suite(pytester)
    pytester.runpytest("--looplet-backend=mock").assert_outcomes(passed=6)
    (pytester.path / ".looplet/runs").rename(pytester.path / "kept")
    (pytester.path / "kept/session.json").unlink()
    pytester.runpytest("--looplet-traces=kept").assert_outcomes(passed=6)
    for outcome in (pytester.path / "kept").rglob("outcome.json"):
        outcome.unlink()
    pytester.runpytest("--looplet-traces=kept").assert_outcomes(passed=6)


def test_scoring_leaves_the_runs_as_they_are(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    pytester.runpytest().assert_outcomes(passed=6)
    before = _files(pytester.path / ".looplet")
    pytester.runpytest(TRACES, "-k", "refund-17").assert_outcomes(passed=2, deselected=4)
    assert _files(pytester.path / ".looplet") == before


def _files(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@WORKERS
def test_a_case_without_a_stored_run_is_an_error_that_says_so(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    write_suite(pytester)
    pytester.runpytest("-k", "refund-17").assert_outcomes(passed=2, deselected=4)
    result = pytester.runpytest_subprocess(TRACES, *workers)
    result.assert_outcomes(passed=2, errors=4)
    said = "no stored run of case 'refund-18' by agent (replay) in *.looplet/runs; run it without --looplet-traces"
    result.stdout.fnmatch_lines([f"*{said}*"])


def test_a_run_that_was_cut_short_is_an_error_that_says_so(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    pytester.runpytest("-k", "refund-17").assert_outcomes(passed=2, deselected=4)
    run = pytester.path / ".looplet/runs/refund-17-replay"
    (run / "outcome.json").unlink()
    lines = (run / "journal.jsonl").read_bytes().splitlines(keepends=True)
    (run / "journal.jsonl").write_bytes(b"".join(lines[:-1]))
    result = pytester.runpytest(TRACES, "-k", "refund-17")
    result.assert_outcomes(errors=2, deselected=4)
    result.stdout.fnmatch_lines(["*the run of case 'refund-17' in *refund-17-replay was cut short; run it again*"])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--looplet-traces=nowhere",), "--looplet-traces='nowhere': no such directory; an evals session leaves its"),
        (("--looplet-traces=evals",), "--looplet-traces: * holds no run of an eval"),
        ((TRACES, "--looplet-record"), f"{ALONE} --looplet-record"),
        ((TRACES, "--looplet-backend=ollama"), f"{ALONE} --looplet-backend"),
    ],
)
def test_what_does_not_go_with_stored_runs_is_refused(
    pytester: pytest.Pytester, options: tuple[str, ...], said: str
) -> None:
    write_suite(pytester)
    pytester.runpytest().assert_outcomes(passed=6)
    result = pytester.runpytest(*options)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"*{said}*"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{", "is damaged (JSONDecodeError"),
        ("[]", "is damaged (TypeError"),
        ('{"schema": 7}', "has schema 7; this looplet reads 1"),
    ],
)
def test_a_damaged_session_file_is_refused(pytester: pytest.Pytester, text: str, said: str) -> None:
    write_suite(pytester)
    pytester.runpytest().assert_outcomes(passed=6)
    (pytester.path / ".looplet/runs/session.json").write_text(text)
    result = pytester.runpytest(TRACES)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_what_is_kept_holds_no_secret_and_is_private(pytester: pytest.Pytester) -> None:
    secret = "sk-" + "abcdefghij0123456789" * 2
    shop = SHOP.replace("note(task)", f"note(task); print('{secret}'); raise ValueError('{secret}')")
    write_suite(pytester, shop=shop)
    pytester.runpytest("-k", "refund-17").assert_outcomes(errors=2, deselected=4)
    kept = pytester.path / ".looplet/runs/refund-17-replay/outcome.json"
    told = json.loads(kept.read_text())
    assert told["error"].startswith("ValueError: [redacted]")
    assert told["stdout"].startswith("agent on") or "[redacted]" in told["stdout"]
    assert secret not in kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600


def _without(name: str) -> Callable[[str], str]:
    return lambda text: json.dumps({key: value for key, value in json.loads(text).items() if key != name})


def _with(**values: Any) -> Callable[[str], str]:
    return lambda text: json.dumps(json.loads(text) | values)


@pytest.mark.parametrize(
    ("file", "damage", "said"),
    [
        ("outcome.json", lambda text: text[:40], "outcome.json is not JSON: "),
        ("outcome.json", lambda _: "[]", "outcome.json has schema None, and this looplet reads 1"),
        ("outcome.json", _with(schema=9), "outcome.json has schema 9, and this looplet reads 1"),
        ("outcome.json", _without("costs"), "outcome.json has no 'costs'"),
        ("outcome.json", _with(stdout=5), "outcome.json has a wrong value of 'stdout'"),
        ("outcome.json", _with(cost="1"), "outcome.json has a wrong value of 'cost'"),
        ("journal.jsonl", lambda text: text.replace("step_finished", "step_fin\x1bished"), "is damaged"),
        ("journal.jsonl", None, "a trace of it is gone"),
    ],
)
@WORKERS
def test_a_damaged_run_is_an_error_of_its_case_alone(
    pytester: pytest.Pytester, file: str, damage: Callable[[str], str] | None, said: str, workers: tuple[str, ...]
) -> None:
    write_suite(pytester)
    pytester.runpytest().assert_outcomes(passed=6)
    path = pytester.path / ".looplet/runs/refund-18-replay" / file
    if damage is None:
        path.unlink()
    else:
        path.write_text(damage(path.read_text()))
    result = pytester.runpytest_subprocess(TRACES, *workers)
    result.assert_outcomes(passed=4, errors=2)
    lines = [
        line for line in result.outlines if line.startswith("stored run .looplet/runs/refund-18-replay is damaged")
    ]
    assert len(lines) == 2
    assert said in lines[0]
    assert lines[0].endswith("; run it again")
