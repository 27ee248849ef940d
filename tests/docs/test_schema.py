"""The published schema is the one in the code, and reports are of its form."""

from __future__ import annotations

import json

from docs import make_report_schema
from jsonschema import Draft202012Validator
from tests.support.report_entries import BEFORE, a_run, entries

from looplet.evals.report import SCHEMA, build_report


def test_the_published_schema_is_that_of_the_code() -> None:
    told = "out of date; run: python -m docs.make_report_schema"
    assert make_report_schema.FILE.read_text(encoding="utf-8") == make_report_schema.text(), told


def test_the_schema_is_one_and_takes_a_report_and_nothing_else() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    items = entries("e.py::a", {"x": [True, False], "y": [None, True]}, gate=0.5, run=a_run())
    report = build_report(items, suite="s")
    report["evals"][0]["baseline"] = BEFORE
    schema = Draft202012Validator(SCHEMA)
    schema.validate(json.loads(json.dumps(report)))
    assert not schema.is_valid(report | {"schema": 2})
    assert not schema.is_valid({key: value for key, value in report.items() if key != "evals"})
