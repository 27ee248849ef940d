"""Imports point down, and importing the package stays cheap.

vocabulary ← _core ← _drivers, backends, tools, trace ← the loop ← hooks, evals ← cli, examples ← pytest_looplet
"""

from __future__ import annotations

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

import looplet

SRC = Path(__file__).parents[1] / "src"
LONGEST_FILE = 350

_VOCABULARY = (
    "_clock _compare _pretty _record _version ambient cancel config decisions effects errors events messages",
    "protocols result state types",
)
LEVELS = {
    **dict.fromkeys(" ".join(_VOCABULARY).split(), 0),
    "_core": 1,
    **dict.fromkeys(["_drivers", "backends", "tools", "trace"], 2),
    **dict.fromkeys(["async_run", "bind", "loop", "replay", "resume", "run"], 3),
    **dict.fromkeys(["evals", "hooks"], 4),
    **dict.fromkeys(["__main__", "cli", "cli_diff", "examples", "testing"], 5),
}
PLUGIN_LEVEL = 6
# Modules of the plugin that stand on an optional package: imported by the others only where they are needed.
STAND_ON = {"pytest_looplet.reporting.html": {"jinja2", "markupsafe"}, "pytest_looplet.golden.snapshot": {"syrupy"}}
# `import looplet` may load none of these: each costs more than the loop itself.
SLOW = {
    *("asyncio", "dataclasses", "http", "inspect", "logging", "random"),
    *("ssl", "tempfile", "threading", "urllib", "uuid"),
}
SIX_NAMES = "composable_loop, LoopConfig, DefaultState, BaseToolRegistry, ToolSpec, MockLLMBackend"


class Import(NamedTuple):
    """`module` as imported at `line`; `at_start` when merely importing the file executes it."""

    module: str
    line: int
    at_start: bool


def name_of(path: Path) -> str:
    parts = path.relative_to(SRC).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {name_of(path): path for path in sorted(SRC.rglob("*.py"))}


def imports_of(path: Path) -> list[Import]:
    return list(_find(ast.parse(path.read_text(encoding="utf-8")), at_start=True))


def _find(node: ast.AST, *, at_start: bool) -> list[Import]:
    found: list[Import] = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found += [Import(alias.name, child.lineno, at_start) for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found += [Import(module, child.lineno, at_start) for module in _modules(child)]
        else:
            lazy = isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)) or _is_typing_only(child)
            found += _find(child, at_start=at_start and not lazy)
    return found


def _modules(node: ast.ImportFrom) -> list[str]:
    """`from package import module` imports the module; `from module import name` the module the name is in."""
    assert node.level == 0, "relative imports hide where a name comes from"
    module = node.module or ""
    return [f"{module}.{alias.name}" if f"{module}.{alias.name}" in FILES else module for alias in node.names]


def _is_typing_only(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def level(module: str) -> int | None:
    """None for the package itself, whose `__init__` only points at the others."""
    package, _, rest = module.partition(".")
    if package == "pytest_looplet":
        return PLUGIN_LEVEL
    return LEVELS.get(rest.partition(".")[0], PLUGIN_LEVEL) if rest else None


def own(imports: list[Import]) -> list[Import]:
    return [found for found in imports if found.module.partition(".")[0] in ("looplet", "pytest_looplet")]


def test_every_part_has_its_level() -> None:
    parts = {name.split(".")[1] for name in FILES if name.startswith("looplet.")}
    assert parts <= LEVELS.keys(), "say above, in LEVELS, on which level these stand"


@pytest.mark.parametrize("module", [name for name in FILES if level(name) is not None])
def test_imports_point_down(module: str) -> None:
    """Lazy and typing-only imports count too: they also say which part knows which."""
    here = level(module)
    assert here is not None
    for found in own(imports_of(FILES[module])):
        there = level(found.module)
        where = f"{FILES[module].name}:{found.line} imports {found.module}"
        if there is None:
            assert here >= LEVELS["cli"], f"{where}: only commands, examples and the plugin go through the public names"
        else:
            assert there <= here, f"{where}, which stands above it"


@pytest.mark.parametrize("module", [name for name in FILES if name.startswith("looplet._core")])
def test_the_core_knows_the_vocabulary_only(module: str) -> None:
    for found in own(imports_of(FILES[module])):
        assert level(found.module) == 0 or found.module.startswith("looplet._core"), found


@pytest.mark.parametrize("module", [name for name in FILES if name.split(".")[0] == "looplet"])
def test_the_core_package_loads_only_the_standard_library(module: str) -> None:
    for found in imports_of(FILES[module]):
        package = found.module.partition(".")[0]
        if found.at_start:
            assert package == "looplet" or package in sys.stdlib_module_names, found


@pytest.mark.parametrize("module", [name for name in FILES if name.split(".")[0] == "pytest_looplet"])
def test_the_plugin_loads_only_pytest_and_looplet(module: str) -> None:
    for found in imports_of(FILES[module]):
        package = found.module.partition(".")[0]
        known = package in ("looplet", "pytest_looplet", "pytest") or package in sys.stdlib_module_names
        if module.startswith("pytest_looplet.review.ui"):  # loaded when somebody reviews in a terminal
            known = known or package in ("textual", "rich")
        known = (known and found.module not in STAND_ON) or package in STAND_ON.get(module, ())
        assert known or not found.at_start, found


def test_no_import_cycles() -> None:
    graph = {
        module: {found.module for found in own(imports_of(path)) if found.at_start and level(found.module) is not None}
        for module, path in FILES.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(f"these modules import each other: {' → '.join(error.args[1])}")


@pytest.mark.parametrize("path", FILES.values(), ids=FILES)
def test_files_are_short_enough_to_hold_in_the_head(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= LONGEST_FILE


def test_public_names_are_sorted_and_each_says_what_it_is() -> None:
    assert looplet.__all__ == sorted(looplet.__all__)
    assert dir(looplet) == looplet.__all__
    for name in looplet.__all__:
        value = getattr(looplet, name)
        assert isinstance(value, str) or (value.__doc__ or "").strip(), f"looplet.{name} has no docstring"


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'looplet' has no attribute 'composable_lop'"):
        looplet.composable_lop  # type: ignore[attr-defined]  # noqa: B018  # the mistake under test


def test_importing_the_public_names_loads_no_slow_module() -> None:
    """-S: `.pth` files of whatever is installed would load modules of their own."""
    code = (
        f"import sys; sys.path.insert(0, {str(SRC)!r}); before = set(sys.modules); from looplet import {SIX_NAMES}; "
        f"print(sorted((set(sys.modules) - before) & {SLOW}))"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout.strip(), done.stderr) == ("[]", "")
