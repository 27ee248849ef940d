"""One session, six accounts of it: terminal, JSON, Markdown, step summary, HTML, JUnit. They say the same."""

from __future__ import annotations

import json
import re
from html import unescape
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

import pytest
from jsonschema import Draft202012Validator
from tests.support.plugin_files import SHOP, summary_of, write_suite
from tests.support.secrets import KEYS, hits_in

from looplet.evals.report import SCHEMA

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

FACTOR = """

    def factor():
        return 1
"""
SUITE = """
    import pytest
    from looplet.evals import EvalResult
    from shop import agent, factor

    CASES = [{"id": f"refund-{order}", "task": f"Refund order {order}", "expected": order} for order in range(10, 17)]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES, trials=2)

    @pytest.mark.looplet(gate=0.5)
    def eval_gated(run, case):
        return case.expected % 3 > 0

    def eval_plain(run, case):
        assert case.expected != 12, "twelve | is `wrong`, KEY"

    def eval_scored(run, case, request):
        if case.expected == 13:
            raise RuntimeError("no verdict")
        return EvalResult(score=factor() * (0.5 + 0.5 * ("-t2" in request.node.name)), label="fair", reason="key KEY")
"""
LIVE = """
    import pytest
    from looplet import MockLLMBackend
    from looplet.messages import Reply
    from looplet.types import Usage
    from shop import script

    class Live:
        name = "live-model-1"

        def chat(self, prompt):
            order = int(prompt.messages[0].content.split()[-1])
            replies = MockLLMBackend([script(order)[sum(message.role == "assistant" for message in prompt.messages)]])
            return replies.chat(prompt).replace(usage=Usage(1000, 100))

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_make_backend(name, config):
        return Live() if name == "live" else None
"""
COLUMNS = ("score", "95% interval", "n", "not passed", "cost", "delta", "gate")
ARGUMENTS = ("--looplet-backend=live", "--looplet-report=r.json", "--looplet-report=r.md", "--looplet-report=r.html")


class Account(NamedTuple):
    """What one of them says: the cells of each eval, the outcome counts, and the tokens and cost of all."""

    rows: dict[str, dict[str, str]]
    counts: dict[str, int]
    usage: tuple[int, int, str]


def cells(names: Sequence[str], values: Sequence[str]) -> dict[str, str]:
    told = dict(zip(names, (value.strip() for value in values), strict=True))
    return {name: told.get(name, "") for name in COLUMNS}


def counts_in(text: str) -> dict[str, int]:
    words = {"pass": "passed", "fail": "failed", "error": "errors?", "skip": "skipped"}
    found = {key: re.search(rf"(\d+) {word}", text) for key, word in words.items()}
    return {key: int(match[1]) for key, match in found.items() if match}


def usage_in(text: str) -> tuple[int, int, str]:
    match = re.search(r"tokens (\d+) in, (\d+) out; cost (\S+)", text)
    assert match, text
    return int(match[1]), int(match[2]), match[3]


def from_terminal(lines: list[str], quiet: list[str]) -> Account:
    heading, *rows = lines[:4]
    columns = list(re.finditer(r"\S+(?: \S+)*", heading))[1:]
    names, ends = [each[0] for each in columns], [each.end() for each in columns]  # cells end where headings do
    starts = [0, *ends[:-1]]
    return Account(
        {
            row.split()[0].rpartition("::")[2]: cells(
                names, [re.split(r"\s{2,}", row[a:b])[-1] for a, b in zip(starts, ends, strict=True)]
            )
            for row in rows
        },
        counts_in(quiet[0]),
        usage_in(lines[4]),
    )


def from_json(report: dict[str, Any]) -> Account:
    def row(each: dict[str, Any]) -> Iterator[str]:
        yield f"{each['score']:.3f}"
        yield "{:.2f} to {:.2f}".format(*each["interval"])
        yield f"{each['n_cases']}x2"
        words = (("fail", "failed"), ("error", "error"))
        yield ", ".join(f"{each[key]} {word}" for key, word in words if each[key])
        yield f"{each['usage']['cost']:.4f}"
        delta = each["baseline"]["delta"]
        yield f"{delta:+.3f}" + (" worse" if each["baseline"]["verdict"] == "worse" else "")
        words_of_gates = {"pass": "met", "fail": "not met", "undecided": "undecided"}
        yield f"{each['gate']['bar']} {words_of_gates[each['gate']['verdict']]}" if each["gate"] else ""

    usage = report["totals"]["usage"]
    counts = {key: report["totals"][key] for key in ("pass", "fail", "error", "skip") if report["totals"][key]}
    return Account(
        {each["eval"].rpartition("::")[2]: cells(COLUMNS, list(row(each))) for each in report["evals"]},
        counts,
        (usage["input_tokens"], usage["output_tokens"], f"{usage['cost']:.4f}"),
    )


def from_markdown(text: str) -> Account:
    heading, _, *rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("|")]
    whole = [re.split(r" ?\| ?", line)[1:-1] for line in text.splitlines() if line.startswith("|")][2:]
    assert len(rows) == len(whole)
    return Account(
        {row[0].strip("`"): cells(heading[1:], row[1:]) for row in whole},
        counts_in(text.splitlines()[0]),
        usage_in(text),
    )


def from_html(page: str) -> Account:
    def texts(tag: str, part: str) -> list[str]:
        found = re.findall(rf"<{tag}[^>]*>(.*?)</{tag}>", part, re.DOTALL)
        return [unescape(" ".join(re.sub(r"<[^>]*>", "", each).split())) for each in found]

    head = page.partition("<thead>")[2].partition("</thead>")[0]
    rows = re.findall(r"<tr>(.*?)</tr>", page.partition("<tbody>")[2].partition("</tbody>")[0], re.DOTALL)
    names = texts("th", head)[2:]
    told = {texts("th", row)[0]: dict(zip(names, texts("td", row)[1:], strict=True)) for row in rows}
    totals = " ".join(texts("p", page.partition("<header>")[2])[0:2])
    match = re.search(r"([\d,]+) tokens in, ([\d,]+) out · cost (\S+)", totals)
    assert match, totals
    return Account(
        {name: {column: row.get(column, "") for column in COLUMNS} for name, row in told.items()},
        counts_in(totals),
        (int(match[1].replace(",", "")), int(match[2].replace(",", "")), match[3]),
    )


def properties(case: ElementTree.Element) -> dict[str, str]:
    return {each.get("name", ""): each.get("value", "") for each in case.iter("property")}


def check_junit(root: ElementTree.Element, report: dict[str, Any]) -> None:
    """Each item with its score, label, trial, backend and cost; the verdicts on whole evals are cases of their own."""
    told = {f"{case.get('classname')}::{case.get('name')}": case for case in root.iter("testcase")}
    for item in report["items"]:
        case = told.pop(item["id"].replace("/", ".").replace(".py::", "::", 1))
        has = properties(case)
        run = report["runs"][item["run"]]
        score = has.get("looplet_score")
        assert (score and float(score)) == (score and pytest.approx(item["score"]))
        assert (score is None) == (item["score"] is None)
        assert has.get("looplet_label") == item["label"]
        assert has["looplet_trial"] == str(item["trial"])
        assert has["looplet_backend"] == item["backend"] == "live"
        assert float(has["looplet_cost"]) == pytest.approx(run["usage"]["cost"])
        failed = case.find("failure") is not None
        assert failed == (item["outcome"] in ("fail", "error") and item["gate"] is None)
    assert all(case.find("failure") is not None for case in told.values())
    names = {row["eval"].rpartition("::")[2]: row for row in report["evals"]}
    gates = {f"{name}[gate]" for name, row in names.items() if row["gate"] and row["gate"]["verdict"] != "pass"}
    drops = {f"{name}[baseline]" for name, row in names.items() if row["baseline"]["verdict"] == "worse"}
    assert {name.rpartition("::")[2] for name in told} == gates | drops


def run(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    return pytester.runpytest_subprocess(*ARGUMENTS, *arguments)


@pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "workers"])
def test_every_form_of_the_report_says_the_same(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch, workers: tuple[str, ...]
) -> None:
    secret = KEYS["openai"]
    suite = SUITE.replace("KEY", secret)
    monkeypatch.setenv("COLUMNS", "160")
    write_suite(pytester, suite, shop=SHOP + FACTOR, conftest=LIVE, ini="looplet_prices = live-model-1 1.5 6\n")
    run(pytester)
    Path("r.json").rename("before.json")

    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary.md")
    Path("shop.py").write_text(Path("shop.py").read_text().replace("return 1", "return 0.5"))
    result = run(pytester, "--looplet-baseline=before.json", "--junitxml=junit.xml", *workers)
    lines = summary_of(result)
    quiet = summary_of(run(pytester, "--looplet-baseline=before.json", "-q", *workers))

    report = json.loads(Path("r.json").read_text(encoding="utf-8"))
    Draft202012Validator(SCHEMA).validate(report)
    expected = from_json(report)
    assert from_terminal(lines, quiet) == expected
    markdown = Path("r.md").read_text(encoding="utf-8")
    assert from_markdown(markdown) == expected
    assert Path("summary.md").read_text(encoding="utf-8") == f"{markdown}\n{markdown}", "one session each"
    assert from_html(Path("r.html").read_text(encoding="utf-8")) == expected
    check_junit(ElementTree.parse("junit.xml").getroot(), report)
    assert result.ret == pytest.ExitCode.TESTS_FAILED

    for file in ("r.json", "r.md", "r.html", "junit.xml", "summary.md"):
        assert secret not in Path(file).read_text(encoding="utf-8"), file
    assert "[redacted]" in unescape(markdown)
    assert not hits_in(pytester.path / ".looplet", secret)


def test_reports_are_the_same_bytes_with_workers(pytester: pytest.Pytester) -> None:
    write_suite(pytester, SUITE, shop=SHOP + FACTOR, conftest=LIVE, ini="looplet_prices = live-model-1 1.5 6\n")
    made = []
    for workers in ((), ("-n", "2"), ("-n", "2", "--dist=loadgroup")):
        run(pytester, *workers)
        made.append([Path(name).read_bytes() for name in ("r.json", "r.md")])
    assert made[0] == made[1] == made[2]
