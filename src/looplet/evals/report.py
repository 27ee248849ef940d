"""The report of one session as JSON: every graded item, the runs behind them, and each eval's figures.

Published form: `SCHEMA` below. It holds no wall times, so that equal sessions give equal reports.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from looplet._version import __version__
from looplet.evals.figures import OUTCOMES, count_outcomes, eval_figures, in_order, judge_usages, run_key, total_usage

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from looplet.evals.baseline import Comparison

REPORT_VERSION = 1

_TEXT: dict[str, Any] = {"type": "string"}
_COUNT: dict[str, Any] = {"type": "integer", "minimum": 0}
_TRIAL: dict[str, Any] = {"type": "integer", "minimum": 1}
_SCORE: dict[str, Any] = {"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}
_TEXT_OR_NULL: dict[str, Any] = {"type": ["string", "null"]}


def _object(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    return {"type": "object", "properties": required | (optional or {}), "required": sorted(required)}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [schema, {"type": "null"}]}


_USAGE = _object(
    {"input_tokens": _COUNT, "output_tokens": _COUNT, "cached_tokens": _COUNT, "cost": {"type": ["number", "null"]}}
)
_COUNTS: dict[str, Any] = dict.fromkeys(OUTCOMES, _COUNT)
_NUMBER_OR_NULL: dict[str, Any] = {"type": ["number", "null"]}
_INTERVAL = _or_null({"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2})
_TEXTS: dict[str, Any] = {"type": "array", "items": _TEXT}
_BY_K = _or_null({"type": "object", "additionalProperties": _SCORE})  # "1" and the number of trials
_VERDICT: dict[str, Any] = {"enum": ["pass", "fail", "undecided", None]}
_BASELINE = _object(
    {
        "verdict": {"enum": ["same", "better", "worse", "not compared"]},
        "why": _TEXT,
        "score": _SCORE,
        "delta": _NUMBER_OR_NULL,
        "interval": _INTERVAL,
        "p": _SCORE,
        "p_adjusted": _SCORE,
        "new_cases": _TEXTS,
        "removed_cases": _TEXTS,
    },
    {"left_out": _TEXTS},
)
_ROW = _object(
    {
        "eval": _TEXT,
        "backend": _TEXT_OR_NULL,
        "score": _SCORE,
        "interval": _INTERVAL,
        "pass_rate": _SCORE,
        "n_cases": _COUNT,  # with a score
        "n_trials": _COUNT,  # of all of them, with a score
        "pass_at_k": _BY_K,
        "pass_hat_k": _BY_K,
        **_COUNTS,
        "gate": _or_null(_object({"bar": _SCORE, "verdict": _VERDICT})),
        "baseline": _or_null(_BASELINE),
        "judge": _TEXT_OR_NULL,
        "usage": _USAGE,  # of the runs behind it, which other evals may share, and of its judge
    }
)
_ITEM = _object(
    {"id": _TEXT, "eval": _TEXT, "outcome": {"enum": list(OUTCOMES)}, "score": _SCORE},
    {
        "case": _TEXT_OR_NULL,
        "trial": _TRIAL,
        "trials": _TRIAL,
        "backend": _TEXT_OR_NULL,
        "passed": {"type": ["boolean", "null"]},
        "label": _TEXT_OR_NULL,
        "metrics": {"type": "object"},
        "reason": _TEXT,
        "message": _TEXT,
        "gate": _SCORE,
        "line": _COUNT,
        "eval_digest": _TEXT,
        "case_digest": _TEXT,
        "judge": _or_null(_object({"model": _TEXT, "usage": _USAGE})),
        "run": {"type": ["integer", "null"]},
    },
)

SCHEMA: dict[str, Any] = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "looplet eval report",
    **_object(
        {
            "schema": {"const": REPORT_VERSION},
            "looplet": _TEXT,
            "suite": _TEXT,
            "backends": {"type": "array", "items": _object({"name": _TEXT, "model": _TEXT})},
            "totals": _object({**_COUNTS, "usage": _USAGE, "judge_usage": _or_null(_USAGE)}),
            "evals": {"type": "array", "items": _ROW},
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
            "items": {"type": "array", "items": _ITEM},
        },
        {"unscored": _TEXTS},  # ids of evals without a result, where a session ended early
    ),
}


def build_report(items: Iterable[dict[str, Any]], *, suite: str) -> dict[str, Any]:
    """Make the report of `items`: each with id, eval, outcome, score and, when a run stands behind it, that `run`."""
    ordered = _with_backends(in_order(items))
    runs = {run_key(item["run"]): item["run"] for item in reversed(ordered) if item.get("run")}
    keys = sorted(runs)
    places = {key: place for place, key in enumerate(keys)}
    judges = judge_usages(ordered)
    return {
        "schema": REPORT_VERSION,
        "looplet": __version__,
        "suite": suite,
        "backends": _backends(runs.values()),
        "totals": {
            **count_outcomes(ordered),
            "usage": total_usage([runs[key]["usage"] for key in keys]),
            "judge_usage": total_usage(judges) if judges else None,
        },
        "evals": eval_figures(ordered),
        "runs": [runs[key] for key in keys],
        "items": [{**item, "run": places[run_key(item["run"])] if item.get("run") else None} for item in ordered],
    }


def add_baseline(report: dict[str, Any], comparisons: Iterable[Comparison]) -> None:
    """Put each comparison on the row it is about."""
    told = {(each.eval, each.backend): each.to_dict() for each in comparisons}
    for row in report["evals"]:
        row["baseline"] = told.get((row["eval"], row["backend"] or ""))


def _with_backends(items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """An item whose worker died before it told its backend belongs to the only one of its eval."""
    known: dict[str, set[str]] = {}
    for item in items:
        if item.get("backend"):
            known.setdefault(item["eval"], set()).add(item["backend"])
    only = {name: next(iter(backends)) for name, backends in known.items() if len(backends) == 1}
    return [{**item, "backend": item.get("backend") or only.get(item["eval"])} for item in items]


def _backends(runs: Iterable[dict[str, Any]]) -> list[dict[str, str]]:
    pairs = sorted({(run["backend"], run["model"]) for run in runs})
    return [{"name": name, "model": model} for name, model in pairs]


def to_json(report: dict[str, Any]) -> str:
    return json.dumps(report, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def write_whole(text: str, path: Path) -> None:
    """Write `text` as a file, whole or not at all: a reader never sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.partial")
    partial.write_text(text, encoding="utf-8", errors="backslashreplace")
    partial.replace(path)
