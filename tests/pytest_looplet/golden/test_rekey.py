"""An accepted recording holds the requests of now, and of the recorded run whatever was measured."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from hypothesis import given
from hypothesis import strategies as st
from tests.support.traces import Script, write_trace

from looplet.types import ToolCall, ToolResult
from pytest_looplet.golden.rekey import rekeyed

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from looplet.events import Event

_MEASURED = {"t", "duration_ms", "duration_s", "usage"}
ticks = st.lists(st.sampled_from([0.0, 0.25, 7.5]), min_size=40, max_size=40)
durations = st.sampled_from([0.0, 12.0, 99.0])


def _run(system: str, duration_ms: float) -> list[Event]:
    script = Script(system=system)
    script.turn(ToolCall("search", {"query": "brie"}), ToolResult("search", "Brie", duration_ms=duration_ms))
    return script.finish()


def _measured(value: Any) -> Any:
    """The measured fields of records, at their places."""
    if isinstance(value, list):
        return [_measured(each) for each in value]
    if isinstance(value, dict):
        return {key: each if key in _MEASURED else _measured(each) for key, each in value.items() if key != "system"}
    return None


def _write(folder: Path, events: list[Event], waits: list[float]) -> Path:
    times = iter([1000.0 + sum(waits[:number]) for number in range(len(waits))])
    return write_trace(folder, events, clock=lambda: next(times))


@given(old_waits=ticks, new_waits=ticks, old=durations, new=durations)
def test_every_time_duration_and_usage_is_that_of_the_recorded_run(
    tmp_path_factory: pytest.TempPathFactory, old_waits: list[float], new_waits: list[float], old: float, new: float
) -> None:
    root = tmp_path_factory.mktemp("rekey")
    recorded = _write(root / "old", _run("Be brief.", old), old_waits)
    played = _write(root / "new", _run("Be kind.", new), new_waits)
    made = rekeyed(recorded, played, root / "made")
    before, after = (
        [json.loads(line) for line in (folder / "journal.jsonl").read_text(encoding="utf-8").splitlines()]
        for folder in (recorded, made)
    )
    assert after[0]["system"] == "Be kind."
    assert _measured(after) == _measured(before)
