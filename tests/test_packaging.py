"""What users install is what the tests tested: the wheel is built and looked into, without a network."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from email.parser import HeaderParser
from pathlib import Path

import pytest

import looplet

ROOT = Path(__file__).parents[1]
SRC = ROOT / "src"


def run(*command: str | Path) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", folder)
    (built,) = folder.glob("*.whl")
    return built


def dist_info(wheel: Path, name: str) -> str:
    with zipfile.ZipFile(wheel) as archive:
        return archive.read(f"looplet-{looplet.__version__}.dist-info/{name}").decode()


def test_the_wheel_holds_both_packages_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    kinds = (".py", ".typed", ".html", ".css", ".js", ".tcss")
    files = {path.relative_to(SRC).as_posix() for path in SRC.rglob("*") if path.suffix in kinds}
    assert names == files
    assert {"looplet/py.typed", "pytest_looplet/py.typed", "pytest_looplet/reporting/templates/report.html"} <= names


def test_the_wheel_runs_on_any_python(wheel: Path) -> None:
    assert wheel.name == f"looplet-{looplet.__version__}-py3-none-any.whl"


def test_the_licence_is_in_the_wheel(wheel: Path) -> None:
    assert dist_info(wheel, "licenses/LICENSE") == (ROOT / "LICENSE").read_text(encoding="utf-8")


def test_the_core_requires_no_package(wheel: Path) -> None:
    metadata = HeaderParser().parsestr(dist_info(wheel, "METADATA"))
    assert metadata["Requires-Python"] == ">=3.11"
    required = [line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line]
    assert required == []


def test_the_command_and_the_plugin_are_announced(wheel: Path) -> None:
    entry_points = dist_info(wheel, "entry_points.txt")
    assert re.search(r"\[console_scripts\]\nlooplet = looplet\.cli:main\n", entry_points)
    assert re.search(r"\[pytest11\]\nlooplet = pytest_looplet\.plugin\n", entry_points)
    assert re.search(r"\[looplet\.commands\]\nreview = pytest_looplet\.review\.command:main\n", entry_points)


def test_the_core_installs_as_one_package_and_works(wheel: Path, tmp_path: Path) -> None:
    """`--no-index`: whatever else it wanted could not be had."""
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    before = run(python, "-m", "pip", "list", "--format=freeze").splitlines()
    run(python, "-m", "pip", "install", "--quiet", "--no-index", wheel)
    after = run(python, "-m", "pip", "list", "--format=freeze").splitlines()
    assert sorted(set(after) - set(before)) == [f"looplet=={looplet.__version__}"]
    assert "Greeted both." in run(python, "-m", "looplet.examples.hello_world", "--mock")
    assert run(python.with_name("looplet"), "--version") == f"looplet {looplet.__version__}\n"
