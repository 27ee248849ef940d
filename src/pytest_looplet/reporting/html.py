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
from looplet.evals.figures import OUTCOMES
from pytest_looplet.reporting.page_cards import groups_of
from pytest_looplet.reporting.problems import problems
from pytest_looplet.reporting.summary import baseline_notes
from pytest_looplet.reporting.table import columns_of, short_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pytest_looplet.options import Options

_TEMPLATES = Path(__file__).parent / "templates"


def render(report: dict[str, Any], root: Path, options: Options, notes: Sequence[str] = ()) -> str:
    """The page of `report`. Traces are read below `root`. `notes` say what else is wrong with the session."""
    script = _file("report.js")
    names = {row["eval"]: short_name(row, report["evals"]) for row in report["evals"]}
    groups = groups_of(report, root)
    wrong = problems(report, options)
    return _template().render(
        report=report,
        outcomes=OUTCOMES,
        names=names,
        numbers={name: number for number, name in enumerate(names)},
        columns=columns_of(report["evals"], verbose=True),
        several=len({row["backend"] for row in report["evals"]}) > 1,
        problems=wrong,
        failed=bool(notes) or any(each.level == "error" for each in wrong),
        notes=[*notes, *baseline_notes(report, options)],
        groups=groups,
        cards=[card for group in groups for card in group["cards"]],
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
