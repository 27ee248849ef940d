"""`python -m looplet.examples.hello_world`: the reader's first minute."""

from __future__ import annotations

import re
from pathlib import Path

from tests.support.examples import CLOSED_PORT, run_example

import looplet.examples

FILE = Path(looplet.examples.__path__[0]) / "hello_world.py"


def test_mock_greets_both_without_an_endpoint() -> None:
    done = run_example("hello_world", "--mock")
    assert (done.returncode, done.stderr) == (0, "")
    assert re.sub(r"\[\d+ms\]", "[Nms]", done.stdout).splitlines() == [
        "#1 ✓ greet(name='Alice') → Hello, Alice! [Nms]",
        "#2 ✓ greet(name='Bob') → Hello, Bob! [Nms]",
        "#3 ✓ done(answer='Greeted both.') → Greeted both. [Nms]",
    ]


def test_without_an_endpoint_one_line_says_what_to_set() -> None:
    done = run_example("hello_world")
    assert (done.returncode, done.stdout) == (1, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("hello_world: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set")
    assert line.endswith("(--mock needs no endpoint)")


def test_without_a_model_the_variable_is_named() -> None:
    done = run_example("hello_world", OPENAI_BASE_URL=CLOSED_PORT)
    assert done.returncode == 1
    assert "OPENAI_MODEL is not set" in done.stderr


def test_a_dead_server_ends_the_run_with_its_address() -> None:
    done = run_example("hello_world", "--model", "any", OPENAI_BASE_URL=CLOSED_PORT)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"connection refused by {CLOSED_PORT}" in done.stderr
    assert done.stderr.splitlines()[-1] == "hello_world: the run ended with llm_error"


def test_it_is_thirty_lines() -> None:
    assert len(FILE.read_text(encoding="utf-8").splitlines()) <= 30
