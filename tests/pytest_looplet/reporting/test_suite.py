from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_looplet.reporting.suite import suite_name

if TYPE_CHECKING:
    from pathlib import Path


def test_a_suite_is_named_after_its_project_in_every_checkout(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "cheese-shop"\n', encoding="utf-8")
    assert suite_name(tmp_path) == "cheese-shop"


@pytest.mark.parametrize(
    "text",
    [None, "", "[tool.pytest]\n", "project = 3\n", "[project]\nname = 3\n", "not [ toml", "[project]\nname = ''\n"],
)
def test_without_a_project_it_is_named_after_its_directory(tmp_path: Path, text: str | None) -> None:
    root = tmp_path / "shop"
    root.mkdir()
    if text is not None:
        (root / "pyproject.toml").write_text(text, encoding="utf-8")
    assert suite_name(root) == "shop"
