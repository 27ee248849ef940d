"""The report as Markdown: what it says, that it fits, and that no text in it can be more than text."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from tests.support.report_entries import BEFORE, OPTIONS, a_run, entries

from looplet._pretty import visible
from looplet.evals.report import build_report
from pytest_looplet.reporting.markdown import code, render

OURS = {"h3", "p", "ul", "li", "code", "table", "thead", "tbody", "tr", "th", "td", "details", "summary"}


def page_of(*items: dict[str, Any], options: Any = OPTIONS, notes: tuple[str, ...] = ()) -> str:
    return render(build_report(items, suite="s"), options, notes)


class Shown(HTMLParser):
    """What a browser would make of it: the elements, the text within code, and the text outside."""

    def __init__(self, markdown: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.code: list[str] = []
        self.text = ""
        self._in_code = False
        self.feed(MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self._in_code = self._in_code or tag == "code"
        if tag == "code":
            self.code.append("")

    def handle_endtag(self, tag: str) -> None:
        self._in_code = self._in_code and tag != "code"

    def handle_data(self, data: str) -> None:
        if self._in_code:
            self.code[-1] += data
        else:
            self.text += data


# --- what it says


def test_a_session_in_which_all_passed() -> None:
    page = page_of(*entries("e.py::eval_a", {"x": [True], "y": [True]}, run=a_run()))
    assert page == (
        "### ✅ Evals passed: 2 passed\n"
        "\n"
        "| eval | score | 95% interval | n | cost |\n"
        "| --- | --: | --: | --: | --: |\n"
        "| `eval_a` | 1.000 | 0.16 to 1.00 | 2 | 0.2500 |\n"
        "\n"
        "1 run (`replay m`); tokens 1200 in, 34 out; cost 0.2500\n"
    )


def test_what_is_wrong_stands_first_and_the_cases_are_folded() -> None:
    items = entries("e.py::eval_a", {"x": [True], "y": [False]}, gate=0.9)
    items += entries(
        "e.py::eval_b", {"x": [False], "z": [None]}, label="poor", reason="not\nbrief", run=a_run(trace="t/x")
    )
    report = build_report(items, suite="s")
    report["evals"][1]["baseline"] = BEFORE
    page = render(report, OPTIONS)
    before, _, after = page.partition("| eval |")
    assert before.splitlines() == [
        "### ❌ Evals failed: 1 passed, 2 failed, 1 error; 0 of 1 gates met; 1 of 1 worse than the baseline",
        "",
        "- ❌ `eval_a` gate not met: `the mean 0.500 of 2 cases is below the gate 0.9`",
        "- ❌ `eval_b` worse than the baseline: `0.500 after 0.900, a difference of -0.400 (-0.600 to -0.200), p 0.02`",
        "- ❌ `eval_b` 1 of 2 broke",
        "- ❌ `eval_b` 1 of 2 failed",
        "",
    ]
    assert "- `baseline: removed cases: z (eval_b)`\n" in after
    assert after.endswith(
        "\n<details>\n<summary>3 did not pass</summary>\n\n"
        "- error: `eval_b[z]`, label `poor`\n  - `boom`\n  - `not brief`\n  - `looplet show t/x`\n"
        "- fail: `eval_a[y]`, score 0.000\n  - `boom`\n"
        "- fail: `eval_b[x]`, score 0.000, label `poor`\n  - `boom`\n  - `not brief`\n  - `looplet show t/x`\n"
        "\n</details>\n"
    )


def test_what_only_warns_does_not_fail() -> None:
    items = entries("e.py::a", {"x": [True, False], "y": [True, True]}, gate=0.7, run=a_run(stale="request 1: new"))
    assert page_of(*items).startswith("### ❌ Evals failed: 3 passed, 1 failed; 0 of 1 gates met\n")
    warned = page_of(*items, options=OPTIONS._replace(undecided="warn", stale="warn"))
    assert warned.startswith("### ⚠️ Evals passed: 3 passed, 1 failed; 0 of 1 gates met\n")
    assert "- ⚠️ `agent/x` stale recording: `request 1: new`\n" in warned


def test_a_session_that_did_not_come_to_its_end_did_not_pass() -> None:
    page = page_of(*entries("e.py::a", {"x": [True]}), notes=("37 of 200 runs finished",))
    assert page.startswith("### ❌ Evals failed: 1 passed\n\n`37 of 200 runs finished`\n")


def test_several_backends_have_a_column() -> None:
    items = [*entries("e.py::a", {"x": [True]}), *entries("e.py::a", {"y": [False]}, backend="ollama")]
    page = page_of(*items, options=OPTIONS._replace(backends=("ollama", "replay")))
    assert "| `a` | `ollama` | 0.000 |" in page
    assert "| `a` | `replay` | 1.000 |" in page
    assert "- ❌ `a [ollama]` 1 of 1 failed\n" in page


def test_a_session_that_skipped_everything_did_not_pass_either() -> None:
    page = page_of(*entries("e.py::a", {"x": [True]}, outcome="skip", score=None))
    assert page.startswith("### ⚠️ Nothing was evaluated: 1 skipped\n")


# --- that it fits


def test_a_thousand_long_failures_fit_into_a_comment() -> None:
    scores: dict[str, list[bool | None]] = {f"c{number}": [False] for number in range(1000)}
    page = page_of(*entries("e.py::a", scores, message="|" * 10_000, reason="<" * 10_000))
    assert len(page) < 65_536
    assert "more, which are in the other reports\n\n</details>\n" in page


def test_hundreds_of_evals_fit() -> None:
    items = [item for at in range(300) for item in entries(f"e.py::{'long|' * 60}{at}", {"x": [False]})]
    page = page_of(*items)
    assert "250 more evals are in the other reports." in page
    assert "- and 250 more\n" in page
    assert len(page) < 4 * 65_536, "names that need escaping, and are longer than names are"


# --- that text stays text

HOSTILE = [
    "@everyone see #1 and https://evil.example/x",
    "a`b``c```d",
    "</code></details><script>alert(1)</script><img src=x onerror=alert(1)>",
    "x | y | z",
    "\\`x\\` \\",
    "\n\n# heading\n\n- list\n\n<!-- ",
    "![x](https://evil.example/p.png) [y](javascript:alert(1))",
    "&lt;b&gt; &#64;all",
    "\x1b[31mred\u202e\x00",
    " ",
]


@given(text=st.one_of(st.text(), st.text("`|\\<>&@#*_[]()!~\n -=:/ab", max_size=40)))
@example("")
@example("`")
def test_no_text_is_more_than_text(text: str) -> None:
    _check(text)


@pytest.mark.parametrize("text", HOSTILE)
def test_what_models_write_stays_in_code(text: str) -> None:
    _check(text)


def _check(text: str) -> None:
    hostile = f"Q9{text}9Q"
    run = a_run(hostile, agent=hostile, model=hostile, backend=hostile, stale=hostile, trace=hostile)
    told = {"message": hostile, "reason": hostile + ".", "label": hostile, "backend": hostile, "run": run}
    items = entries(f"e.py::{hostile}", {"x": [False], "y": [None], "z": [True]}, **told)
    items += entries("f.py::b", {hostile: [False]}, gate=0.5, **(told | {"backend": "b"}))
    report = build_report(items, suite=hostile)
    report["evals"][0]["baseline"] = BEFORE | {"why": hostile, "new_cases": [hostile], "left_out": [hostile]}
    page = render(report, OPTIONS._replace(backends=("a", "b")), notes=(hostile,))
    assert visible(page, keep="\n\ufe0f") == page, "no control characters; the warning sign has a selector"
    shown = Shown(page)
    assert shown.tags <= OURS
    assert "Q9" not in shown.text
    assert "9Q" not in shown.text
    assert any("Q9" in part for part in shown.code)


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1))
def test_code_says_what_it_was_given(text: str) -> None:
    assert Shown(f"| a |\n| --- |\n| {code(text)} |\n").code == [text]
    assert Shown(f"- {code(text)}").code == [text]
