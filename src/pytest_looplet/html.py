"""The report as one HTML page that needs nothing else: it opens from disk, and asks no server for anything.

What models and tools wrote reaches the page only through `_shown` and Jinja's escaping. Should that ever fail, the
page's policy lets no other script run than its own, known by its digest, and nothing be fetched.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined, Template
from markupsafe import Markup

from looplet._pretty import visible
from looplet.evals.case import slug
from looplet.evals.figures import OUTCOMES
from pytest_looplet.page_runs import loops_of, run_chars

if TYPE_CHECKING:
    from collections.abc import Iterable

_TEMPLATES = Path(__file__).parent / "templates"
_WORST_FIRST = ("error", "fail", "pass", "skip")


def render(report: dict[str, Any], root: Path) -> str:
    """The page of `report`. Traces are read below `root`."""
    script = _file("report.js")
    names = {row["eval"]: _short(row["eval"], report["evals"]) for row in report["evals"]}
    return _template().render(
        report=report,
        outcomes=OUTCOMES,
        names=names,
        numbers={name: number for number, name in enumerate(names)},
        cards=_cards(report, root),
        style=Markup(_file("report.css")),  # noqa: S704  # our own file
        script=Markup(script),  # noqa: S704  # our own file
        script_digest=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    )


@cache
def _template() -> Template:
    environment = Environment(
        autoescape=True,
        finalize=_shown,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"ms": _milliseconds, "seconds": _seconds, "score": _score, "model": _model}
    source = "\n".join(line.lstrip() for line in _file("report.html").splitlines())  # 8 % of a page otherwise
    return environment.from_string(source)


def _file(name: str) -> str:
    return (_TEMPLATES / name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """Every text of the page passes here before it is escaped: control and bidi characters are made visible."""
    return visible(value, keep="\n\t") if type(value) is str else value


def _cards(report: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    """One card a run, with the verdicts on it, and one for each eval without a run. What went wrong comes first."""
    verdicts: dict[int, list[dict[str, Any]]] = {}
    alone = []
    for item in report["items"]:
        if item["run"] is None:
            alone.append(_card(item["id"], None, [item]))
        else:
            verdicts.setdefault(item["run"], []).append(item)
    chars = run_chars(len(report["runs"]))
    cards = [
        _card(run["case"], run, verdicts.get(number, [])) | {"loops": _loops(run, root, chars)}
        for number, run in enumerate(report["runs"])
    ]
    cards = sorted([*cards, *alone], key=lambda card: _WORST_FIRST.index(card["outcome"]))
    return _with_ids(cards)


def _card(title: str, run: dict[str, Any] | None, items: list[dict[str, Any]]) -> dict[str, Any]:
    outcomes = [item["outcome"] for item in items]
    worst = min(outcomes, key=_WORST_FIRST.index)
    return {"title": title, "run": run, "items": items, "outcome": worst, "loops": []}


def _loops(run: dict[str, Any], root: Path, chars: int) -> list[dict[str, Any]]:
    return loops_of(root / run["trace"], run["trace"], chars) if run["trace"] else []


def _with_ids(cards: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give each card the id that links name: made of its case and backend, numbered where two are alike."""
    taken: dict[str, int] = {}
    named = []
    for card in cards:
        backend = card["run"]["backend"] if card["run"] else "no-run"
        name = f"run-{slug(card['title']) or 'unnamed'}-{slug(backend)}"
        taken[name] = taken.get(name, 0) + 1
        named.append(card | {"id": name if taken[name] == 1 else f"{name}-{taken[name]}"})
    return named


def _short(name: str, evals: list[dict[str, Any]]) -> str:
    """An eval's name without its file, where no other file has one of that name."""
    short = name.rpartition("::")[2]
    alike = [row for row in evals if row["eval"].rpartition("::")[2] == short]
    return short if len(alike) == 1 else name


def _model(of: dict[str, Any]) -> str:
    """Backend and model of a run, or of a row of `backends`."""
    backend, model = of.get("backend", of.get("name")), of["model"]
    return model if model == backend else f"{backend} {model}".strip()


def _milliseconds(value: float) -> str:
    return f"{value:.0f} ms" if value < 1000 else _seconds(value / 1000)


def _seconds(value: float) -> str:
    if value < 1:
        return f"{value * 1000:.0f} ms"
    return f"{value:.1f} s" if value < 60 else f"{value // 60:.0f} min {value % 60:.0f} s"


def _score(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}".rstrip("0").rstrip(".")
