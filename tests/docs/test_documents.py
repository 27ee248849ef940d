"""Every `python` and `bash` block of the documentation runs, in order, in a directory of its document's own."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import pytest
from tests.support.markdown import Block, blocks_of, links_of, matches
from tests.support.scripted_endpoint import ScriptedEndpoint

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
DOCUMENTS = {path.relative_to(ROOT).as_posix(): path for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]}
EXECUTED = [name for name in DOCUMENTS if name == "README.md" or name.startswith("docs/")]
OLLAMA = "127.0.0.1:11434"  # where the documents' Ollama is; here, our endpoint stands in for it
LONGEST_RECIPE = 30
PYTHON = r"```python\n(.*?)```"
LANGUAGES = {"python", "bash", "text", "toml", "json", "yaml", "mermaid"}


class Reader:
    """Somebody who follows a document from top to bottom, in an empty directory, and believes every block."""

    def __init__(self, document: Path, endpoint: ScriptedEndpoint | None) -> None:
        self.name = document.name
        self.endpoint = endpoint
        self.module = ModuleType(f"read_{document.stem.replace('-', '_')}")
        self.printed = ""

    def follow(self, block: Block) -> None:
        if self.endpoint:
            block = block._replace(text=block.text.replace(OLLAMA, self.endpoint.address))
            if "endpoint" in block.markers:
                self.endpoint.turns = json.loads(block.markers["endpoint"])
        if "file" in block.markers:
            path = Path(block.markers["file"])
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
            if path.suffix == ".py":  # also what only shows another library, and is not run
                compile(block.text, str(path), "exec")
        elif "prints" in block.markers:
            assert matches(block.text, self.printed), f"{self.at(block)} the block above printed:\n{self.printed}"
        elif block.language == "python":
            self.run_python(block)
        elif block.language == "bash" and "install" not in block.markers:
            self.run_bash(block)

    def at(self, block: Block) -> str:
        return f"{self.name}:{block.line}"

    def run_python(self, block: Block) -> None:
        code = compile("\n" * (block.line - 1) + block.text, self.name, "exec")
        output = io.StringIO()
        with contextlib.redirect_stdout(output):
            exec(code, self.module.__dict__)
        self.printed = output.getvalue()

    def run_bash(self, block: Block) -> None:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", block.text],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        self.printed = done.stdout
        expected = int(block.markers.get("exit", 0))
        assert done.returncode == expected, f"{self.at(block)} exit status {done.returncode}:\n{done.stdout}"


@pytest.fixture
def endpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ScriptedEndpoint]:
    """A model endpoint, and the environment and directory of a reader who uses it."""
    foreign = ("LOOPLET_", "PYTEST_", "OPENAI_", "GITHUB_")
    for name in [name for name in os.environ if name == "CI" or name.startswith(foreign)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))
    monkeypatch.chdir(tmp_path)
    with ScriptedEndpoint() as endpoint:
        for name, value in endpoint.environment.items():
            monkeypatch.setenv(name, value)
        yield endpoint
        assert endpoint.faults == []


@pytest.mark.parametrize("name", EXECUTED)
def test_the_document_does_what_it_says(name: str, endpoint: ScriptedEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = Reader(DOCUMENTS[name], endpoint)
    monkeypatch.setitem(sys.modules, reader.module.__name__, reader.module)
    for block in blocks_of(DOCUMENTS[name]):
        reader.follow(block)


def test_a_recipe_is_at_most_thirty_lines() -> None:
    """What needs more is no recipe: it belongs into the package, or into an example."""
    text = DOCUMENTS["docs/recipes.md"].read_text(encoding="utf-8")
    recipes = {recipe.partition("\n")[0]: re.findall(PYTHON, recipe, re.DOTALL) for recipe in text.split("\n## ")[1:]}
    lines = {name: sum(bool(line.strip()) for line in "".join(code).splitlines()) for name, code in recipes.items()}
    assert {name: count for name, count in lines.items() if not 0 < count <= LONGEST_RECIPE} == {}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_block_says_its_language(name: str) -> None:
    for block in blocks_of(DOCUMENTS[name]):
        assert block.language in LANGUAGES, f"{name}:{block.line} is {block.language!r}; use one of {sorted(LANGUAGES)}"


@pytest.mark.parametrize("name", DOCUMENTS)
def test_every_relative_link_leads_somewhere(name: str) -> None:
    for link in links_of(DOCUMENTS[name]):
        assert (DOCUMENTS[name].parent / link).exists(), f"{name} links to {link}, which does not exist"
