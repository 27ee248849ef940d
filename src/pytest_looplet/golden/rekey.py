"""Key a recording by the requests an agent sends now, and keep what is known of the run that was recorded."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from looplet.trace.directory import JOURNAL, whole_lines
from pytest_looplet.golden.recordings import traces_in

if TYPE_CHECKING:
    from pathlib import Path

_OF_THE_RECORDED_RUN = ("run_id", "t", "model", "labels", "capabilities")  # of the header
_MEASURED = ("t", "duration_ms", "duration_s", "usage")


def rekeyed(old: Path, new: Path, target: Path) -> Path:
    """Write to `target` the traces of `new`, which was played from the recording `old`; return `target`.

    Model, labels, usage and times are those of the recorded run: the replay that made `new` had none of its own.
    """
    shutil.copytree(new, target)
    for recorded, trace in zip(traces_in(old), traces_in(target), strict=True):
        records = _merged(_records(recorded), _records(trace))
        lines = "".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
        (trace / JOURNAL).write_bytes(lines.encode("utf-8", "backslashreplace"))
    return target


def _records(trace: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in whole_lines((trace / JOURNAL).read_bytes()).splitlines()]


def _merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The new records with the recorded facts. Where the kinds of events differ, only the header's are certain."""
    header = new[0] | {name: old[0][name] for name in _OF_THE_RECORDED_RUN if name in old[0]}
    same = [each.get("event") for each in old] == [each.get("event") for each in new]
    return [header, *(map(_with_facts, old[1:], new[1:]) if same else new[1:])]


def _with_facts(old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
    """Take over durations and usage, at whatever depth. What the old record leaves out is as in the line before, or
    nothing: the replay's would be wrong there.
    """
    merged = {name: value for name, value in new.items() if name not in _MEASURED}
    for name, value in old.items():
        if name in _MEASURED:
            merged[name] = value
        elif isinstance(value, dict) and isinstance(new.get(name), dict) and name in ("reply", "result"):
            merged[name] = _with_facts(value, new[name])
    return merged
