"""The JSON report."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from looplet.evals.report import SCHEMA, build_report, to_json, write_whole

if TYPE_CHECKING:
    from pathlib import Path


def _run(case: str, cost: float | None = None) -> dict[str, Any]:
    usage = {"input_tokens": 3, "output_tokens": 2, "cached_tokens": 0, "cost": cost}
    where = {"file": "e.py", "agent": "a", "case": case, "trial": 1, "backend": "openai", "model": "m"}
    return where | {"stop_reason": "done", "error": None, "stale": None, "trace": "t", "usage": usage}


def _item(name: str, case: str, outcome: str, score: float | None, run: dict[str, Any] | None) -> dict[str, Any]:
    return {"id": f"{name}[{case}]", "eval": name, "case": case, "outcome": outcome, "score": score, "run": run}


ITEMS = [
    _item("e.py::b", "1", "pass", 1.0, _run("1")),
    _item("e.py::a", "1", "fail", 0.0, _run("1")),
    _item("e.py::a", "2", "pass", 0.5, _run("2")),
    _item("e.py::a", "3", "error", None, None),
]


def test_items_point_at_runs_that_stand_once() -> None:
    report = build_report(ITEMS, suite="shop")
    assert [run["case"] for run in report["runs"]] == ["1", "2"]
    assert [(item["id"], item["run"]) for item in report["items"]] == [
        ("e.py::a[1]", 0),
        ("e.py::a[2]", 1),
        ("e.py::a[3]", None),
        ("e.py::b[1]", 0),
    ]
    assert report["backends"] == [{"name": "openai", "model": "m"}]
    assert report["totals"]["usage"]["input_tokens"] == 6


def test_the_order_of_arrival_does_not_matter() -> None:
    assert build_report(ITEMS, suite="shop") == build_report(ITEMS[::-1], suite="shop")


def test_one_unknown_price_makes_the_sum_unknown_never_zero() -> None:
    priced = [_item("a", case, "pass", 1.0, _run(case, cost)) for case, cost in (("1", 0.5), ("2", 0.25))]
    assert build_report(priced, suite="")["totals"]["usage"]["cost"] == 0.75
    priced.append(_item("a", "3", "pass", 1.0, _run("3", None)))
    assert build_report(priced, suite="")["totals"]["usage"]["cost"] is None
    assert build_report([], suite="")["totals"]["usage"]["cost"] is None


def test_the_written_report_follows_the_published_schema(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "report.json"
    write_whole(to_json(build_report(ITEMS, suite="shop")), path)
    assert _violations(json.loads(path.read_text()), SCHEMA) == []
    assert [file.name for file in path.parent.iterdir()] == ["report.json"]
    broken = build_report(ITEMS, suite="shop")
    broken["items"][0]["outcome"] = "maybe"
    del broken["runs"][0]["trace"]
    assert _violations(broken, SCHEMA) == ["/runs/0: no trace", "/items/0/outcome: 'maybe'"]


_KINDS: dict[str, Any] = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "null": type(None),
}


def _violations(value: Any, schema: dict[str, Any], where: str = "") -> list[str]:
    """A checker for the few words SCHEMA uses."""
    if "anyOf" in schema:
        return [] if any(not _violations(value, one) for one in schema["anyOf"]) else [f"{where}: {value!r}"]
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(isinstance(value, _KINDS[kind]) for kind in kinds):
        return [f"{where}: {value!r}"]
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return [f"{where}: {value!r}"]
    found = [f"{where}: no {name}" for name in schema.get("required", ()) if name not in value]
    for name, inner in schema.get("properties", {}).items():
        found += _violations(value[name], inner, f"{where}/{name}") if name in value else []
    for number, item in enumerate(value if "items" in schema else ()):
        found += _violations(item, schema["items"], f"{where}/{number}")
    return found


def test_a_report_holds_no_number_that_json_has_not() -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        to_json({"score": float("nan")})
