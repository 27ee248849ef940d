"""Every inner session starts from the same ini file, without the variables that choose a backend and without plugins
that have no part in the test: loading those takes a third of a session.
"""

from __future__ import annotations

import os
import sys

import pytest
import syrupy
from tests.support.plugin_files import INI

_NOT_NEEDED = "-p no:syrupy -p no:anyio -p no:hypothesispytest"


@pytest.fixture
def every_plugin(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load the other plugins in inner sessions, too."""
    monkeypatch.delenv("PYTEST_ADDOPTS")


@pytest.fixture
def with_syrupy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load syrupy in inner sessions. It keeps the session it works for in a global, and reads the variable of xdist."""
    monkeypatch.setenv("PYTEST_ADDOPTS", _NOT_NEEDED.replace("-p no:syrupy ", ""))
    monkeypatch.setattr("syrupy._syrupy", syrupy._syrupy)
    for name in ("CI", "PYTEST_XDIST_WORKER"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _same_start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("LOOPLET_", "OPENAI_", "OLLAMA_", "GITHUB_")):
            monkeypatch.delenv(name)
    if "pytester" in request.fixturenames:
        pytester: pytest.Pytester = request.getfixturevalue("pytester")
        pytester.makeini(INI)
        monkeypatch.setenv("PYTEST_ADDOPTS", _NOT_NEEDED)
        # bytecode is found by size and second: a file that a test changes twice within one would stay as it was
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
