"""The reports of a session as files: one dict, written in each form that was asked for."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.options import OPTIONS
from pytest_looplet.reporting.report import eval_name
from pytest_looplet.reporting.suite import suite_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path


def check_apart(baseline: Path | None, paths: Iterable[Path]) -> None:
    """Refuse to write a report over the one it is compared with: the next session would compare with nothing."""
    for path in paths:
        if baseline is not None and path.resolve() == baseline.resolve():
            raise pytest.UsageError(
                f"--looplet-report would replace the baseline {str(baseline)!r}; "
                "write the report elsewhere, and move it there once you accept it; nothing was run"
            )


def check_writable(paths: Iterable[Path]) -> None:
    """Refuse a report that could not be written, before anything runs. Missing directories are made."""
    for path in paths:
        probe = path.with_name(f".{path.name}.partial")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.is_dir():
                raise IsADirectoryError("it is a directory")
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise pytest.UsageError(
                f"--looplet-report: cannot write {str(path)!r}: {error.strerror or error}; nothing was run"
            ) from None


def make(entries: Iterable[dict[str, Any]], config: pytest.Config, baseline: dict[str, Any] | None) -> dict[str, Any]:
    """The report of this session, compared with `baseline`."""
    from looplet.evals.report import add_baseline, build_report  # loads looplet: only for sessions with evals

    report = build_report(entries, suite=suite_name(config.rootpath))
    if baseline is not None:
        from looplet.evals.baseline import compare  # only where there is one

        add_baseline(report, compare(report, baseline, margin=config.stash[OPTIONS].margin))
    return report


def leave_open(report: dict[str, Any], unscored: Sequence[str]) -> None:
    """Name the evals without a result in the report of a session that ended early, and judge no gate without them."""
    if not unscored:
        return
    report["unscored"] = list(unscored)
    open_ones = {eval_name(nodeid) for nodeid in unscored}
    for row in report["evals"]:
        if row["gate"] and row["eval"] in open_ones:
            row["gate"]["verdict"] = None


def write(
    report: dict[str, Any], paths: Sequence[Path], config: pytest.Config, notes: Sequence[str]
) -> list[tuple[Path, str | None]]:
    """Write the report in every form; return each path with what went wrong, if anything did."""
    from looplet.evals.report import write_whole  # loads looplet: only for sessions with evals

    written: list[tuple[Path, str | None]] = []
    for path in paths:
        try:
            write_whole(_FORMS[path.suffix](report, config, notes), path)
        except OSError as error:
            written.append((path, f"{str(path)!r} was not written: {error.strerror or error}"))
        except Exception as error:  # noqa: BLE001  # a mistake in a page must not cost a session its result
            written.append((path, f"{str(path)!r} was not written: {type(error).__name__}: {error}"))
        else:
            written.append((path, None))
    return written


def _json(report: dict[str, Any], _config: pytest.Config, _notes: Sequence[str]) -> str:
    from looplet.evals.report import to_json  # as above

    return to_json(report)


def _html(report: dict[str, Any], config: pytest.Config, notes: Sequence[str]) -> str:
    from pytest_looplet.reporting.html import render  # loads jinja2: only when a page is written

    return render(report, config.rootpath, config.stash[OPTIONS], notes)


def _markdown(report: dict[str, Any], config: pytest.Config, notes: Sequence[str]) -> str:
    from pytest_looplet.reporting.markdown import render  # as above

    return render(report, config.stash[OPTIONS], notes)


_FORMS: dict[str, Callable[[dict[str, Any], pytest.Config, Sequence[str]], str]] = {
    ".json": _json,
    ".html": _html,
    ".md": _markdown,
}


def is_on_github() -> bool:
    return os.environ.get("GITHUB_ACTIONS") == "true"


def add_to_github(report: dict[str, Any], config: pytest.Config, notes: Sequence[str]) -> str | None:
    """Append the Markdown report to the summary of this step, on GitHub; return what went wrong, if anything did."""
    if not is_on_github():
        return None
    from pytest_looplet.reporting.github import append_summary  # only there

    try:
        return append_summary(_markdown(report, config, notes))
    except Exception as error:  # noqa: BLE001  # as above
        return f"the summary for GitHub was not written: {type(error).__name__}: {error}"


def github_lines(report: dict[str, Any] | None, config: pytest.Config, notes: Sequence[str]) -> list[str]:
    """What is printed for GitHub, which makes annotations of it. Nothing where there are no evals and no `notes`."""
    if not is_on_github() or not (report or notes):
        return []
    from pytest_looplet.reporting.github import workflow_commands  # as above

    return workflow_commands(report, config.stash[OPTIONS], config.rootpath, notes)
