"""The examples against a real server with a 135M model: they end in order; nobody expects them to succeed."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest
from tests.support.examples import run_example

from looplet import load_trace

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.backends.local import LocalServer

SHORT = ("--max-steps", "3", "--max-tokens", "80")  # it would not stop by itself
pytestmark = pytest.mark.e2e

STEP = re.compile(r"#\d+ [✓✗⏸] \S.* → .* \[\d+ms\]")


def endpoint(server: LocalServer) -> dict[str, str]:
    return {"OPENAI_BASE_URL": server.base_url, "OPENAI_API_KEY": "unused", "OPENAI_MODEL": server.model}


def test_the_coding_agent_ends(local_server: LocalServer, tmp_path: Path) -> None:
    options = (*SHORT, "--workspace", "work", "--trace", "traces")
    done = run_example("coding_agent", *options, cwd=tmp_path, **endpoint(local_server))
    assert done.returncode in (0, 1)
    assert "Traceback" not in done.stderr
    result = load_trace(tmp_path / "traces" / "run_1")
    steps = [line for line in done.stdout.splitlines() if STEP.fullmatch(line)]
    assert len(steps) == len(result.steps)
    assert result.stop_reason != "unfinished"
    assert result.usage.input_tokens > 0
    if result.stop_reason != "done":
        assert f"not finished after {len(steps)} steps: {result.stop_reason}" in done.stderr


def test_the_data_agent_ends_or_waits(local_server: LocalServer, tmp_path: Path) -> None:
    done = run_example("data_agent", *SHORT, cwd=tmp_path, **endpoint(local_server))
    assert done.returncode in (0, 1, 3)
    assert "Traceback" not in done.stderr
    result = load_trace(tmp_path / "data_agent_state" / "run")
    assert result.stop_reason != "unfinished"
    assert sum(STEP.fullmatch(line) is not None for line in done.stdout.splitlines()) == len(result.steps)
    again = run_example("data_agent", "--mock", "--clean", "--yes", cwd=tmp_path)
    assert again.returncode == 0, "whatever the model left can be cleaned"
