"""The fixture `judge`: who is asked, what is paid, recorded and played; and calls of evals to `llm`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.judge_files import GRADER, JUDGED
from tests.support.plugin_files import executions, write_suite

from looplet import MockLLMBackend
from looplet.evals.judge import Judge
from pytest_looplet.backends import Backend
from pytest_looplet.judges.judging import LiveJudge

LIVE = ("--looplet-backend=live", "--looplet-judge=grader")
SECRET = "sk-" + "a1" * 20
WITH_A_PATH = f"""
    import pytest
    from looplet import composable_loop
    from shop import done, lookup

    def agent(task, llm, workdir):
        return composable_loop(llm=llm, task=task, tools=[lookup, done])

    pytestmark = pytest.mark.looplet(agent=agent, cases=[{{"id": "a", "task": "Refund order 17"}}])

    def eval_path(run, judge, workdir):
        return judge.score("Good?", f"{{workdir}}/a {SECRET}")
"""
CALLS = Path("evals/__recordings__/eval_shop/evals")


@pytest.fixture
def suite(pytester: pytest.Pytester) -> pytest.Pytester:
    write_suite(pytester, JUDGED, conftest=GRADER)
    return pytester


def judge_calls(pytester: pytest.Pytester) -> int:
    return executions(pytester).count("judge call")


def replies(pytester: pytest.Pytester, *lines: str) -> None:
    Path(pytester.path, "replies.txt").write_text("\n".join(lines))


def entries(pytester: pytest.Pytester) -> dict[str, Any]:
    report = json.loads(Path(pytester.path, "out.json").read_text())
    return {item["id"].partition("[")[2].rstrip("]"): item for item in report["items"]}


# --- live


def test_a_live_judge_is_asked_once_for_each_run_and_a_second_session_pays_nothing(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE).assert_outcomes(passed=2)
    assert judge_calls(suite) == 2
    suite.runpytest(*LIVE).assert_outcomes(passed=2)
    assert executions(suite).count("judge call") == 0


def test_what_a_judges_backend_learns_of_its_server_changes_no_request(suite: pytest.Pytester) -> None:
    """Some servers turn out to refuse a schema; questions asked before and after must stay the same questions."""
    learning = GRADER.replace("import MockLLMBackend", "import Capabilities, MockLLMBackend").replace(
        "        no_sleep = True\n",
        """        no_sleep = True
        asked = 0

        @property
        def capabilities(self):
            return Capabilities(native_tools=False, reply_schema=not self.asked)
""",
    )
    write_suite(
        suite,
        JUDGED,
        conftest=learning.replace('note("judge call")', 'note("judge call")\n            self.asked += 1'),
    )
    suite.runpytest(*LIVE, "--looplet-record").assert_outcomes(passed=2)
    assert judge_calls(suite) == 2
    suite.runpytest(*LIVE).assert_outcomes(passed=2)
    assert judge_calls(suite) == 0
    suite.runpytest().assert_outcomes(passed=2)


def test_what_is_paid_by_a_second_judge_is_its_own(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE)
    executions(suite)
    suite.runpytest("--looplet-backend=live", "--looplet-judge=grader2").assert_outcomes(passed=2)
    assert judge_calls(suite) == 2


def test_without_a_judge_of_their_own_the_runs_model_judges(suite: pytest.Pytester) -> None:
    write_suite(
        suite, JUDGED.replace("agent=agent", "agent=None").replace("run, judge", "judge").replace("run)", "'x')")
    )
    executions(suite)
    suite.runpytest("--looplet-backend=grader").assert_outcomes(passed=2)
    assert judge_calls(suite) == 1, "both ask the same"
    suite.runpytest("--looplet-backend=grader,grader2").assert_outcomes(passed=4)
    assert judge_calls(suite) == 0, "models side by side have one judge, the first: it has answered before"


def test_workers_share_verdicts_with_the_sessions_after_them(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE, "-n", "2").assert_outcomes(passed=2)
    assert judge_calls(suite) == 2
    suite.runpytest(*LIVE).assert_outcomes(passed=2)
    assert judge_calls(suite) == 0


def test_a_judge_that_cannot_be_connected_is_one_line_before_any_run(suite: pytest.Pytester) -> None:
    result = suite.runpytest(
        "--looplet-backend=live", "--looplet-judge=ollama", "--looplet-base-url=http://127.0.0.1:9"
    )
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines(["ERROR: --looplet-judge=ollama: *"])
    assert executions(suite) == []


def test_the_same_holds_for_the_controller_of_workers(suite: pytest.Pytester) -> None:
    result = suite.runpytest("--looplet-backend=live", "--looplet-judge=ollama", "-n", "1")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert executions(suite) == []


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ("mock", "name one live model, or 'replay' for recorded verdicts"),
        ("grader,grader2", "name one live model"),
        ("grader:", "is not NAME:MODEL"),
    ],
)
def test_a_judge_that_is_none_is_refused(suite: pytest.Pytester, value: str, said: str) -> None:
    result = suite.runpytest(f"--looplet-judge={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


# --- what a judge may answer


@pytest.mark.parametrize("ahead", ["true", "false"])
def test_prose_is_an_error_and_no_score(suite: pytest.Pytester, ahead: str) -> None:
    replies(suite, *["I like it."] * 8)
    result = suite.runpytest(
        *LIVE, "-k", "refund-17", "-o", f"looplet_judge_ahead={ahead}", "--looplet-report=out.json"
    )
    result.assert_outcomes(errors=1, deselected=1)
    entry = entries(suite)["refund-17"]
    assert (entry["outcome"], entry["score"]) == ("error", None)
    result.stdout.fnmatch_lines(
        ["*JudgeError: judge 'grader-1' gave no verdict, also when asked again: *'I like it.'*"]
    )


def test_an_error_is_not_remembered(suite: pytest.Pytester) -> None:
    replies(suite, *["I like it."] * 8)
    suite.runpytest(*LIVE, "-k", "refund-17")
    replies(suite)
    suite.runpytest(*LIVE, "-k", "refund-17").assert_outcomes(passed=1, deselected=1)


def test_a_rate_limit_is_tried_again(suite: pytest.Pytester) -> None:
    replies(suite, "rate limit", "rate limit")
    suite.runpytest(*LIVE, "-k", "refund-17").assert_outcomes(passed=1, deselected=1)
    assert judge_calls(suite) == 3


# --- recordings


def test_verdicts_are_recorded_beside_the_eval_and_played_offline(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE, "--looplet-record").assert_outcomes(passed=2)
    found = sorted(
        path.relative_to(suite.path / CALLS).as_posix() for path in (suite.path / CALLS).rglob("journal.jsonl")
    )
    assert found == [f"eval_polite/refund-{order}/judge/journal.jsonl" for order in (17, 18)]
    executions(suite)
    result = suite.runpytest("--looplet-report=out.json", "-v")
    result.assert_outcomes(passed=2)
    assert executions(suite) == ["Refund order 17", "Refund order 18"]
    assert entries(suite)["refund-17"]["score"] == 0.8
    assert "unused recording" not in result.stdout.str()


def test_an_eval_that_finds_its_verdicts_in_the_cache_is_recorded_as_well(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE)
    suite.runpytest(*LIVE, "--looplet-record")
    executions(suite)
    suite.runpytest().assert_outcomes(passed=2)
    assert judge_calls(suite) == 0


def test_offline_a_missing_verdict_is_an_error_with_the_command_and_never_a_live_call(suite: pytest.Pytester) -> None:
    result = suite.runpytest("-o", "looplet_judge=grader", "-k", "refund-17")
    result.assert_outcomes(errors=1, deselected=1)
    assert judge_calls(suite) == 0
    command = "pytest evals/eval_shop.py -k '[[]refund-17]' --looplet-backend=ollama --looplet-record"  # [[] is [
    missing = "no recorded judge calls of eval_polite about case 'refund-17'"
    result.stdout.fnmatch_lines([f"*ReplayMismatch: {missing}; record them: {command}"])


def test_another_question_names_the_nearest_recording_and_the_first_difference(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE, "--looplet-record")
    write_suite(suite, JUDGED.replace("amount named", "price named"), conftest=GRADER)
    result = suite.runpytest("-k", "refund-17", "--looplet-report=out.json")
    result.assert_outcomes(errors=1, deselected=1)
    message = result.stdout.str()
    assert "judge: request 1 has no recorded reply. The nearest is request 1 of " in message
    assert "system differs at char" in message
    assert "record them: pytest evals/eval_shop.py -k '[refund-17]'" in message
    assert entries(suite)["refund-17"]["outcome"] == "error"


def test_offline_a_judge_named_for_this_session_is_asked(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    suite.runpytest("--looplet-judge=grader").assert_outcomes(passed=2)
    assert judge_calls(suite) == 2
    monkeypatch.setenv("LOOPLET_JUDGE", "grader2")
    suite.runpytest().assert_outcomes(passed=2)
    assert judge_calls(suite) == 2


def test_recorded_verdicts_can_be_asked_for_in_a_live_session(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE, "--looplet-record")
    executions(suite)
    suite.runpytest("--looplet-backend=live", "--looplet-judge=replay").assert_outcomes(passed=2)
    assert judge_calls(suite) == 0


def test_recorded_repeats_are_played_one_by_one(suite: pytest.Pytester) -> None:
    write_suite(suite, JUDGED.replace("run)\n", "run, repeat=3)\n"), conftest=GRADER)
    replies(suite, *(f'{{"score": {score}}}' for score in (2, 4, 9)))
    suite.runpytest(*LIVE, "--looplet-record", "-k", "refund-17")
    suite.runpytest("-k", "refund-17", "--looplet-report=out.json").assert_outcomes(passed=1, deselected=1)
    entry = entries(suite)["refund-17"]
    assert entry["score"] == pytest.approx(0.5)
    assert entry["metrics"]["judge_spread"] == pytest.approx(0.7)


def test_what_came_to_nothing_is_not_recorded(suite: pytest.Pytester) -> None:
    replies(suite, *["I like it."] * 20)
    suite.runpytest(*LIVE, "--looplet-record")
    assert not (suite.path / CALLS).exists()


def test_recordings_hold_no_secrets_and_no_paths(suite: pytest.Pytester) -> None:
    write_suite(suite, WITH_A_PATH, conftest=GRADER)
    suite.runpytest(*LIVE, "--looplet-record").assert_outcomes(passed=1)
    (journal,) = (suite.path / CALLS).rglob("journal.jsonl")
    text = journal.read_text()
    assert SECRET not in text
    assert str(suite.path) not in text
    assert "<workdir>/a [redacted]" in text
    suite.runpytest().assert_outcomes(passed=1)


def test_recorded_calls_of_evals_that_are_gone_are_named(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE, "--looplet-record")
    write_suite(suite, JUDGED.replace("eval_polite", "eval_kind"), conftest=GRADER)
    result = suite.runpytest("--looplet-judge=grader")
    result.stdout.fnmatch_lines(["unused recording: evals/__recordings__/eval_shop/evals/eval_polite/refund-17"])
    assert "unused recording: evals/__recordings__/eval_shop/agent" not in result.stdout.str()


def test_items_of_a_parametrized_eval_have_recordings_of_their_own(suite: pytest.Pytester) -> None:
    evals = JUDGED.replace(
        "def eval_polite(run, judge)",
        "@pytest.mark.parametrize('rubric', ['a', 'b'])\n    def eval_polite(run, judge, rubric)",
    )
    write_suite(suite, evals.replace('"Is the amount named?"', "rubric"), conftest=GRADER)
    suite.runpytest(*LIVE, "--looplet-record").assert_outcomes(passed=4)
    suite.runpytest().assert_outcomes(passed=4)


# --- stored runs, reports


def test_stored_runs_are_judged_as_they_were(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE, "--looplet-report=out.json")
    live = entries(suite)
    executions(suite)
    suite.runpytest("--looplet-traces=.looplet/runs", "--looplet-report=out.json").assert_outcomes(passed=2)
    assert executions(suite) == []
    assert entries(suite) == live


def test_the_report_is_the_same_from_workers_and_from_stored_runs(suite: pytest.Pytester) -> None:
    texts = []
    for arguments in (LIVE, (*LIVE, "-n", "2"), ("--looplet-traces=.looplet/runs",)):
        suite.runpytest(*arguments, "--looplet-report=out.json").assert_outcomes(passed=2)
        texts.append(Path(suite.path, "out.json").read_text())
    assert texts[0] == texts[1] == texts[2]


def test_stored_runs_can_be_given_to_another_judge(suite: pytest.Pytester) -> None:
    suite.runpytest(*LIVE)
    executions(suite)
    kept = {path: path.read_bytes() for path in (suite.path / ".looplet/runs").rglob("*.jsonl")}
    suite.runpytest("--looplet-traces=.looplet/runs", "--looplet-judge=grader2").assert_outcomes(passed=2)
    assert kept == {path: path.read_bytes() for path in kept}, "what is scored stays what it is"
    assert executions(suite) == ["judge call", "judge call"]


def test_the_entry_names_the_judge_and_what_it_took(suite: pytest.Pytester) -> None:
    conftest = (
        GRADER
        + """
    import json
    def pytest_runtest_logreport(report):
        if report.when == "call":
            print("entry", json.dumps(report.looplet_eval["judge"]))
    """
    )
    write_suite(suite, JUDGED, conftest=conftest, ini="looplet_prices = grader-1 1 10\n")
    for _ in range(2):  # the second time out of the cache
        result = suite.runpytest(*LIVE, "-s")
        usage = {"input_tokens": 100, "output_tokens": 10, "cached_tokens": 0, "cost": 0.0002}
        assert f"entry {json.dumps({'model': 'grader-1', 'usage': usage})}" in result.stdout.str()


@pytest.mark.parametrize("limit", ["0.05", "0.001"])
def test_a_judge_stops_at_the_cost_limit_and_says_how_much_it_is(suite: pytest.Pytester, limit: str) -> None:
    write_suite(suite, JUDGED, conftest=GRADER, ini="looplet_prices =\n    live* 0 0\n    grader-1 1000 1000\n")
    result = suite.runpytest(*LIVE, f"--looplet-max-cost={limit}")
    result.assert_outcomes(passed=1, errors=1)
    assert judge_calls(suite) == 1
    assert f"not asked: --looplet-max-cost {limit} was reached" in result.stdout.str()


def test_a_judge_without_a_known_price_is_refused_under_a_cost_limit(suite: pytest.Pytester) -> None:
    write_suite(suite, JUDGED, conftest=GRADER, ini="looplet_prices = live* 0 0\n")
    result = suite.runpytest(*LIVE, "--looplet-max-cost=0.05")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--looplet-max-cost needs to know what 'grader-1' costs" in result.stderr.str()
    assert executions(suite) == []


# --- outside evals, and in their place


def test_outside_evals_the_fixture_says_why_it_is_not_there(pytester: pytest.Pytester) -> None:
    pytester.makepyfile("def test_a(judge): pass\n")
    result = pytester.runpytest()
    result.assert_outcomes(errors=1)
    assert "the fixtures `run`, `case`, `judge` and `workdir` exist in evals only" in result.stdout.str()


def test_a_users_own_judge_wins_and_needs_no_model(suite: pytest.Pytester) -> None:
    own = (
        JUDGED
        + """
    @pytest.fixture
    def judge():
        from looplet import MockLLMBackend
        from looplet.evals import Judge
        return Judge(MockLLMBackend(['{"reason": "", "score": 3}']))
    """
    )
    write_suite(suite, own, conftest=GRADER)
    suite.runpytest("--looplet-backend=mock").assert_outcomes(passed=2)
    suite.runpytest(*LIVE).assert_outcomes(passed=2)
    assert judge_calls(suite) == 0


# --- llm


ASKING = """
    import pytest
    from looplet import Message, Prompt
    from shop import agent, script

    pytestmark = pytest.mark.looplet(agent=agent, cases=[{"id": "a", "task": "Refund order 17"}])

    def eval_asks(llm, case):
        reply = llm.chat(Prompt("", (Message("user", "What about order 17"),)))
        assert reply.calls[0].name == "lookup"
"""


def test_what_an_eval_asks_llm_is_recorded_and_played(suite: pytest.Pytester) -> None:
    write_suite(suite, ASKING, conftest=GRADER)
    result = suite.runpytest()
    result.assert_outcomes(errors=1)
    assert "no recorded llm calls of eval_asks about case 'a'; record them: pytest" in result.stdout.str()
    suite.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=1)
    assert executions(suite) == ["live call"]
    suite.runpytest().assert_outcomes(passed=1)
    assert executions(suite) == []


def test_a_run_an_eval_makes_with_llm_is_played_too(suite: pytest.Pytester) -> None:
    played = ASKING.replace(
        'reply.calls[0].name == "lookup"', '[step.tool_call.tool for step in reply] == ["lookup", "done"]'
    )
    evals = played.replace(
        'llm.chat(Prompt("", (Message("user", "What about order 17"),)))', 'agent("Refund order 17", llm)'
    )
    write_suite(suite, evals, conftest=GRADER)
    suite.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=1)
    executions(suite)
    suite.runpytest().assert_outcomes(passed=1)
    assert executions(suite) == ["Refund order 17"]


@pytest.mark.parametrize(("name", "asked"), [("openai", 2), ("local", 1)])
def test_verdicts_are_kept_by_server_but_for_one_of_our_own_whose_port_changes(
    pytester: pytest.Pytester, name: str, asked: int
) -> None:
    config = pytester.parseconfigure()
    llm = MockLLMBackend(['{"score": 9}'], cycle=True)
    for url in ("http://127.0.0.1:1/v1", "http://127.0.0.1:2/v1", "http://127.0.0.1:1/v1"):
        Judge(LiveJudge(Backend(name, "m", url, llm), config).model()).score("Good?", "x")
    assert len(llm.prompts) == asked
