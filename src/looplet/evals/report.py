"""The report of one session as JSON: every graded item, the runs behind them, and each eval's figures.

Published form: `SCHEMA` below. It holds no wall times, so that equal sessions give equal reports.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._version import __version__

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

REPORT_VERSION = 1
OUTCOMES = ("pass", "fail", "error", "skip")

_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_TRIAL: dict[str, Any] = {"type": "integer", "minimum": 1}
_SCORE: dict[str, Any] = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}
_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": required | (optional or {}), "required": sorted(required)}


_USAGE = _object(
    {"input_tokens": _COUNT, "output_tokens": _COUNT, "cached_tokens": _COUNT, "cost": {"type": ["number", "null"]}}
)
_FIGURES: dict[str, Any] = dict.fromkeys(OUTCOMES, _COUNT)

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "looplet eval report",
    **_object(
        {
            "schema": {"const": REPORT_VERSION},
            "looplet": _TEXT,
            "suite": _TEXT,
            "backends": {"type": "array", "items": _object({"name": _TEXT, "model": _TEXT})},
            "totals": _object({**_FIGURES, "usage": _USAGE}),
            "evals": {"type": "array", "items": _object({"eval": _TEXT, "score": _SCORE, **_FIGURES})},
            "runs": {
                "type": "array",
                "items": _object(
                    {
                        "file": _TEXT,
                        "agent": _TEXT,
                        "case": _TEXT,
                        "trial": _TRIAL,
                        "backend": _TEXT,
                        "model": _TEXT,
                        "stop_reason": _TEXT_OR_NULL,
                        "error": _TEXT_OR_NULL,
                        "stale": _TEXT_OR_NULL,
                        "trace": _TEXT_OR_NULL,
                        "usage": _USAGE,
                    },
                    {"text": _TEXT_OR_NULL},  # of a run without a trace, what it did
                ),
            },
            "items": {
                "type": "array",
                "items": _object(
                    {"id": _TEXT, "eval": _TEXT, "outcome": {"enum": list(OUTCOMES)}, "score": _SCORE},
                    {
                        "case": _TEXT_OR_NULL,
                        "label": _TEXT_OR_NULL,
                        "reason": _TEXT,
                        "metrics": {"type": "object"},
                        "run": {"type": ["integer", "null"]},
                    },
                ),
            },
        }
    ),
}


def build_report(items: Iterable[dict[str, Any]], *, suite: str) -> dict[str, Any]:
    """Make the report of `items`: each with id, eval, outcome, score and, when a run stands behind it, that `run`."""
    ordered = sorted(items, key=lambda item: str(item["id"]))
    runs: dict[str, dict[str, Any]] = {}
    for item in ordered:
        if item.get("run"):
            runs.setdefault(_run_key(item["run"]), item["run"])
    keys = sorted(runs)
    places = {key: place for place, key in enumerate(keys)}
    return {
        "schema": REPORT_VERSION,
        "looplet": __version__,
        "suite": suite,
        "backends": _backends(runs.values()),
        "totals": {**count_outcomes(ordered), "usage": _total_usage([runs[key] for key in keys])},
        "evals": eval_figures(ordered),
        "runs": [runs[key] for key in keys],
        "items": [{**item, "run": places[_run_key(item["run"])] if item.get("run") else None} for item in ordered],
    }


def _backends(runs: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    pairs = sorted({(run["backend"], run["model"]) for run in runs})
    return [{"name": name, "model": model} for name, model in pairs]


def eval_figures(items: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean score and outcome counts of each eval, by eval. An error has no score and does not lower the mean."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for item in items:
        groups.setdefault(item["eval"], []).append(item)
    return [
        {"eval": name, "score": _mean([item["score"] for item in group]), **count_outcomes(group)}
        for name, group in sorted(groups.items())
    ]


def count_outcomes(items: Iterable[dict[str, Any]]) -> dict[str, int]:
    counts = dict.fromkeys(OUTCOMES, 0)
    for item in items:
        counts[item["outcome"]] += 1
    return counts


def to_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False) + "\n"


def write_whole(text: str, path: Path) -> None:
    """Write `text` as a file, whole or not at all: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)


def _run_key(run: dict[str, Any]) -> str:
    return "\n".join(str(run[field]) for field in ("file", "agent", "case", "backend", "trial"))


def _mean(scores: Sequence[float | None]) -> float | None:
    known = sorted(score for score in scores if score is not None)  # sorted: the same sum in every order of arrival
    return round(sum(known) / len(known), 6) if known else None


def _total_usage(runs: Sequence[dict[str, Any]]) -> dict[str, Any]:
    costs = [run["usage"]["cost"] for run in runs]
    total: dict[str, Any] = {
        field: sum(run["usage"][field] for run in runs) for field in ("input_tokens", "output_tokens", "cached_tokens")
    }
    # one unknown price makes the sum unknown: a partial sum reads like the whole
    return total | {"cost": None if not costs or None in costs else sum(costs)}
