"""Trials: how many, how they are named, recorded and compared."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.plugin_files import EVALS, LIVE, SHOP, executions, summary_of, write_suite

from looplet.evals import EvalCase
from pytest_looplet.cells import Cell

TRIALS = EVALS.replace("cases=CASES)", "cases=CASES, trials=2)")
MODES = [
    (),
    ("-n", "2"),
    *(("-n", "2", "--dist", mode) for mode in ("worksteal", "loadfile", "loadscope", "loadgroup")),
]
# fails in its third trial
UNSTEADY = """
    def eval_unsteady(run, request):
        assert "-t3" not in request.node.name, "tired"

    @pytest.mark.looplet(gate=0.2)
    def eval_gated(run, request):
        return "-t3" not in request.node.name

    @pytest.mark.looplet(gate=0.29)
    def eval_gate_not_met(run, request):
        return "-t3" in request.node.name
"""


def report_of(pytester: pytest.Pytester) -> dict[str, Any]:
    report: dict[str, Any] = json.loads((pytester.path / "report.json").read_text())
    return report


def test_each_trial_is_a_run_and_an_item_of_its_own(pytester: pytest.Pytester) -> None:
    write_suite(pytester, TRIALS)
    result = pytester.runpytest("-v", "-k", "refund-17", "--looplet-report=report.json")
    result.assert_outcomes(passed=4, deselected=8)
    result.stdout.fnmatch_lines(["*::eval_amount?refund-17? PASSED*", "*::eval_amount?refund-17-t2? PASSED*"])
    assert executions(pytester) == ["Refund order 17"] * 2
    report = report_of(pytester)
    assert [(run["case"], run["trial"], run["trace"]) for run in report["runs"]] == [
        ("refund-17", 1, ".looplet/runs/refund-17-replay"),
        ("refund-17", 2, ".looplet/runs/refund-17-replay-t2"),
    ]
    assert report["evals"][0]["pass_hat_k"] == {"1": 1.0, "2": 1.0}
    assert {(item["trial"], item["trials"]) for item in report["items"]} == {(1, 2), (2, 2)}


@pytest.mark.parametrize(
    ("mark", "case", "ini", "option", "trials"),
    [
        ("", "", "", (), 1),
        ("", "", "looplet_trials = 2", (), 2),
        (", trials=3", "", "looplet_trials = 2", (), 3),
        (", trials=3", ', "trials": 4', "", (), 4),
        (", trials=3", ', "trials": 4', "", ("--looplet-trials=1",), 1),
    ],
)
def test_the_option_beats_the_case_which_beats_the_mark_which_beats_the_ini_file(
    pytester: pytest.Pytester, mark: str, case: str, ini: str, option: tuple[str, ...], trials: int
) -> None:
    evals = EVALS.replace("cases=CASES", f"cases=CASES{mark}").replace("script(order)}", f"script(order){case}}}")
    write_suite(pytester, evals, ini=f"{ini}\n")
    result = pytester.runpytest("--collect-only", "-q", "-k", "refund-18 and amount", *option)
    ids = [line.partition("[")[2] for line in result.outlines if "::eval_amount" in line]
    assert ids == ["refund-18]", *(f"refund-18-t{number}]" for number in range(2, trials + 1))]


def test_the_environment_is_an_option(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOPLET_TRIALS", "2")
    write_suite(pytester)
    pytester.runpytest().assert_outcomes(passed=12)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])
def test_each_trial_is_recorded_and_played_by_itself(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write_suite(pytester, TRIALS.replace(', "script": script(order)', ""), conftest=LIVE)
    run = pytester.runpytest_subprocess
    run("--looplet-backend=live", "--looplet-record", *workers).assert_outcomes(passed=12)
    folder = pytester.path / "evals/__recordings__/eval_shop/agent"
    names = [f"refund-{order}{trial}" for order in (17, 18, 19) for trial in ("", "-t2")]
    assert sorted(path.name for path in folder.iterdir()) == names
    executions(pytester)
    result = run(*workers)
    result.assert_outcomes(passed=12)
    assert "live call" not in executions(pytester)
    result = run("--looplet-trials=3", "-k", "refund-17 and amount", *workers)
    result.assert_outcomes(passed=2, errors=1)
    assert (
        "no recording of case 'refund-17-t3'; record it: pytest evals/eval_shop.py -k '[refund-17]' "
        "--looplet-backend=ollama --looplet-record --looplet-trials=3"
    ) in result.stdout.str()


def test_a_script_is_played_in_every_trial_but_never_beside_a_recording(pytester: pytest.Pytester) -> None:
    write_suite(pytester, EVALS, conftest=LIVE)
    pytester.runpytest("--looplet-trials=2", "--looplet-backend=mock").assert_outcomes(passed=12)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=6)
    result = pytester.runpytest("--looplet-trials=2")
    result.assert_outcomes(passed=6, errors=6)
    assert "no recording of case 'refund-17-t2'" in result.stdout.str()


def test_a_stale_trial_is_named(pytester: pytest.Pytester) -> None:
    write_suite(pytester, TRIALS, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=12)
    changed = SHOP.replace("tools=[lookup, done])", "tools=[lookup, done], system_prompt='Be brief.')")
    write_suite(pytester, TRIALS, shop=changed, conftest=LIVE)
    result = pytester.runpytest_subprocess("-k", "refund-17 and amount")
    stale = [line.split(": ")[1] for line in summary_of(result) if line.startswith("stale: ")]
    assert stale == [
        "evals/eval_shop.py::recording[agent/refund-17]",
        "evals/eval_shop.py::recording[agent/refund-17-t2]",
    ]


def test_models_side_by_side_have_their_runs_and_rows(pytester: pytest.Pytester) -> None:
    conftest = LIVE.replace("make_backend(name, config)", "make_backend(name, config, model)").replace(
        "return Live() if", "Live.name = Live.name; made = Live(); made.name = model\n        return made if"
    )
    write_suite(pytester, conftest=conftest)
    result = pytester.runpytest(
        "-v", "--looplet-backend=live:Big:7b,live:small", "--looplet-trials=2", "--looplet-report=report.json"
    )
    result.assert_outcomes(passed=24)
    result.stdout.fnmatch_lines(["*eval_amount?refund-17-live-big-7b? PASSED*", "*?refund-19-live-small-t2? PASSED*"])
    report = report_of(pytester)
    assert {(run["backend"], run["model"]) for run in report["runs"]} == {
        ("live-big-7b", "Big:7b"),
        ("live-small", "small"),
    }
    rows = [(row["eval"].rpartition("::")[2], row["backend"], row["n_trials"]) for row in report["evals"]]
    assert rows == [
        (name, label, 6) for name in ("eval_amount", "eval_length") for label in ("live-big-7b", "live-small")
    ]


def test_two_cases_that_would_share_a_name_are_an_error(pytester: pytest.Pytester) -> None:
    write_suite(pytester, TRIALS + "\n    CASES[1] |= {'id': 'refund-17-t2'}\n")
    result = pytester.runpytest()
    assert result.ret == 2
    said = (
        "eval_amount: trial 2 of case 'refund-17' with replay and trial 1 of case 'refund-17-t2' with replay "
        "would share the recording 'refund-17-t2'; rename the case"
    )
    assert said in result.stdout.str()
    assert executions(pytester) == []


def test_only_the_first_trial_is_compared_with_the_snapshot(pytester: pytest.Pytester, with_syrupy: None) -> None:
    evals = (
        TRIALS
        + """
    def eval_trace(run, trace_snapshot):
        assert run == trace_snapshot
    """
    )
    write_suite(pytester, evals)
    result = pytester.runpytest("-k", "trace", "--snapshot-update")
    result.assert_outcomes(passed=6, deselected=12)
    folder = pytester.path / "evals/__snapshots__/eval_shop"
    assert sorted(path.name for path in folder.iterdir()) == [
        f"eval_trace[refund-{order}].trace" for order in (17, 18, 19)
    ]
    result = pytester.runpytest("-k", "trace")
    result.assert_outcomes(passed=6, deselected=12)
    said = "trace_snapshot: of several trials the first is compared: evals/eval_shop.py::eval_trace (not 3 items)"
    assert said in result.outlines


@pytest.mark.parametrize("name", ["eval_x[c]", "eval_x[c-replay]", "eval_x[c-t2]", "eval_x[c-replay-t2]"])
def test_trials_and_backends_share_the_name_of_their_snapshot(name: str) -> None:
    pytest.importorskip("syrupy")
    from pytest_looplet.golden.snapshot import snapshot_name

    cell = Cell(Path("e.py"), None, "agent", EvalCase(id="c", task="t"), "replay", 2 if "t2" in name else 1, 2)
    item: Any = SimpleNamespace(name=name, callspec=SimpleNamespace(params={"run": cell}))
    assert snapshot_name(item) == "eval_x[c]"


def test_every_mode_ends_with_the_same_summary_report_and_junit(pytester: pytest.Pytester) -> None:
    write_suite(pytester, TRIALS.replace("trials=2", "trials=3") + UNSTEADY)
    found = set()
    for workers in MODES:
        result = pytester.runpytest_subprocess(
            "-v", "--looplet-backend=mock,replay", "--looplet-report=report.json", "--junit-xml=junit.xml", *workers
        )
        assert result.ret == 1
        assert len(executions(pytester)) == 18, workers
        report = (pytester.path / "report.json").read_text()
        found.add(("\n".join(summary_of(result)), report, _counts(pytester), str(result.parseoutcomes())))
    assert len(found) == 1
    summary, report, counts, _ = found.pop()
    assert "eval_gate_not_met" in summary
    assert counts == (6 + 2, 0), "each third trial of eval_unsteady, and two gates"
    verdicts = [(row["backend"], row["gate"]["verdict"]) for row in json.loads(report)["evals"] if row["gate"]]
    assert verdicts == [("mock", "undecided"), ("replay", "undecided"), ("mock", "pass"), ("replay", "pass")]


def _counts(pytester: pytest.Pytester) -> tuple[int, int]:
    import xml.etree.ElementTree as ElementTree

    suite = ElementTree.parse(pytester.path / "junit.xml").getroot()[0]
    return int(suite.attrib["failures"]), int(suite.attrib["errors"])


def test_recordings_of_trials_the_option_left_out_are_in_use(pytester: pytest.Pytester) -> None:
    write_suite(pytester, TRIALS, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=12)
    recorded = pytester.path / "evals/__recordings__/eval_shop/agent"
    (recorded / "refund-19").rename(recorded / "refund-99")
    (recorded / "refund-19-t2").rename(recorded / "refund-99-t2")
    result = pytester.runpytest("--looplet-trials=1", "-k", "refund-17")
    unused = [line for line in result.outlines if "unused recording" in line]
    assert [line.rpartition("/")[2] for line in unused] == ["refund-99", "refund-99-t2"]
