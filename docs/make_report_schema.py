"""Write docs/report.schema.json, the JSON Schema of `--looplet-report x.json`: `python -m docs.make_report_schema`."""

from __future__ import annotations

import json
from pathlib import Path

from looplet.evals.report import SCHEMA

FILE = Path(__file__).parent / "report.schema.json"


def text() -> str:
    return json.dumps(SCHEMA, indent=2) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
