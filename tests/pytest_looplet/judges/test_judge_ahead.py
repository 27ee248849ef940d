"""Judges asked ahead: which evals, how many at once, and that nobody notices but by the time it takes."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.judge_files import GRADER, JUDGED
from tests.support.plugin_files import executions, write_suite
from tests.support.runs import ON_A_TERMINAL

LIVE = ("--looplet-backend=live", "--looplet-judge=grader")
AHEAD = "judge call"

# The eval notes that it is called: twice, when its judge was asked ahead.
NOTING = JUDGED.replace("script\n", "script, note\n", 1).replace("return judge", 'note("eval")\n        return judge')

# Two judges answer only when both were asked.
MEETING = (
    GRADER.replace("from pathlib import Path", "import threading\n    from pathlib import Path", 1).replace(
        'note("judge call")', 'note("judge call")\n            MEETING.wait(20)', 1
    )
    + "\n    MEETING = threading.Barrier(2)\n"
)


def calls_of_the_eval(pytester: pytest.Pytester, evals: str, *arguments: str, ini: str = "") -> int:
    write_suite(pytester, evals, conftest=GRADER, ini=ini)
    pytester.runpytest(*LIVE, "-k", "refund-17", *arguments)
    return executions(pytester).count("eval")


def test_an_eval_of_run_case_and_judge_is_called_ahead(pytester: pytest.Pytester) -> None:
    assert calls_of_the_eval(pytester, NOTING) == 2


def test_judges_are_asked_at_once(pytester: pytest.Pytester) -> None:
    write_suite(pytester, JUDGED, conftest=MEETING)
    result = pytester.runpytest(*LIVE, "--looplet-concurrency=2")
    result.assert_outcomes(passed=2)
    assert executions(pytester).count(AHEAD) == 2


def test_a_terminal_shows_how_many_are_judged_and_what_was_paid(pytester: pytest.Pytester) -> None:
    write_suite(pytester, JUDGED, conftest=GRADER + ON_A_TERMINAL, ini="looplet_prices =\n    grader-1 1000 1000\n")
    result = pytester.runpytest_subprocess(*LIVE)
    result.assert_outcomes(passed=2)
    drawn = [line.strip() for line in result.outlines if " evals judged" in line]
    assert drawn[-1] == "looplet: 2/2 evals judged, $0.22"
    assert "judged" not in pytester.runpytest_subprocess(*LIVE, "-q").stdout.str()


def test_an_async_eval_is_called_ahead(pytester: pytest.Pytester) -> None:
    assert calls_of_the_eval(pytester, NOTING.replace("def eval_polite", "async def eval_polite")) == 2


@pytest.mark.parametrize(
    ("change", "to"),
    [
        ("(run, judge)", "(run, judge, tmp_path)"),
        ("(run, judge)", "(run, judge, request)"),
        ("(run, judge)", "(run, judge, llm)"),
        ("(run, judge)", "(run, judge, workdir=None)"),
        ("def eval_polite", "@pytest.mark.usefixtures('monkeypatch')\n    def eval_polite"),
        ("def eval_polite", "@pytest.fixture\n    def case(case): return case\n    def eval_polite"),
        ("def eval_polite", "@pytest.fixture(autouse=True)\n    def mine(): pass\n    def eval_polite"),
        ("def eval_polite", "def setup_module(): pass\n    def eval_polite"),
        ("    def eval_polite(", "    class EvalShop:\n     def eval_polite(self, "),
    ],
    ids=["tmp_path", "request", "llm", "default", "usefixtures", "overridden", "autouse", "setup_module", "class"],
)
def test_an_eval_that_more_reaches_is_called_once(pytester: pytest.Pytester, change: str, to: str) -> None:
    evals = NOTING.replace(change, to)
    if "case(case)" in to:
        evals = evals.replace("(run, judge)", "(run, judge, case)")
    if "class" in to:
        evals = evals.replace('        note("eval")\n        return', '         note("eval")\n         return')
    assert calls_of_the_eval(pytester, evals) == 1


def test_it_can_be_switched_off(pytester: pytest.Pytester) -> None:
    assert calls_of_the_eval(pytester, NOTING, ini="looplet_judge_ahead = false\n") == 1


def test_workers_ask_no_judge_ahead(pytester: pytest.Pytester) -> None:
    assert calls_of_the_eval(pytester, NOTING, "-n", "1") == 1
    pytester.runpytest("--looplet-traces=.looplet/runs", "--looplet-judge=grader2", "-k", "refund-17", "-n", "1")
    assert executions(pytester).count("eval") == 1


def test_recorded_verdicts_need_no_help(pytester: pytest.Pytester) -> None:
    assert calls_of_the_eval(pytester, NOTING, "--looplet-record") == 2
    pytester.runpytest("-k", "refund-17").assert_outcomes(passed=1, deselected=1)
    assert executions(pytester).count("eval") == 1


def test_a_skipped_eval_and_one_without_a_run_are_not_called_ahead(pytester: pytest.Pytester) -> None:
    skipped = NOTING.replace("def eval_polite", "@pytest.mark.skip\n    def eval_polite")
    assert calls_of_the_eval(pytester, skipped) == 0
    broken = NOTING.replace("agent=agent", "agent=lambda task: 1 / 0")
    assert calls_of_the_eval(pytester, broken) == 0


@pytest.mark.parametrize(
    "ending", ["raise ValueError('x')", "pytest.skip('x')", "pytest.exit('x')", "raise SystemExit"]
)
def test_what_goes_wrong_ahead_is_told_once_where_the_eval_is_called(pytester: pytest.Pytester, ending: str) -> None:
    evals = NOTING.replace("return judge", f"print('in the eval')\n        {ending}\n        return judge")
    write_suite(pytester, evals, conftest=GRADER)
    result = pytester.runpytest(*LIVE, "-k", "refund-17", "-rs")
    assert result.stdout.str().count("in the eval") <= 2  # captured, and the source line of a traceback
    assert "INTERNALERROR" not in result.stdout.str()
    assert executions(pytester).count("eval") == 2


def test_a_judge_that_gives_no_verdict_is_asked_ahead_only(pytester: pytest.Pytester) -> None:
    texts = []
    for ahead in ("true", "false"):
        write_suite(pytester, JUDGED, conftest=GRADER.replace("lines.pop(0) if lines else GOOD", "'Hm.'"))
        result = pytester.runpytest(
            *LIVE, "-k", "refund-17", "-o", f"looplet_judge_ahead={ahead}", "--looplet-report=out.json"
        )
        result.assert_outcomes(errors=1, deselected=1)
        assert "gave no verdict, also when asked again" in result.stdout.str()
        assert executions(pytester).count(AHEAD) == 2
        texts.append(Path(pytester.path, "out.json").read_text())
    assert texts[0] == texts[1]


@pytest.mark.parametrize("what", ["run.output", "case.expected"])
def test_what_the_eval_changes_ahead_is_unchanged_when_it_is_called(pytester: pytest.Pytester, what: str) -> None:
    change = f"assert {what}.pop('amount', None), 'changed before'\n        return judge"
    evals = NOTING.replace("return judge", change).replace("(run, judge)", "(run, case, judge)")
    evals = evals.replace('"script": script(order)', '"script": script(order), "expected": {"amount": 1}')
    write_suite(pytester, evals, conftest=GRADER)
    pytester.runpytest(*LIVE, "-k", "refund-17").assert_outcomes(passed=1, deselected=1)
    assert executions(pytester).count("eval") == 2


def test_what_it_prints_is_shown_once(pytester: pytest.Pytester) -> None:
    evals = NOTING.replace("return judge", "print('in the eval')\n        return judge")
    write_suite(pytester, evals, conftest=GRADER)
    assert pytester.runpytest(*LIVE, "-k", "refund-17", "-s").stdout.str().count("in the eval") == 1


def test_the_summary_is_the_same_with_and_without(pytester: pytest.Pytester) -> None:
    write_suite(pytester, JUDGED, conftest=GRADER)
    texts = []
    for ahead in ("true", "false"):
        pytester.runpytest(*LIVE, "-o", f"looplet_judge_ahead={ahead}", "--looplet-report=out.json")
        texts.append(Path(pytester.path, "out.json").read_text())
    assert texts[0] == texts[1]
