"""What is wrong with a session's evals, eval by eval: what the Markdown report and GitHub's annotations say first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from looplet._pretty import shorten
from pytest_looplet.cells import with_trial
from pytest_looplet.reporting import verdicts

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pytest_looplet.options import Options

_LISTED = 5
_CHARS = 200  # of a message


Level = Literal["error", "warning"]
Kind = Literal["gate", "baseline", "error", "fail", "stale"]
_KINDS: tuple[Kind, ...] = get_args(Kind)


class Problem(NamedTuple):
    """One thing that is wrong with one eval, or with one recording. An error fails the session, a warning does not.

    `what` is ours; `about` (a name) and `details` may hold what models, tools and users wrote.
    """

    kind: Kind
    level: Level
    what: str
    about: str
    file: str
    line: int | None
    details: tuple[str, ...]


def problems(report: dict[str, Any], options: Options) -> list[Problem]:
    """The worst first: verdicts on whole evals, then what broke, then what failed, then stale recordings."""
    found = [problem for row in report["evals"] for problem in _of_row(row, report, options)]
    found += _stale(report, options)
    return sorted(found, key=lambda each: (each.level != "error", _KINDS.index(each.kind)))


def _of_row(row: dict[str, Any], report: dict[str, Any], options: Options) -> Iterator[Problem]:
    items = verdicts.items_of(row, report)
    place = (verdicts.named(row, options), row["eval"].partition("::")[0], items[0].get("line"))
    gate, before = row["gate"], row["baseline"]
    if gate and gate["verdict"] in ("fail", "undecided"):
        level: Level = "error" if gate["verdict"] in verdicts.failing_verdicts(options) else "warning"
        what = "gate not met" if gate["verdict"] == "fail" else "gate undecided"
        yield Problem("gate", level, what, *place, (verdicts.gate_line(row),))
    if before and before["verdict"] == "worse":
        what, _, figures = verdicts.baseline_line(row).partition(": ")
        yield Problem("baseline", "error", what, *place, (figures,))
    kinds: tuple[tuple[Kind, str], ...] = (("error", "broke"), ("fail", "failed"))
    for kind, word in kinds:
        of_it = [item for item in items if item["outcome"] == kind]
        if of_it and (kind == "error" or gate is None):
            yield Problem(kind, "error", f"{len(of_it)} of {len(items)} {word}", *place, _messages(of_it))


def _messages(items: list[dict[str, Any]]) -> tuple[str, ...]:
    told = [
        f"{_name_in_eval(item)}: {shorten(item.get('message') or item['outcome'], _CHARS)}" for item in items[:_LISTED]
    ]
    return (*told, f"and {len(items) - _LISTED} more") if len(items) > _LISTED else tuple(told)


def _name_in_eval(item: dict[str, Any]) -> str:
    """What stands in brackets in an item's id; the name of one that has no case."""
    name = str(item["id"]).rpartition("::")[2]
    return name.partition("[")[2].removesuffix("]") or name


def _stale(report: dict[str, Any], options: Options) -> Iterator[Problem]:
    level: Level = "warning" if options.stale == "warn" else "error"
    for run in report["runs"]:
        if run["stale"]:
            about = f"{run['agent']}/{with_trial(run['case'], run['trial'])}"
            details = (shorten(run["stale"], _CHARS),)
            yield Problem("stale", level, "stale recording", about, run["file"], None, details)
