"""The HTML report: what is on the page, that it is the same however it was made, and what happens when it cannot be."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support import hostile
from tests.support.plugin_files import executions, write_suite
from tests.support.report_entries import BEFORE, OPTIONS, a_run, entries
from tests.support.traces import cheese_run, long_run, write_trace

from looplet._pretty import visible
from looplet.evals.report import build_report
from pytest_looplet.reporting.html import render
from pytest_looplet.reporting.page_runs import loops_of, run_chars

USAGE = {"input_tokens": 3, "output_tokens": 4, "cached_tokens": 0, "cost": None}


def an_item(name: str = "a", **changes: Any) -> dict[str, Any]:
    run = a_run("c", usage=USAGE)
    item = {
        "id": f"evals/eval_x.py::eval_{name}[c]",
        "eval": f"evals/eval_x.py::eval_{name}",
        "case": "c",
        "outcome": "pass",
        "score": 1.0,
        "label": None,
        "metrics": {},
        "reason": "",
        "message": "",
        "run": run,
    }
    return (
        item
        | {key: value for key, value in changes.items() if key in item}
        | {"run": run | {key: value for key, value in changes.items() if key in run}}
    )


def page_of(*items: dict[str, Any], root: Path = Path()) -> str:
    return render(build_report(items, suite="suite"), root, OPTIONS)


class Outside(HTMLParser):
    """Collects what a browser would fetch or run, and the elements by name."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []
        self.handlers: list[str] = []
        self.count: dict[str, int] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.count[tag] = self.count.get(tag, 0) + 1
        for name, value in attrs:
            if name in ("src", "href", "action", "data") and not (value or "").startswith(("#", "data:,")):
                self.addresses.append(value or "")
            if name.startswith("on"):
                self.handlers.append(name)


def parsed(page: str) -> Outside:
    found = Outside()
    found.feed(page)
    return found


# --- what is on it


def test_a_run_has_its_verdicts_timeline_and_folded_trace(tmp_path: Path) -> None:
    write_trace(tmp_path / "runs" / "c", cheese_run())
    page = page_of(an_item(trace="runs/c"), an_item("b", outcome="fail", score=0.25, message="too dear"), root=tmp_path)
    assert 'id="run-c-replay"' in page
    assert "too dear" in page
    assert "1 passed" in page
    assert "1 failed" in page
    assert page.count('class="part step') == 3
    assert 'id="run-c-replay-step2"' in page
    assert "we are out of brie today" in page
    assert 'title="#1 search: 0 ms"' in page
    assert "looplet show runs/c" in page
    assert re.search(r"<b>search</b> <code>\{&#34;query&#34;: &#34;käse&#34;\}</code>", page)


def test_each_message_stands_once(tmp_path: Path) -> None:
    write_trace(tmp_path / "c", cheese_run())
    page = page_of(an_item(trace="c"), root=tmp_path)
    assert page.count("find cheese") == 1
    assert page.count("Gouda, old and dry") == 1


def test_several_loops_of_one_run_are_all_shown(tmp_path: Path) -> None:
    for number in (1, 2):
        write_trace(tmp_path / "c" / f"run_{number}", cheese_run())
    page = page_of(an_item(trace="c"), root=tmp_path)
    assert "Loop 1 of 2" in page
    assert "Loop 2 of 2" in page
    assert 'id="run-c-replay-loop2-step1"' in page
    assert "looplet show c" in page


def test_a_run_without_a_trace_shows_what_there_is() -> None:
    assert "task: hello" in page_of(an_item(text="task: hello\nended: done"))
    assert "This run left no trace." in page_of(an_item())


def test_a_trace_that_cannot_be_read_is_said_and_the_rest_is_there(tmp_path: Path) -> None:
    (tmp_path / "c").mkdir()
    (tmp_path / "c" / "journal.jsonl").write_text("{not json\n", encoding="utf-8")
    page = page_of(an_item(trace="c"), root=tmp_path)
    assert "The trace cannot be read" in page
    assert "is not JSON" in page


def test_what_went_wrong_comes_first_and_equal_names_get_numbers() -> None:
    page = page_of(
        an_item("a", case="one"),
        an_item("a", id="x::eval_a[two]", case="two", outcome="fail"),
        an_item("a", id="x::eval_a[err]", case="three", outcome="error"),
        an_item("a", id="y::eval_a[one]", case="one", file="evals/eval_y.py"),
    )
    ids = re.findall(r'<details class="run \w+" id="([^"]+)"', page)
    assert ids == ["run-three-replay", "run-two-replay", "run-one-replay", "run-one-replay-2"]


def test_a_long_result_is_cut_and_names_the_command_that_shows_it(tmp_path: Path) -> None:
    write_trace(tmp_path / "c", long_run(2, chars=30_000))
    page = page_of(an_item(trace="c"), root=tmp_path)
    assert re.search(r"… 1\d,\d{3} more characters: looplet show c --step 1", page)
    assert len(page) < 150_000


def test_a_long_run_is_cut_where_its_room_ends(tmp_path: Path) -> None:
    write_trace(tmp_path / "c", long_run(200, chars=5_000))
    (loop,) = loops_of(tmp_path / "c", "c", chars=20_000)
    shown = sum(len(text) for part in loop["parts"] for _, text in part["texts"])
    assert shown < 20_000 + 200 * 500
    assert loop["parts"][-1]["texts"][-1][1].endswith("--step 200")


@pytest.mark.parametrize(("runs", "chars"), [(0, 400_000), (1, 400_000), (1_000, 32_000), (100_000, 20_000)])
def test_the_room_of_a_run_depends_on_how_many_there_are(runs: int, chars: int) -> None:
    assert run_chars(runs) == chars


def test_the_figures_of_each_eval_and_what_is_wrong_stand_on_top() -> None:
    items = entries("e.py::eval_a", {"x": [True, False], "y": [True, True]}, gate=0.7)
    items += entries("e.py::eval_b", {"x": [False], "y": [None]})
    report = build_report(items, suite="s")
    report["evals"][1]["baseline"] = BEFORE
    page = render(report, Path(), OPTIONS, ("37 of 200 runs finished",))
    table = page.partition("<tbody>")[2].partition("</tbody>")[0]
    cells = re.findall(r'<td class="n ([^"]*)">\s*([^<]*)</td>', re.sub(r"\s+", " ", table))
    assert [(looks.strip(), text) for looks, text in cells if text] == [
        ("strong", "0.750"),
        ("", "0.15 to 1.00"),
        ("", "2x2"),
        ("", "0.750"),
        ("", "1.000"),
        ("", "0.500"),
        ("wrap", "1 failed"),
        ("verdict error", "0.7 undecided"),
        ("strong", "0.000"),
        ("", "0.00 to 0.97"),
        ("", "1"),
        ("wrap", "1 failed, 1 error"),
        ("verdict fail", "-0.400 worse"),
    ]
    told = re.sub(r"<[^>]*>", "", page.partition('<ul class="problems">')[2].partition("</ul>")[0])
    [gate, *others] = [" ".join(line.split()) for line in told.split("\n") if line.strip()]
    assert gate.startswith("✗ eval_a gate undecided the mean 0.750 of 2 cases and 4 trials, with 95 % confidence 0.1")
    assert others == [
        "✗ eval_b worse than the baseline 0.500 after 0.900, a difference of -0.400 (-0.600 to -0.200), p 0.02",
        "✗ eval_b 1 of 2 broke",
        "✗ eval_b 1 of 2 failed",
        "37 of 200 runs finished",
        "baseline: removed cases: z (eval_b)",
        "baseline: left out, y: no score now (eval_b)",
    ]


def test_the_trials_of_a_case_stand_together_in_their_order() -> None:
    items = [
        item | {"run": a_run(item["case"], trial=item["trial"])}
        for item in entries("e.py::eval_a", {"good": [True, True], "bad": [True, True, False]})
    ]
    page = page_of(
        *items, *[item | {"id": "evals/e.py::eval_b[bad]", "eval": "evals/e.py::eval_b"} for item in items[2:3]]
    )
    ids = ["run-bad-replay", "run-bad-t2-replay", "run-bad-t3-replay", "run-good-replay", "run-good-t2-replay"]
    assert re.findall(r'<details class="run \w+" id="([^"]+)"', page) == ids
    headings = re.findall(r'<section class="case">\s*<h3>(.*?)</h3>', page)
    assert [re.sub(r"<[^>]*>", "", heading) for heading in headings] == [
        "bad 3 trials · eval_a 2 of 3 · eval_b 1 of 1",
        "good 2 trials · eval_a 2 of 2",
    ]


def test_an_eval_compared_on_two_backends_is_one_choice_of_the_filter() -> None:
    page = page_of(
        *(
            item | {"run": a_run(backend=name)}
            for name in ("one", "two")
            for item in entries("e.py::eval_a", {"x": [True]}, backend=name)
        )
    )
    assert page.count('<option value="0">') == 2, "the eval, and the first backend"
    assert page.count('data-eval="0"') == 2
    assert "<td>one</td>" in page
    assert "<td>two</td>" in page


# --- that nothing on it acts


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_what_models_write_is_text(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write_suite(pytester, hostile.EVALS, shop=hostile.SHOP)
    pytester.runpytest_subprocess("--looplet-report=r.html", *workers)
    page = Path("r.html").read_text(encoding="utf-8")
    found = parsed(page)
    assert found.addresses == []
    assert found.handlers == []
    assert found.count["script"] == 1
    assert found.count["style"] == 1
    assert "img" not in found.count
    assert "{{ 7 * 7 }} {% raw %} {# gone #}" in page
    assert "&amp;lt;b&amp;gt;" in page
    assert r"\x1b[31mred" in page
    assert r"\u202egnp.exe" in page
    assert r"a\x00b" in page
    assert r"lone \ud800 half" in page
    assert r"one\u2028two" in page
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2028\u2066-\u2069]", page)
    for case in ("hostile", "broken", "foreign", "twice"):
        assert f'id="run-{case}-' in page


@given(st.text())
def test_no_text_changes_what_the_page_is_made_of(text: str) -> None:
    def page(text: str) -> str:
        return page_of(
            an_item(
                message=f"x{text}", reason=f"x{text}", label=f"x{text}", metrics={f"x{text}": 1.0}, stale=f"x{text}"
            ),
            an_item("b", outcome="fail", case=f"x{text}", error=f"x{text}", text=f"x{text}", model=f"x{text}"),
        )

    made = page(text)
    assert parsed(made).count == parsed(page("y")).count
    assert visible(text, keep="\n\t") in unescape(made)


def test_the_page_may_run_its_own_script_only_and_fetch_nothing() -> None:
    page = page_of(an_item())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)
    assert policy
    assert "default-src 'none'" in policy[1]
    assert re.search(r"script-src 'sha256-[A-Za-z0-9+/=]{44}';", policy[1])


# --- how it is made


def without_times(page: str) -> str:
    page = re.sub(r"flex-grow:[\d.]+", "", page)
    page = re.sub(r"[\d.]+ (?:ms|s)\b", "T", page)
    page = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", "WHEN", page)
    return re.sub(r"<dt>run</dt><dd>\w+</dd>", "RUN", page)


def test_the_page_is_the_same_with_workers_but_for_times(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    pages = []
    for workers in ((), ("-n", "2")):
        result = pytester.runpytest_subprocess("--looplet-report=r.html", *workers)
        assert result.ret == 0
        pages.append(without_times(Path("r.html").read_text(encoding="utf-8")))
    assert pages[0] == pages[1]
    assert pages[0].count('<details class="run ') == 3


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_several_reports_are_written_at_once(
    pytester: pytest.Pytester, workers: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    write_suite(pytester)
    result = pytester.runpytest_subprocess("--looplet-report=deep/er/a.html", "--looplet-report=b.json", *workers)
    assert result.ret == 0
    assert [line for line in result.outlines if line.startswith("report: ")] == [
        f"report: {pytester.path / 'deep/er/a.html'}",
        f"report: {pytester.path / 'b.json'}",
    ]
    assert [path.name for path in Path("deep/er").iterdir()] == ["a.html"]
    assert json.loads(Path("b.json").read_text())["totals"]["pass"] == 6
    monkeypatch.setenv("LOOPLET_REPORT", "c.html, d.json")
    pytester.runpytest_subprocess(*workers)
    assert Path("c.html").exists()
    assert Path("d.json").exists()


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_report_that_could_not_be_written_is_refused_before_anything_runs(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    write_suite(pytester)
    Path("file").touch()
    for name, why in (("file/r.html", "Not a directory|File exists"), ("evals/../out.html", "it is a directory")):
        Path("out.html").mkdir(exist_ok=True)
        result = pytester.runpytest_subprocess(f"--looplet-report={name}", *workers)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        assert re.search(f"--looplet-report: cannot write '.*': (?:{why}); nothing was run", result.stderr.str())
        assert executions(pytester) == []


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_report_that_cannot_be_written_at_the_end_fails_the_session_and_loses_nothing(
    pytester: pytest.Pytester, workers: tuple[str, ...], tmp_path: Path
) -> None:
    """The directory is replaced by a file while the evals run."""
    out = tmp_path / "out"
    away = (
        f"import shutil, pathlib\nshutil.rmtree({str(out)!r}, ignore_errors=True)\npathlib.Path({str(out)!r}).touch()\n"
    )
    write_suite(pytester, ini=f"looplet_report = {out}/r.html, b.json\n")
    Path("evals/eval_shop.py").write_text(away + Path("evals/eval_shop.py").read_text())
    result = pytester.runpytest_subprocess(*workers)
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    (line,) = [line for line in result.outlines if "was not written" in line]
    assert re.fullmatch(r"report: '.*/out/r.html' was not written: (?:File exists|Not a directory)", line)
    result.stdout.fnmatch_lines(["*6 passed*"])
    assert json.loads(Path("b.json").read_text())["totals"]["pass"] == 6


def test_a_mistake_in_the_page_costs_the_session_nothing_else(pytester: pytest.Pytester) -> None:
    conftest = """
        import pytest_looplet.reporting.html

        def pytest_collection_finish():
            pytest_looplet.reporting.html.render = lambda report, root, options, notes: 1 / 0
    """
    write_suite(pytester, conftest=conftest)
    result = pytester.runpytest_subprocess("--looplet-report=r.html", "--looplet-report=r.json")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "r.html' was not written: ZeroDivisionError: division by zero" in result.stdout.str()
    assert Path("r.json").exists()


def test_without_jinja2_an_html_report_is_refused_with_the_extra_to_install(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    Path("sitecustomize.py").write_text("import sys\nsys.modules['jinja2'] = None\n", encoding="utf-8")
    code = "import pytest, sys; sys.exit(pytest.main(['--looplet-report=r.html']))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": "."},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == pytest.ExitCode.USAGE_ERROR
    assert "--looplet-report='r.html': HTML needs jinja2; install looplet[pytest]" in done.stderr


def test_jinja2_is_loaded_only_when_a_page_is_written(pytester: pytest.Pytester) -> None:
    write_suite(
        pytester, conftest="import sys\ndef pytest_unconfigure():\n    print('loaded', 'jinja2' in sys.modules)"
    )
    for report, loaded in (("r.json", "False"), ("r.html", "True")):
        result = pytester.runpytest_subprocess("-s", f"--looplet-report={report}")
        assert f"loaded {loaded}" in result.stdout.str()
