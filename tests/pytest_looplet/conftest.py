"""Every inner session starts from the same ini file and without the variables that choose a backend."""

from __future__ import annotations

import os

import pytest
from tests.support.plugin_files import INI


@pytest.fixture(autouse=True)
def _same_start(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(("LOOPLET_", "OPENAI_", "OLLAMA_")):
            monkeypatch.delenv(name)
    if "pytester" in request.fixturenames:
        pytester: pytest.Pytester = request.getfixturevalue("pytester")
        pytester.makeini(INI)
