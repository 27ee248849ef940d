"""Which files hold evals: `eval_*.py` below an `evals` directory, and what the ini key looplet_files adds."""

from __future__ import annotations

import fnmatch
import re
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

_DEFAULT_FILES = ("**/evals/**/eval_*.py",)
_NOT_OURS = frozenset({"site-packages", "node_modules", "__pycache__"})


def is_eval_file(path: Path, config: pytest.Config) -> bool:
    patterns = [pattern for pattern in _patterns(config) if _matcher(pattern.rpartition("/")[2]).fullmatch(path.name)]
    if not patterns or not path.is_relative_to(config.rootpath):  # most files are none, by their names
        return False
    parts = path.relative_to(config.rootpath).parts
    if any(part.startswith(".") or part in _NOT_OURS for part in parts[:-1]):
        return False
    return any(_matcher(pattern).fullmatch("/".join(parts)) for pattern in patterns)


def is_given_eval_file(path: Path, session: pytest.Session) -> bool:
    """A file named eval_*.py on the command line is an eval file wherever it stands."""
    return session.isinitpath(path) and fnmatch.fnmatch(path.name, "eval_*.py")


def module_names(path: Path, root: Path) -> list[str]:
    """What the module of an eval file may be called: by itself, or after folders, down from any of them."""
    parts = (path.relative_to(root) if path.is_relative_to(root) else Path(path.name)).with_suffix("").parts
    return [".".join(parts[start:]) for start in range(len(parts))]


@lru_cache(maxsize=1024)
def relative_to_root(path: Path, root: Path) -> str:
    """As reports name a file: relative to rootdir, whole where it lies elsewhere."""
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else str(path)


def _patterns(config: pytest.Config) -> tuple[str, ...]:
    return (*_DEFAULT_FILES, *config.getini("looplet_files"))


@lru_cache
def _matcher(pattern: str) -> re.Pattern[str]:
    """A glob by path parts: `*` stays inside a part, `**/` is any number of folders."""
    meaning = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*/|\*|\?)", pattern)))
