"""The summary on the terminal: a table that fits, and what needs a sentence."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.report_entries import BEFORE, OPTIONS, entries

from looplet.evals.report import build_report
from pytest_looplet.options import Options
from pytest_looplet.reporting.summary import summary_lines
from pytest_looplet.reporting.table import table_lines
from pytest_looplet.reporting.verdicts import failed_verdicts


def lines_of(*items: dict[str, Any], verbosity: int = 0, width: int = 100, options: Options = OPTIONS) -> list[str]:
    return summary_lines(build_report(items, suite="s"), options, verbosity, width)


def test_the_table_has_a_line_an_eval() -> None:
    items = entries("e.py::a", {"x": [True], "y": [False]}) + entries("e.py::bb", {"x": [True], "y": [None]})
    assert lines_of(*items)[:3] == [
        "eval            score  95% interval  n  not passed",
        "evals/e.py::a   0.500  0.01 to 0.99  2    1 failed",
        "evals/e.py::bb  1.000  0.03 to 1.00  1     1 error",
    ]


def test_quiet_is_one_line() -> None:
    items = entries("e.py::a", {"x": [True], "y": [False]}, gate=0.5) + entries("e.py::b", {"x": [None]}, gate=0.9)
    assert lines_of(*items, verbosity=-1) == ["evals: 1 passed, 1 failed, 1 error; 1 of 2 gates met"]


def test_verbose_adds_pass_at_k_and_the_cases_that_do_not_always_pass() -> None:
    items = entries("e.py::a", {"x": [True, False], "y": [True, True]}, gate=0.2)
    lines = lines_of(*items, verbosity=1)
    assert " ".join(lines[0].split()) == "eval score 95% interval n pass@1 pass@2 pass^2 not passed gate"
    assert " 2x2 " in lines[1]
    assert "0.750   1.000   0.500" in lines[1]
    assert "FAIL evals/e.py::a[x-t2]: boom" in lines
    assert lines[-1] == "CASE evals/e.py::a [replay] x: 1 of 2 passed; mean 0.500"
    assert not any(line.startswith(("FAIL", "CASE")) for line in lines_of(*items)), "the gate has the verdict"


def test_several_backends_have_a_column() -> None:
    items = [*entries("e.py::a", {"x": [True]}), *entries("e.py::a", {"y": [False]}, backend="ollama")]
    table = lines_of(*items)
    assert table[0].split()[:2] == ["eval", "backend"]
    assert [line.split()[1] for line in table[1:3]] == ["ollama", "replay"]


def test_costs_deltas_and_gates_have_columns_when_there_are_some() -> None:
    usage = {"input_tokens": 1, "output_tokens": 2, "cached_tokens": 0, "cost": 0.5}
    run = {"file": "e.py", "agent": "a", "case": "x", "backend": "b", "model": "m", "trial": 1, "usage": usage}
    report = build_report(entries("e.py::a", {"x": [True]}, run=run | {"trace": None}, gate=0.9), suite="s")
    report["evals"][0]["baseline"] = BEFORE
    lines = summary_lines(report, OPTIONS, 0, 100)
    assert lines[0].split()[-3:] == ["cost", "delta", "gate"]
    assert lines[1].endswith("0.5000  -0.400 worse  0.9 met")
    assert "baseline: removed cases: z (a)" in lines
    assert "baseline: left out, y: no score now (a)" in lines
    many = [*(f"a[{number}-y]: only in the baseline" for number in range(50)), "z: no score now"]
    report["evals"][0]["baseline"] = BEFORE | {"left_out": many}
    told = [line for line in summary_lines(report, OPTIONS, 0, 100) if "left out" in line]
    assert told[0].startswith("baseline: left out, a[0-y], a[1-y], a[2-y]")
    assert told[0].endswith("…: only in the baseline (a)")
    assert told[1:] == ["baseline: left out, z: no score now (a)"]
    report["evals"][0]["baseline"] = BEFORE | {"verdict": "not compared", "delta": None, "why": "the judge is new"}
    lines = summary_lines(report, OPTIONS, 0, 100)
    assert "  n/a  " in lines[1]
    assert "baseline: not compared, the judge is new (a)" in lines


def test_an_undecided_gate_that_only_warns_is_said() -> None:
    items = entries("e.py::a", {"x": [True, False], "y": [True, True]}, gate=0.7)
    report = build_report(items, suite="s")
    [failed] = failed_verdicts(report, OPTIONS)
    assert failed.nodeid == "evals/e.py::a[gate]"
    verdict, *cases = str(failed.longrepr).splitlines()
    assert verdict.startswith("the mean 0.750 of 2 cases and 4 trials, with 95 % confidence 0.")
    assert verdict.endswith(" neither lies above nor below the gate 0.7; more cases or trials may tell")
    assert cases == ["  a[x-t2]: boom"]
    warn = OPTIONS._replace(undecided="warn")
    assert list(failed_verdicts(report, warn)) == []
    assert any(line.startswith("undecided: evals/e.py::a: the mean 0.750") for line in lines_of(*items, options=warn))


def test_a_failed_gate_lists_what_failed_up_to_ten() -> None:
    scores: dict[str, list[bool | None]] = {f"c{number:02}": [number > 14] for number in range(20)}
    [failed] = failed_verdicts(build_report(entries("e.py::a", scores, gate=0.5), suite="s"), OPTIONS)
    lines = str(failed.longrepr).splitlines()
    assert lines[:2] == ["the mean 0.250 of 20 cases is below the gate 0.5", "  a[c00]: boom"]
    assert lines[-1] == "  and 5 more"


def test_a_drop_is_told_in_one_sentence() -> None:
    report = build_report(entries("e.py::a", {"x": [True]}), suite="s")
    report["evals"][0]["baseline"] = BEFORE
    [failed] = failed_verdicts(report, OPTIONS._replace(backends=("replay", "other")))
    assert failed.nodeid == "evals/e.py::a[baseline-replay]"
    assert failed.location == ("evals/e.py", None, "a[baseline-replay]")
    assert str(failed.longrepr) == (
        "worse than the baseline: 0.500 after 0.900, a difference of -0.400 (-0.600 to -0.200), p 0.02"
    )


@pytest.mark.parametrize("verbosity", [0, 1])
@given(
    names=st.lists(st.text("ab:_/.", min_size=1, max_size=60), min_size=1, max_size=4, unique=True),
    width=st.integers(20, 200),
)
def test_only_a_name_may_be_longer_than_the_terminal(verbosity: int, names: list[str], width: int) -> None:
    items = [item for name in names for item in entries(name, {"x": [True, False], "y": [True, None]}, gate=0.9)]
    report = build_report(items, suite="s")
    lines = table_lines(report["evals"], width, verbose=verbosity > 0)
    known = {row["eval"] for row in report["evals"]}
    assert all(len(line) <= width or line in known or len(line) < 40 for line in lines)


def test_a_narrow_terminal_gets_the_figures_below_the_name() -> None:
    items = entries("eval_desk.py::eval_answer_is_right", {"x": [True], "y": [False]}, gate=0.4)
    assert lines_of(*items, width=80)[1].startswith("eval_answer_is_right")
    assert lines_of(*items, width=40)[:3] == [
        "evals/eval_desk.py::eval_answer_is_right",
        "  score 0.500, 95% interval 0.01 to 0.99",
        "  n 2, not passed 1 failed, gate 0.4 met",
    ]
