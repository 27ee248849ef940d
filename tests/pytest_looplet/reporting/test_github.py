"""What GitHub Actions is told: commands that nothing in a text can break out of, and the summary of the step."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.plugin_files import write_suite
from tests.support.report_entries import BEFORE, OPTIONS, a_run, entries

from looplet.evals.report import build_report
from pytest_looplet.reporting.github import annotation_lines, append_summary, command

ROOT = Path("/repo/packages/desk")


def lines_of(*items: dict[str, Any], options: Any = OPTIONS) -> list[str]:
    return annotation_lines(build_report(items, suite="s"), options, ROOT)


def unescaped(text: str) -> str:
    """As the runner reads it: percent codes of the characters it names, and no others."""
    return re.sub("%(0A|0D|25|2C|3A)", lambda match: chr(int(match[1], 16)), text)


def read(line: str) -> tuple[str, dict[str, str], str]:
    match = re.fullmatch(r"::(\w+)(?: ([^:]*?))?::(.*)", line)
    assert match, line
    properties = dict(part.split("=", 1) for part in (match[2] or "").split(",") if part)
    return match[1], {key: unescaped(value) for key, value in properties.items()}, unescaped(match[3])


@given(message=st.text(), title=st.text())
def test_a_command_is_one_line_and_says_what_was_put_in(message: str, title: str) -> None:
    line = command("error", message, {"file": "a,b:c.py", "title": title})
    assert len(line.splitlines()) == 1
    name, properties, said = read(line)
    assert (name, properties["file"]) == ("error", "a,b:c.py")
    if title.isascii() and title.isprintable():
        assert properties["title"] == title
    if message.isascii() and message.replace("\n", "").isprintable():
        assert said == message


def test_the_escapes_are_those_of_the_runner() -> None:
    assert command("error", "100%, a: b\nc", {"title": "1,2: 3%\n"}) == (
        "::error title=1%2C2%3A 3%25%0A::100%25, a: b%0Ac"
    )


def test_a_failed_eval_is_annotated_at_its_line() -> None:
    items = entries("eval_x.py::eval_a", {"x": [True], "y": [False], "z": [False]}, line=12)
    [line] = lines_of(*items)
    assert read(line) == (
        "error",
        {"file": "evals/eval_x.py", "line": "12", "title": "eval_a: 2 of 3 failed"},
        "y: boom\nz: boom",
    )


def test_the_file_is_named_from_the_root_of_the_repository(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/repo")
    [line] = lines_of(*entries("eval_x.py::eval_a", {"x": [False]}))
    assert read(line)[1]["file"] == "packages/desk/evals/eval_x.py"


def test_a_gate_counts_failures_and_is_said_itself() -> None:
    assert lines_of(*entries("e.py::a", {"x": [True], "y": [False]}, gate=0.5)) == []
    [line] = lines_of(*entries("e.py::a", {"x": [True], "y": [False]}, gate=0.9))
    assert read(line)[1]["title"] == "a: gate not met"
    assert read(line)[2] == "the mean 0.500 of 2 cases is below the gate 0.9"


def test_what_only_warns_is_a_warning() -> None:
    items = entries("e.py::a", {"x": [True, False], "y": [True, True]}, gate=0.7, run=a_run(stale="request 1 differs"))
    kinds = [(read(line)[0], read(line)[1]["title"]) for line in lines_of(*items)]
    assert kinds == [("error", "a: gate undecided"), ("error", "agent/x: stale recording")]
    warned = lines_of(*items, options=OPTIONS._replace(undecided="warn", stale="warn"))
    assert [read(line)[0] for line in warned] == ["warning", "warning"]


def test_a_drop_is_said_with_its_figures() -> None:
    report = build_report(entries("e.py::a", {"x": [True]}), suite="s")
    report["evals"][0]["baseline"] = BEFORE
    [line] = annotation_lines(report, OPTIONS, ROOT)
    assert read(line)[1]["title"] == "a: worse than the baseline"
    assert read(line)[2] == "0.500 after 0.900, a difference of -0.400 (-0.600 to -0.200), p 0.02"


def test_github_shows_ten_so_the_tenth_counts_the_rest() -> None:
    items = [item for number in range(14) for item in entries(f"e.py::a{number:02}", {"x": [False]})]
    lines = lines_of(*items, *entries("e.py::broken", {"x": [None]}))
    assert len(lines) == 10
    assert read(lines[0])[1]["title"] == "broken: 1 of 1 broke", "the worst first"
    assert read(lines[-1])[2] == "6 more problems; the summary of the step lists them"
    assert len(lines_of(*items[:10])) == 10


def test_the_summary_is_added_to_what_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert append_summary("nowhere") is None
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    file.write_text("before\n")
    assert append_summary("ours\n") is None
    assert file.read_text() == "before\n\nours\n"
    assert append_summary("x" * 2**20) == "not added to GITHUB_STEP_SUMMARY: the summary of a step holds at most 1 MiB"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path))
    assert "was not written: Is a directory" in str(append_summary("ours"))


FAILING = """
    import pytest
    from shop import agent, script

    pytestmark = pytest.mark.looplet(agent=agent, cases=[
        {"id": f"refund-{order}", "task": f"Refund order {order}", "script": script(order)} for order in (17, 18)
    ])

    def eval_amount(run):
        assert run.output["amount"] == 25, "::error::100%"
"""


@pytest.mark.parametrize("arguments", [(), ("-n", "2"), ("-q",)], ids=["plain", "workers", "quiet"])
def test_a_session_on_github_annotates_and_sums_up_once(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...]
) -> None:
    write_suite(pytester, FAILING)
    summary = pytester.path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    result = pytester.runpytest_subprocess(*arguments)
    assert not summary.exists(), "only on GitHub"
    assert not any(line.startswith("::") for line in result.outlines)

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = pytester.runpytest_subprocess(*arguments, "--looplet-report", "x.md")
    assert [read(line) for line in result.outlines if line.startswith("::")] == [
        (
            "error",
            {"file": "evals/eval_shop.py", "line": "8", "title": "eval_amount: 1 of 2 failed"},
            "refund-18: ::error::100%",
        )
    ]
    assert summary.read_text().count("### ❌ Evals failed: 1 passed, 1 failed") == 1
    assert summary.read_text() == (pytester.path / "x.md").read_text()


def test_a_session_that_evaluated_nothing_says_so_on_github(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    result = pytester.runpytest("--looplet-backend", "mock")
    assert [line for line in result.outlines if line.startswith("::")] == [
        "::error title=evals::no evals were collected, although --looplet-backend was given"
    ]
