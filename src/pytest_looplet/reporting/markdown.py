"""The report as Markdown, for a pull request or the summary of a CI step.

Whatever a model, a tool or a user wrote stands in code: GitHub reads no Markdown or HTML there, and notifies nobody.
"""

from __future__ import annotations

import string
from typing import TYPE_CHECKING, Any

from looplet._pretty import shorten, visible
from pytest_looplet.reporting.problems import problems
from pytest_looplet.reporting.summary import baseline_notes, runs_line, totals_line
from pytest_looplet.reporting.table import columns_of, short_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from pytest_looplet.options import Options
    from pytest_looplet.reporting.problems import Problem

    Row = dict[str, Any]

_MAX_CHARS = 60_000  # GitHub takes 65,536 in a comment
_LISTED = 50
_NAME_CHARS = 160
_TEXT_CHARS = 400
_LOOKS = {"error": "❌", "warning": "⚠️"}


def render(report: dict[str, Any], options: Options, notes: Sequence[str] = ()) -> str:
    """The report's page. `notes` say what else is wrong with the session, such as that nothing was evaluated."""
    wrong = problems(report, options)
    parts = [_verdict(report, wrong, notes), *map(code, notes)]
    parts += _list([_problem(each) for each in wrong])
    parts += [_table(report["evals"]), runs_line(report, shown=lambda name: code(name, _NAME_CHARS))]
    parts += _list([code(note) for note in baseline_notes(report, options)])
    text = "\n\n".join(parts) + "\n"
    return text + _cases(report, room=_MAX_CHARS - len(text))


def _list(lines: list[str]) -> list[str]:
    left = len(lines) - _LISTED
    shown = lines if left <= 0 else [*lines[:_LISTED], f"and {left} more"]
    return ["\n".join(f"- {line}" for line in shown)] if shown else []


def code(text: str, limit: int = _TEXT_CHARS) -> str:
    """`text` as code, on one line, at any place of a line of text or of a table."""
    shown = shorten(visible(" ".join(text.split())), limit)
    if shown.strip() and not set(shown) & set("`|\\"):
        return f"`{shown}`"
    # within a table a code span would end at a bar; references to characters mean nothing but the character
    return f"<code>{''.join(f'&#{ord(char)};' if char in string.punctuation else char for char in shown)}</code>"


def _verdict(report: dict[str, Any], wrong: Sequence[Problem], notes: Sequence[str]) -> str:
    failed = bool(notes) or any(each.level == "error" for each in wrong)
    if not failed and all(item["outcome"] == "skip" for item in report["items"]):
        return f"### ⚠️ Nothing was evaluated: {totals_line(report)}"
    look = "❌" if failed else "⚠️" if wrong else "✅"
    return f"### {look} Evals {'failed' if failed else 'passed'}: {totals_line(report)}"


def _table(rows: Sequence[Row]) -> str:
    shown = rows[:_LISTED]
    names = [["eval", *(code(short_name(row, rows), _NAME_CHARS) for row in shown)]]
    if len({row["backend"] for row in rows}) > 1:
        names.append(["backend", *(code(row["backend"] or "", _NAME_CHARS) for row in shown)])
    figures = columns_of(shown)
    heading, *lines = zip(*names, *figures, strict=True)
    under = ["---"] * len(names) + ["--:"] * len(figures)
    table = "\n".join(f"| {' | '.join(cells)} |" for cells in [heading, under, *lines])
    left = len(rows) - len(shown)
    return f"{table}\n\n{left} more evals are in the other reports." if left else table


def _problem(problem: Problem) -> str:
    """One line. Of what is told below, case by case, only the count."""
    details = "" if problem.kind in ("error", "fail") else ": " + code(" ".join(problem.details), _TEXT_CHARS)
    return f"{_LOOKS[problem.level]} {code(problem.about.rpartition('::')[2], _NAME_CHARS)} {problem.what}{details}"


def _cases(report: dict[str, Any], room: int) -> str:
    """What broke, then what failed, folded, as much as there is room for."""
    items = [item for outcome in ("error", "fail") for item in report["items"] if item["outcome"] == outcome]
    if not items:
        return ""
    lines: list[str] = []
    for at, item in enumerate(items):
        told = "\n".join(_case(item, report))
        room -= len(told) + 1
        if room < 0:
            lines.append(f"- and {len(items) - at} more, which are in the other reports")
            break
        lines.append(told)
    heading = f"{len(items)} did not pass"
    return "\n".join(["", "<details>", f"<summary>{heading}</summary>", "", *lines, "", "</details>", ""])


def _case(item: dict[str, Any], report: dict[str, Any]) -> Iterator[str]:
    score = "" if item["score"] is None else f", score {item['score']:.3f}"
    label = "" if item["label"] is None else f", label {code(item['label'], _NAME_CHARS)}"
    yield f"- {item['outcome']}: {code(item['id'].rpartition('::')[2], _NAME_CHARS)}{score}{label}"
    message, reason = item["message"], item["reason"]
    for text in (message, "" if reason in message else reason):
        if text:
            yield f"  - {code(text)}"
    trace = report["runs"][item["run"]]["trace"] if item["run"] is not None else None
    if trace:
        yield f"  - {code(f'looplet show {trace}')}"
