"""The HTML report in a real browser, opened from disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import hostile
from tests.support.chromium import PHONE, Page, chromium, find_chromium
from tests.support.plugin_files import write_suite
from tests.support.report_entries import OPTIONS, a_run, entries
from tests.support.traces import cheese_run, write_trace

from looplet.evals.report import build_report
from pytest_looplet.reporting.html import render

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(
    find_chromium() is None, reason="no Chromium: `apt-get install --no-install-recommends chromium` brings one"
)

OUTCOMES = ("pass", "fail", "error", "skip")
MANY = 1_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture
def page(browser: Page) -> Page:
    browser.look()
    browser.forget()
    return browser


def item_of(number: int, name: str, outcome: str, root: str) -> dict[str, Any]:
    return {
        "id": f"evals/eval_x.py::eval_{name}[case-{number}]",
        "eval": f"evals/eval_x.py::eval_{name}",
        "case": f"case-{number}",
        "outcome": outcome,
        "score": 0.5,
        "label": None,
        "metrics": {},
        "reason": "",
        "message": f"message of {number}" if outcome == "fail" else "",
        "run": {
            "file": "evals/eval_x.py",
            "agent": "agent",
            "case": f"case-{number}",
            "trial": 1,
            "backend": "ollama" if number % 2 else "replay",
            "model": "m",
            "stop_reason": "done",
            "error": None,
            "stale": None,
            "trace": root,
            "usage": {"input_tokens": 1, "output_tokens": 1, "cached_tokens": 0, "cost": None},
        },
    }


@pytest.fixture(scope="module")
def thousand(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A page of 1,000 runs: every fourth failed, every second on another backend; one has a trace of its own."""
    root = tmp_path_factory.mktemp("many")
    write_trace(root / "all", cheese_run())
    special = cheese_run()
    write_trace(root / "one", [*special[:-1], special[-1].replace(output="the needle in it")])
    items = []
    for number in range(MANY):
        trace = "one" if number == 777 else "all"
        items += [
            item_of(number, "amount", OUTCOMES[number % 4], trace),
            item_of(number, "tone", "pass", trace),
        ]
    path = root / "report.html"
    path.write_text(render(build_report(items, suite="many"), root, OPTIONS), encoding="utf-8")
    return path


def shown(page: Page) -> int:
    count: int = page.run("document.querySelectorAll('.run:not([hidden])').length")
    return count


def is_quiet(page: Page, path: Path) -> bool:
    return page.problems == [] and page.requests == [path.as_uri()]


def test_it_opens_from_disk_and_asks_for_nothing(page: Page, thousand: Path) -> None:
    page.open(thousand.as_uri())
    assert page.run("document.title") == "✗ many · evals"
    assert shown(page) == MANY
    assert page.run("document.querySelectorAll('.part').length") == 0, "details are inert until they are opened"
    assert is_quiet(page, thousand)


def test_filters_answer_on_a_thousand_runs(page: Page, thousand: Path) -> None:
    page.open(thousand.as_uri())
    page.run("document.querySelector('.toggle.fail').click()")
    assert shown(page) == MANY // 4
    assert page.run("document.getElementById('shown').textContent") == f"{MANY // 4} of {MANY}"
    page.run("document.querySelector('.toggle.error').click()")
    assert shown(page) == MANY // 2
    page.run("backend.value = '0'; backend.dispatchEvent(new Event('change'))")
    assert shown(page) == MANY // 4
    page.run("[...document.querySelectorAll('[data-eval]')].find((each) => each.textContent === 'eval_tone').click()")
    assert shown(page) == 0
    assert page.run("document.getElementById('nothing').hidden") is False
    page.press("Escape")
    assert shown(page) == MANY
    assert is_quiet(page, thousand)


def test_the_trials_of_a_case_leave_with_their_heading(page: Page, tmp_path: Path) -> None:
    items = [
        item | {"run": a_run(item["case"], trial=item["trial"])}
        for item in entries("e.py::eval_a", {"good": [True, True], "bad": [True, False]})
    ]
    path = tmp_path / "r.html"
    path.write_text(render(build_report(items, suite="x"), tmp_path, OPTIONS), encoding="utf-8")
    page.open(path.as_uri())
    headings = "[...document.querySelectorAll('.case h3')].filter((each) => each.offsetParent).length"
    assert page.run(headings) == 2
    page.run("document.querySelector('.toggle.fail').click()")
    assert (shown(page), page.run(headings)) == (1, 1)
    assert is_quiet(page, path)


def test_the_search_looks_into_every_trace_and_unfolds_what_it_found(page: Page, thousand: Path) -> None:
    page.open(thousand.as_uri())
    page.press("/")
    page.type("NEEDLE")
    assert shown(page) == 1
    page.press("Escape")
    page.press("/")
    page.type("gouda, old")
    assert shown(page) == MANY
    page.run("document.querySelector('.run').open = true; new Promise((done) => setTimeout(done))")
    assert page.run("document.querySelectorAll('.run .part details[open]').length") == 1
    assert page.run("CSS.highlights.get('found').size") >= 1
    page.type(" and never seen")
    assert shown(page) == 0


def test_keys_walk_open_and_unfold(page: Page, thousand: Path) -> None:
    page.open(thousand.as_uri())
    page.press("j")
    page.press("j")
    page.press("k")
    assert page.run("document.activeElement.closest('.run').id") == page.run("document.querySelector('.run').id")
    page.press("Enter")
    assert page.run("new Promise((done) => setTimeout(() => done(document.querySelector('.run').open)))") is True
    assert page.run("document.querySelectorAll('.part details[open]').length") == 0
    page.press("u")
    folded = "document.querySelectorAll('.part details:not([open])').length"
    assert page.run(folded) == 0
    assert page.run("document.querySelectorAll('.part details[open]').length") > 0
    page.press("u")
    assert page.run(folded) > 0


def test_a_link_to_a_run_or_a_step_opens_it(page: Page, thousand: Path) -> None:
    page.open(f"{thousand.as_uri()}#run-case-2-replay-step2")
    assert page.run("[...document.querySelectorAll('.run[open]')].map((each) => each.id).join()") == "run-case-2-replay"
    assert page.run("document.querySelector('.target details').open") is True
    assert "out of brie" in page.run("document.querySelector('.target pre').textContent")
    top = page.run("document.querySelector('.target').getBoundingClientRect().top")
    assert 0 <= top < page.run("innerHeight")


def test_nothing_a_model_wrote_acts(page: Page, pytester: pytest.Pytester) -> None:
    write_suite(pytester, hostile.EVALS, shop=hostile.SHOP)
    pytester.runpytest_subprocess("--looplet-report=r.html")
    path = Path("r.html").absolute()
    page.open(path.as_uri())
    page.run("cards.forEach(open); document.querySelectorAll('details').forEach((each) => { each.open = true; })")
    assert page.run("typeof owned") == "undefined"
    assert page.run("document.title") == f"✗ {pytester.path.name} · evals"
    assert page.run("document.querySelectorAll('script, style').length") == 2
    assert page.run("document.querySelectorAll('img, #escaped, template').length") == 0
    assert page.run("getComputedStyle(document.body).display") == "block"
    assert page.run("document.querySelectorAll('main > section > .run').length") == page.run("cards.length")
    texts = page.run("document.body.textContent")
    for text in (hostile.HOSTILE["script"], hostile.HOSTILE["template"], hostile.HOSTILE["jinja"], r"\u202egnp.exe"):
        assert text in texts
    assert is_quiet(page, path)


def test_its_policy_stops_what_escaping_would_let_through(page: Page, tmp_path: Path) -> None:
    """The second line of defence: a page into which somebody got a script and an image does not run or fetch them."""
    item = item_of(1, "a", "pass", "none")
    text = render(build_report([item], suite="x"), tmp_path, OPTIONS)
    added = "<script>window.owned = 1</script><img src='https://example.invalid/x.png'><i onclick='owned = 1' id=i></i>"
    path = tmp_path / "r.html"
    path.write_text(text.replace("</footer>", f"{added}</footer>"), encoding="utf-8")
    page.open(path.as_uri())
    page.run("document.getElementById('i').click()")
    assert page.run("typeof owned") == "undefined"
    assert page.requests == [path.as_uri()]
    assert any("Content Security Policy" in problem for problem in page.problems)


def test_the_timeline_has_the_width_of_the_page_and_its_parts_lead_to_their_steps(page: Page, thousand: Path) -> None:
    """Also of a run that took no time to speak of."""
    page.open(f"{thousand.as_uri()}#run-case-2-replay")
    page.run("line = document.querySelector('.timeline'); bars = [...line.children]")
    assert page.run("line.clientWidth - bars.at(-1).getBoundingClientRect().right + line.offsetLeft") < 1
    page.run("document.querySelectorAll('.timeline a')[1].click(); new Promise((done) => setTimeout(done))")
    assert page.run("document.querySelector('.target').id") == "run-case-2-replay-step2"


def test_it_fits_a_phone(page: Page, thousand: Path) -> None:
    page.look(PHONE)
    page.open(f"{thousand.as_uri()}#run-case-2-replay-step2")
    assert page.run("document.documentElement.scrollWidth") <= PHONE.width


def test_it_is_dark_where_the_reader_wants_it(page: Page, thousand: Path) -> None:
    colour = "getComputedStyle(document.body).backgroundColor"
    page.open(thousand.as_uri())
    light = page.run(colour)
    page.look(dark=True)
    assert page.run(colour) != light
