"""Whose runs are in a directory, and which backends and trials the session was asked for that left them there.

`--looplet-traces` collects the same items, whatever the options of the session that scores.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.choices import Choice

if TYPE_CHECKING:
    from pathlib import Path

    from pytest_looplet.options import Options

SCHEMA = 1
SESSION, OUTCOME, JOURNAL = "session.json", "outcome.json", "journal.jsonl"


def write(folder: Path, options: Options) -> None:
    asked = {"schema": SCHEMA, "backends": list(options.backends), "trials": options.trials}
    (folder / SESSION).write_text(json.dumps(asked) + "\n", encoding="utf-8")


def adopt(options: Options, folder: Path) -> Options:
    """The options of this session, with the backends and trials of the one whose runs it scores."""
    path = folder / SESSION
    try:
        asked = json.loads(path.read_bytes())
        if asked["schema"] != SCHEMA:
            raise pytest.UsageError(f"{path} has schema {asked['schema']!r}; this looplet reads {SCHEMA}")
        return _asked_for(options, asked["backends"], asked["trials"])
    except FileNotFoundError:
        found = sorted({labels["backend"] for labels in labels_by_folder(folder).values()})
        if not found:
            raise pytest.UsageError(f"--looplet-traces: {folder} holds no run of an eval") from None
        return _asked_for(options, found, None)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise pytest.UsageError(f"{path} is damaged ({type(error).__name__}: {error}); run the evals again") from None


def _asked_for(options: Options, labels: list[str], trials: int | None) -> Options:
    choices = tuple(Choice(label, label, None) for label in labels)
    return options._replace(backends=tuple(labels), choices=choices, trials=options.trials or trials)


def labels_by_folder(folder: Path) -> dict[Path, dict[str, Any]]:
    """The runs in `folder`: each one's directory, and the labels that say whose it is."""
    runs = {path: _labels(path) for path in sorted(folder.iterdir()) if path.is_dir()}
    return {path: labels for path, labels in runs.items() if {"eval_file", "agent", "case", "backend"} <= labels.keys()}


def _labels(run: Path) -> dict[str, Any]:
    """Of its outcome, else of the first line of its trace; empty for a directory that is no run."""
    for path in (run / OUTCOME, run / JOURNAL, run / "run_1" / JOURNAL):
        try:
            with path.open("rb") as lines:
                told: Any = json.loads(lines.readline())
            return dict(told["labels"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
    return {}
