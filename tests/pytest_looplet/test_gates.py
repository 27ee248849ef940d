"""Gates and baselines: verdicts on an eval as a whole, which the exit status, the counts and JUnit agree on."""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from tests.support.plugin_files import EVALS, LIVE, executions, summary_of, write_suite

from looplet.evals.report import SCHEMA

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])

# BROKEN names the cases that go wrong; refund-20 ... refund-31
SUITE = """
    import os
    import pytest
    from shop import agent, script

    BROKEN = int(os.environ.get("BROKEN", "0"))
    CASES = [
        {{"id": f"refund-{{order}}", "task": f"Refund order {{order}}", "expected": order, "script": script(order)}}
        for order in range(20, 32)
    ]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    {mark}
    def eval_checked(run, case):
        {body}
"""
ASSERTS = 'assert case.expected >= 20 + BROKEN, f"order {case.expected} is wrong"'


def write(pytester: pytest.Pytester, gate: float | None, body: str = ASSERTS, **files: str) -> None:
    mark = "" if gate is None else f"@pytest.mark.looplet(gate={gate})"
    write_suite(pytester, SUITE.format(mark=mark, body=body), **files)


def session(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess("--looplet-report=report.json", "--junit-xml=junit.xml", *arguments)


def row_of(pytester: pytest.Pytester) -> dict[str, Any]:
    row: dict[str, Any] = json.loads((pytester.path / "report.json").read_text())["evals"][0]
    return row


def junit(pytester: pytest.Pytester) -> ElementTree.Element:
    return ElementTree.parse(pytester.path / "junit.xml").getroot()[0]


@WORKERS
def test_failures_below_a_gate_that_is_met_pass(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BROKEN", "3")
    write(pytester, 0.75)
    result = session(pytester, *workers)
    result.assert_outcomes(passed=12)
    assert result.ret == 0
    row = row_of(pytester)
    assert (row["score"], row["pass"], row["fail"]) == (0.75, 9, 3)
    assert row["gate"] == {"bar": 0.75, "verdict": "pass"}
    assert junit(pytester).attrib["failures"] == "0"
    assert summary_of(result)[1].endswith("3 failed  0.75 met")


@WORKERS
def test_a_gate_that_is_not_met_is_one_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    monkeypatch.setenv("BROKEN", "4")
    write(pytester, 0.75)
    result = session(pytester, "-v", *workers)
    result.assert_outcomes(passed=12, failed=1)
    assert result.ret == 1
    result.stdout.fnmatch_lines(["evals/eval_shop.py::eval_checked?gate? FAILED *?100%?"])
    suite = junit(pytester)
    assert (suite.attrib["failures"], suite.attrib["tests"]) == ("1", "13")
    result.stdout.fnmatch_lines(["FAILED evals/eval_shop.py::eval_checked?gate?*"])
    output = result.stdout.str()
    assert "the mean 0.667 of 12 cases is below the gate 0.75" in output
    assert "eval_checked[refund-20]: order 20 is wrong" in output
    assert "looplet show .looplet/runs/refund-20-replay" in output


def test_what_failed_below_a_gate_can_be_read(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKEN", "1")
    write(pytester, 0.5)
    result = pytester.runpytest("-rP", "-v", "-k", "refund-20 or refund-21")
    result.assert_outcomes(passed=2, deselected=10)
    result.stdout.fnmatch_lines(
        [
            "*::eval_checked?refund-20? PASSED (counted by its gate as failed)*",
            "*::eval_checked?refund-21? PASSED 1 *",
            "*- Captured failure call -*",
            "E   *order 20 is wrong",
            "FAIL evals/eval_shop.py::eval_checked?refund-20?: *order 20 is wrong*",
        ]
    )


@pytest.mark.parametrize(
    ("body", "mean", "failed"),
    [
        ("return case.expected >= 23", 0.75, 3),
        ("return 'correct' if case.expected >= 23 else 'incorrect'", 0.75, 3),
        ("return 1.0 if case.expected >= 23 else 0.5", 0.875, 0),
        ("pytest.fail('no') if case.expected < 23 else None; return 0.5", 0.375, 3),
    ],
)
def test_every_kind_of_answer_is_counted(pytester: pytest.Pytester, body: str, mean: float, failed: int) -> None:
    write(pytester, 0.3, body)
    pytester.runpytest("--looplet-report=report.json").assert_outcomes(passed=12)
    row = row_of(pytester)
    assert (row["score"], row["fail"]) == (mean, failed)


def test_errors_stay_errors_under_a_gate(pytester: pytest.Pytester) -> None:
    write(pytester, 0.5, "return 1 / (case.expected - 20)")
    result = session(pytester)
    assert result.ret == 1
    row = row_of(pytester)
    assert (row["error"], row["n_cases"], row["gate"]["verdict"]) == (1, 11, "fail")
    assert "ERROR evals/eval_shop.py::eval_checked[refund-20]: ZeroDivisionError" in "\n".join(summary_of(result))


def test_a_label_that_says_neither_yes_nor_no_cannot_be_gated(pytester: pytest.Pytester) -> None:
    write(pytester, 0.5, "return 'polite'")
    result = pytester.runpytest("-k", "refund-20", "--looplet-report=report.json")
    result.assert_outcomes(errors=1, deselected=11)
    assert "During handling" not in result.stdout.str()
    assert row_of(pytester)["error"] == 1
    said = "eval_checked has a gate of 0.5 and returned no score; return {'score': ...}"
    assert said in result.stdout.str()


def test_skipped_and_expected_failures_are_not_counted(pytester: pytest.Pytester) -> None:
    body = (
        "pytest.skip('x') if case.expected < 22 else None; pytest.xfail('y') if case.expected < 24 else None; return 1"
    )
    write(pytester, 1, body)
    result = pytester.runpytest("--looplet-report=report.json")
    result.assert_outcomes(passed=8, skipped=2, xfailed=2)
    assert row_of(pytester)["n_cases"] == 8


def test_an_eval_that_is_expected_to_fail_still_may_under_a_gate(pytester: pytest.Pytester) -> None:
    write(pytester, 0.5, "return False")
    source = (pytester.path / "evals/eval_shop.py").read_text()
    (pytester.path / "evals/eval_shop.py").write_text(source.replace("def eval_", "@pytest.mark.xfail\ndef eval_"))
    pytester.runpytest().assert_outcomes(xfailed=12)


@pytest.mark.parametrize(("undecided", "failed"), [("fail", 1), ("warn", 0)])
def test_trials_that_do_not_decide_fail_unless_they_only_warn(
    pytester: pytest.Pytester, undecided: str, failed: int
) -> None:
    body = "return case.expected > 22"
    write(pytester, 0.6, body, ini=f"looplet_undecided = {undecided}\nlooplet_trials = 2\n")
    result = session(pytester)
    result.assert_outcomes(passed=24, failed=failed)
    assert result.ret == failed
    assert row_of(pytester)["gate"] == {"bar": 0.6, "verdict": "undecided"}
    said = "the mean 0.750 of 12 cases and 24 trials, with 95 % confidence "
    assert said in result.stdout.str()
    assert any(line.startswith("undecided: ") for line in summary_of(result)) == (undecided == "warn")


@pytest.mark.parametrize(
    ("gate", "cases", "trials", "said"),
    [
        (0.9, 12, 5, "the interval of 12 cases still begins at 0.735; 36 cases would do, more trials would not"),
        (0.9, 1, 5, "the interval of 1 case still begins at 0.478; trials=36 would do"),
        (
            1.0,
            12,
            2,
            "the interval of 12 cases still begins at 0.735; no number of trials proves that none ever fails. Lower",
        ),
    ],
)
def test_a_gate_that_can_never_be_met_is_said_at_collection(
    pytester: pytest.Pytester, gate: float, cases: int, trials: int, said: str
) -> None:
    write(pytester, gate)
    source = (pytester.path / "evals/eval_shop.py").read_text()
    (pytester.path / "evals/eval_shop.py").write_text(source.replace("32", str(20 + cases)))
    result = pytester.runpytest(f"--looplet-trials={trials}")
    assert result.ret == 2
    assert f"gate={gate:g} can never be met: if every trial passes, {said}" in result.stdout.str()
    assert executions(pytester) == []
    pytester.runpytest("--looplet-trials=1").assert_outcomes(passed=cases)
    warned = pytester.runpytest(f"--looplet-trials={trials}", "-o", "looplet_undecided=warn")
    assert warned.ret == 0, "then it may be undecided"


def test_each_backend_has_its_gate(pytester: pytest.Pytester) -> None:
    write(pytester, 0.9, "return case.expected > 22 or run.usage.cost is not None", conftest=LIVE)
    result = session(pytester, "--looplet-backend=mock,live")
    result.assert_outcomes(passed=24, failed=2)
    result.stdout.fnmatch_lines(["FAILED *::eval_checked?gate-live?*", "FAILED *::eval_checked?gate-mock?*"])


@WORKERS
def test_a_drop_against_the_baseline_is_one_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    write(pytester, 0.1)
    session(pytester, *workers).assert_outcomes(passed=12)
    (pytester.path / "report.json").rename(pytester.path / "before.json")
    same = session(pytester, "--looplet-baseline=before.json", *workers)
    same.assert_outcomes(passed=12)
    assert row_of(pytester)["baseline"]["verdict"] == "same"
    assert summary_of(same)[1].endswith("+0.000  0.1 met")
    monkeypatch.setenv("BROKEN", "8")
    result = session(pytester, "--looplet-baseline=before.json", *workers)
    result.assert_outcomes(passed=12, failed=1)
    assert result.ret == 1
    baseline = row_of(pytester)["baseline"]
    assert (baseline["verdict"], baseline["score"], baseline["delta"]) == ("worse", 1.0, -0.666667)
    assert junit(pytester).attrib["failures"] == "1"
    result.stdout.fnmatch_lines(["FAILED evals/eval_shop.py::eval_checked?baseline?*"])
    assert "worse than the baseline: 0.333 after 1.000, a difference of -0.667" in result.stdout.str()
    assert session(pytester, "--looplet-baseline=before.json", "-o", "looplet_margin=0.7", *workers).ret == 0


def test_a_changed_eval_or_case_is_not_compared_and_the_mark_may_change(pytester: pytest.Pytester) -> None:
    write(pytester, 0.1)
    session(pytester)
    (pytester.path / "report.json").rename(pytester.path / "before.json")
    path = pytester.path / "evals/eval_shop.py"
    source = path.read_text()
    path.write_text(source.replace("(gate=0.1)", "(gate=0.2)").replace("range(20, 32)", "range(21, 33)"))
    result = session(pytester, "--looplet-baseline=before.json")
    assert row_of(pytester)["baseline"]["verdict"] == "same"
    assert "baseline: new cases: refund-32 (eval_checked)" in summary_of(result)
    assert "baseline: removed cases: refund-20 (eval_checked)" in summary_of(result)
    path.write_text(source.replace("Refund order {order}", "Refund order no {order}"))
    result = session(pytester, "--looplet-baseline=before.json")
    said = "not compared, no case can be compared: its task, expectation or files have changed"
    assert any(said in line for line in summary_of(result))
    path.write_text(source.replace("is wrong", "is very wrong"))
    result = session(pytester, "--looplet-baseline=before.json")
    assert "baseline: not compared, the source of the eval has changed (eval_checked)" in summary_of(result)


def test_a_gate_that_is_met_again_is_no_longer_a_last_failure(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(pytester, 0.9)
    monkeypatch.setenv("BROKEN", "3")
    session(pytester).assert_outcomes(passed=12, failed=1)
    again = session(pytester, "--lf")
    again.assert_outcomes(passed=12, failed=1)
    monkeypatch.delenv("BROKEN")
    session(pytester, "--lf").assert_outcomes(passed=12)
    assert "run-last-failure: no previously failed tests" in session(pytester, "--lf").stdout.str()


def test_a_failed_case_named_like_a_verdict_stays_a_last_failure(pytester: pytest.Pytester) -> None:
    write(pytester, None, 'assert "baseline-23" not in case.id')
    path = pytester.path / "evals/eval_shop.py"
    path.write_text(path.read_text().replace('"refund-{order}"', '"baseline-{order}"'))
    session(pytester).assert_outcomes(passed=11, failed=1)
    session(pytester, "--lf").assert_outcomes(failed=1)


@WORKERS
@pytest.mark.parametrize("report", ["before.json", "evals/../before.json"])
def test_a_baseline_is_not_replaced_by_the_report_compared_with_it(
    pytester: pytest.Pytester, workers: tuple[str, ...], report: str
) -> None:
    write(pytester, None)
    session(pytester, "--looplet-report=before.json")
    before = (pytester.path / "before.json").read_bytes()
    executions(pytester)
    result = session(pytester, "--looplet-baseline=before.json", f"--looplet-report={report}", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--looplet-report would replace the baseline" in result.stderr.str()
    assert "write the report elsewhere" in result.stderr.str()
    assert (pytester.path / "before.json").read_bytes() == before
    assert executions(pytester) == []


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no such file; write one with: pytest --looplet-report"),
        ("[", "is not JSON"),
        ("{}", "is not a looplet report"),
        ('{"schema": 99}', "has schema 99, this looplet reads 1"),
    ],
)
@WORKERS
def test_a_baseline_that_cannot_be_used_is_said_before_any_run(
    pytester: pytest.Pytester, text: str | None, said: str, workers: tuple[str, ...]
) -> None:
    write(pytester, None)
    if text is not None:
        (pytester.path / "before.json").write_text(text)
    result = pytester.runpytest_subprocess("-o", "looplet_baseline=before.json", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()
    assert "nothing was run" in result.stderr.str()
    assert executions(pytester) == []


@WORKERS
def test_the_baseline_of_another_suite_is_refused(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write(pytester, None)
    session(pytester, "-k", "refund-20")
    path = pytester.path / "report.json"
    other = json.loads(path.read_text()) | {"suite": "other"}
    (pytester.path / "before.json").write_text(json.dumps(other))
    executions(pytester)
    result = session(pytester, "--looplet-baseline=before.json", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "is of suite 'other'" in result.stderr.str()
    assert executions(pytester) == []


RERUN = """
    from _pytest.runner import runtestprotocol

    def pytest_runtest_protocol(item, nextitem):
        item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
        first = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in first:
            if report.failed:
                report.outcome = "rerun"
                item.ihook.pytest_runtest_logreport(report=report)
                item._initrequest()
                first = runtestprotocol(item, nextitem=nextitem, log=False)
        for report in first:
            item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
"""


@WORKERS
def test_of_an_item_that_is_run_again_the_last_result_counts(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    body = """
        from pathlib import Path
        flag = Path(f"{case.id}.once")
        if case.expected == 20 and not flag.exists():
            flag.touch()
            return 0.25
        assert case.expected != 20, "tired"
        return 1.0
    """.strip()
    write(pytester, None, body, conftest=RERUN, ini="looplet_threshold = 0.5\n")
    session(pytester, *workers)
    report = json.loads((pytester.path / "report.json").read_text())
    [item] = [item for item in report["items"] if item["outcome"] == "fail"]
    assert (item["score"], item["passed"]) == (0.0, False), "not the score of the first time"
    [case] = [case for case in junit(pytester) if case.attrib["name"] == "eval_checked[refund-20]"]
    scores = [each.attrib["value"] for each in case.iter("property") if each.attrib["name"] == "looplet_score"]
    assert scores == ["0.0"]


@WORKERS
def test_junit_has_score_label_trial_backend_and_cost(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write(pytester, None, "return {'score': 0.5, 'label': 'good\\ud800'}")
    session(pytester, "--looplet-trials=2", "-k", "refund-20", *workers)
    cases = sorted(junit(pytester), key=lambda case: case.attrib["name"], reverse=True)
    told = [{each.attrib["name"]: each.attrib["value"] for each in case.iter("property")} for case in cases]
    assert told[1] == {
        "looplet_score": "0.5",
        "looplet_label": told[0]["looplet_label"],
        "looplet_trial": "2",
        "looplet_backend": "replay",
    }
    assert told[0]["looplet_trial"] == "1"
    assert told[0]["looplet_label"].startswith("good")


def test_verdicts_are_counted_in_the_last_line_of_progress(pytester: pytest.Pytester) -> None:
    write_suite(
        pytester, EVALS.replace("looplet(agent=agent", "looplet(gate=1.0, agent=agent").replace("order + 8", "0", 1)
    )
    result = pytester.runpytest("-p", "no:cacheprovider", "-k", "amount")
    assert [line for line in result.outlines if line.endswith("[100%]")] == [
        line for line in result.outlines if "%]" in line
    ]
    assert any(re.search(r"\.F +\[100%\]$", line) for line in result.outlines)


CUT_SHORT = """
    import pytest
    from shop import agent, script

    CASES = [{"id": f"refund-{order}", "task": f"Refund order {order}", "script": script(order)} for order in range(40)]

    @pytest.mark.looplet(agent=agent, cases=CASES[:1], gate=0.8)
    def eval_first(run):
        return True

    @pytest.mark.looplet(agent=agent, cases=CASES, gate=0.8)
    def eval_early(run, case):
        if case.id == "refund-2":
            END
        return case.id in ("refund-0", "refund-1")
"""


@WORKERS
@pytest.mark.parametrize("end", ["raise KeyboardInterrupt", "pytest.exit('enough')", "raise RuntimeError('broken')"])
def test_a_session_that_ends_early_judges_no_gate_without_all_items(
    pytester: pytest.Pytester, end: str, workers: tuple[str, ...]
) -> None:
    write_suite(pytester, CUT_SHORT.replace("END", end))
    result = pytester.runpytest_subprocess(
        "-x", *workers, "--looplet-backend=mock", "--looplet-report=r.json", "--looplet-report=r.md"
    )
    report = json.loads((pytester.path / "r.json").read_text())
    verdicts = {row["eval"].rpartition("::")[2]: row["gate"]["verdict"] for row in report["evals"]}
    assert verdicts["eval_early"] is None, "of two good items and others that nobody knows"
    assert report["unscored"]
    assert all("eval_early" in name for name in report["unscored"])
    Draft202012Validator(SCHEMA).validate(report)
    left = f"the session ended early: {len(report['unscored'])} of 41 evals have no result"
    result.stdout.fnmatch_lines([f"looplet: {left}; score all runs with: pytest --looplet-traces .looplet/runs"])
    said = (pytester.path / "r.md").read_text()
    assert said.startswith("### ❌ Evals failed")
    assert left in said
    if not workers:
        assert verdicts["eval_first"] == "pass", "it has all its items"
        missing = 37 if "RuntimeError" in end else 38
        assert len(report["unscored"]) == missing


def test_a_session_that_comes_to_its_end_leaves_nothing_open(pytester: pytest.Pytester) -> None:
    write_suite(pytester, CUT_SHORT.replace("END", "return False"))
    result = pytester.runpytest_subprocess("--looplet-backend=mock", "--looplet-report=r.json")
    assert "unscored" not in json.loads((pytester.path / "r.json").read_text())
    result.stdout.no_fnmatch_line("*ended early*")
