"""What GitHub Actions is told: annotations beside the evals, and the Markdown report as the summary of the step.

Commands to the runner are lines on standard output. GitHub shows ten annotations of a kind a step and drops the rest
without a word, so there is one for each eval that has a problem, the worst first, and the last one counts what is left.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet._pretty import visible
from pytest_looplet.reporting.problems import problems

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pytest_looplet.options import Options
    from pytest_looplet.reporting.problems import Problem

_SHOWN = 10
_SUMMARY_BYTES = 1024 * 1024  # of all that a step writes; GitHub refuses more


def annotation_lines(report: dict[str, Any], options: Options, root: Path) -> list[str]:
    """The commands that put each problem beside the eval it is about."""
    found = problems(report, options)
    lines = []
    for level in ("error", "warning"):
        of_level = [each for each in found if each.level == level]
        shown = of_level if len(of_level) <= _SHOWN else of_level[: _SHOWN - 1]
        lines += [_annotation(each, root) for each in shown]
        if left := len(of_level) - len(shown):
            lines.append(command(level, f"{left} more problems; the summary of the step lists them", {}))
    return lines


def _annotation(problem: Problem, root: Path) -> str:
    place = {"file": _in_repository(problem.file, root), "line": str(problem.line or 1)}
    title = f"{problem.about.rpartition('::')[2]}: {problem.what}"
    return command(problem.level, "\n".join(problem.details), place | {"title": title})


def command(name: str, message: str, properties: Mapping[str, str]) -> str:
    """One command, in the escaping of GitHub's runner: nothing in a text can end it, or begin another."""
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {told}::{_data(message)}" if told else f"::{name}::{_data(message)}"


def _data(text: str) -> str:
    return visible(text, keep="\n").replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")


def _in_repository(file: str, root: Path) -> str:
    """Annotations name files from the root of the repository, which need not be pytest's."""
    workspace = os.environ.get("GITHUB_WORKSPACE")
    path = root / file
    if workspace and path.is_relative_to(workspace):
        return path.relative_to(workspace).as_posix()
    return file


def append_summary(markdown: str) -> str | None:
    """Append the report to the summary of this step; return what went wrong, if anything did."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return None
    path = Path(name)
    try:
        written = path.stat().st_size if path.exists() else 0
        data = markdown.encode(errors="backslashreplace")
        if written + len(data) > _SUMMARY_BYTES:
            return "not added to GITHUB_STEP_SUMMARY: the summary of a step holds at most 1 MiB"
        with path.open("ab") as summary:
            summary.write(b"\n" + data if written else data)
    except OSError as error:
        return f"GITHUB_STEP_SUMMARY {name!r} was not written: {error.strerror or error}"
    return None


def workflow_commands(report: dict[str, Any] | None, options: Options, root: Path, notes: Sequence[str]) -> list[str]:
    """What the controller prints on GitHub: `notes` on the session, then the annotations."""
    lines = [command("error", note, {"title": "evals"}) for note in notes]
    return lines + (annotation_lines(report, options, root) if report else [])
