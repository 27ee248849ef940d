"""Entries of made-up items, as the plugin reports them, and the options of a session they could come from."""

from __future__ import annotations

from typing import Any

from pytest_looplet.options import Options
from pytest_looplet.reporting.report import unknown_entry

OPTIONS = Options._make([None] * len(Options._fields))._replace(
    backends=("replay",), undecided="fail", stale="fail", margin=0.05
)
USAGE = {"input_tokens": 1200, "output_tokens": 34, "cached_tokens": 0, "cost": 0.25}
BEFORE = {"verdict": "worse", "why": "", "score": 0.9, "delta": -0.4, "interval": [-0.6, -0.2], "p": 0.01}
BEFORE |= {"p_adjusted": 0.02, "new_cases": [], "removed_cases": ["z"], "left_out": ["y: no score now"]}


def entries(name: str, scores: dict[str, list[bool | None]], **fields: Any) -> list[dict[str, Any]]:
    """One entry for each trial of each case; None is an error."""
    return [
        unknown_entry(f"evals/{name}[{case}{f'-t{trial}' * (trial > 1)}]")
        | {
            "case": case,
            "trial": trial,
            "trials": len(given),
            "backend": "replay",
            "outcome": "error" if passed is None else "pass" if passed else "fail",
            "score": None if passed is None else float(passed),
            "passed": passed,
            "message": "" if passed else "boom",
        }
        | fields
        for case, given in scores.items()
        for trial, passed in enumerate(given, 1)
    ]


def a_run(case: str = "x", **fields: Any) -> dict[str, Any]:
    return {
        "file": "evals/eval_x.py",
        "agent": "agent",
        "case": case,
        "trial": 1,
        "backend": "replay",
        "model": "m",
        "stop_reason": "done",
        "error": None,
        "stale": None,
        "trace": None,
        "text": None,
        "usage": USAGE,
    } | fields
