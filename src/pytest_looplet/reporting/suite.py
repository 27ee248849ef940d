"""The name of a suite, which a baseline has to share: the project's, whatever directory it was checked out to."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def suite_name(root: Path) -> str:
    """`[project] name` of pyproject.toml at rootdir, else the name of that directory."""
    try:
        text = (root / "pyproject.toml").read_text(encoding="utf-8")
        import tomllib  # only where there is something to read

        name = tomllib.loads(text).get("project", {}).get("name")
    except (OSError, ValueError, AttributeError):
        name = None
    return name if isinstance(name, str) and name else root.name
