"""The whole way with a real model: run live, record, replay offline; and the first example against it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.backends.local import LocalServer

pytestmark = pytest.mark.e2e

EVAL_FILE = '''
import pytest
from looplet import LoopConfig, composable_loop, tool


@tool
def greet(name: str) -> str:
    """Greet someone."""
    return f"Hello, {name}!"


def agent(task, llm):
    return composable_loop(llm=llm, task=task, tools=[greet], config=LoopConfig(max_steps=3, max_tokens=100))


CASES = [{"id": "alice", "task": "Greet Alice."}, {"id": "bob", "task": "Greet Bob."}]
pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)


def eval_structure(run):
    assert run.stop_reason in ("done", "max_steps", "parse_error")
    assert run.usage.output_tokens > 0
    for step in run.steps:
        assert step.tool_call.tool in ("greet", "done")
        assert isinstance(step.tool_call.args, dict)
'''


def python(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("OPENAI_", "LOOPLET_"))}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=folder,
        env=inherited | variables,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "evals").mkdir()
    (tmp_path / "evals" / "eval_greet.py").write_text(EVAL_FILE)
    (tmp_path / "pyproject.toml").write_text('[tool.pytest.ini_options]\nstrict = true\ntestpaths = ["evals"]\n')
    return tmp_path


def test_the_ollama_backend_follows_ollama_host_records_and_replays_offline(
    project: Path, local_server: LocalServer
) -> None:
    host = local_server.base_url.removeprefix("http://").removesuffix("/v1")
    live = python(project, "-m", "pytest", "--looplet-backend=ollama", "--looplet-record", OLLAMA_HOST=host)
    assert live.returncode == 0, live.stdout + live.stderr
    assert "2 passed" in live.stdout
    assert local_server.model in live.stdout
    assert sorted(path.name for path in (project / "evals/__recordings__/eval_greet/agent").iterdir()) == [
        "alice",
        "bob",
    ]

    offline = python(project, "-m", "pytest", OLLAMA_HOST="127.0.0.1:9")
    assert offline.returncode == 0, offline.stdout + offline.stderr
    assert "2 passed" in offline.stdout
    assert "stale" not in offline.stdout


def test_a_wrong_model_is_one_line_that_lists_what_is_served(project: Path, local_server: LocalServer) -> None:
    host = local_server.base_url.removeprefix("http://").removesuffix("/v1")
    run = python(project, "-m", "pytest", "--looplet-backend=ollama", "--looplet-model=no-such-model", OLLAMA_HOST=host)
    assert run.returncode == 4
    assert "no-such-model" in run.stderr
    assert local_server.model in run.stderr
    assert not (project / "evals/__recordings__").exists()


def test_hello_world_ends_against_a_real_model(local_server: LocalServer, tmp_path: Path) -> None:
    run = python(
        tmp_path,
        "-m",
        "looplet.examples.hello_world",
        OPENAI_BASE_URL=local_server.base_url,
        OPENAI_API_KEY="local",
        OPENAI_MODEL=local_server.model,
    )
    assert "#1 " in run.stdout, run.stdout + run.stderr
    assert "Traceback" not in run.stderr
    assert run.returncode in (0, 1)
