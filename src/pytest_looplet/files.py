"""Which files hold evals: `eval_*.py` below an `evals` directory, and what the ini key looplet_files adds."""

from __future__ import annotations

import fnmatch
import glob
import re
from functools import lru_cache
from itertools import product
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

_DEFAULT_FILES = ("**/evals/**/eval_*.py",)
_NOT_OURS = frozenset({"site-packages", "node_modules", "__pycache__"})
_ADDED = pytest.StashKey[list[str]]()  # our lines in python_files


def add_python_files(config: pytest.Config) -> None:
    """Tell pytest of our files: assertion rewriting goes by python_files.

    A line without folders, where the file name tells: with folders in any line, pytest has to look up each module that
    the session imports twice. Its lines match too much either way; `is_eval_file` checks again, by path parts.
    """
    added = config.stash[_ADDED] = []
    known = config.getini("python_files")
    for pattern in _patterns(config):
        for line in _lines(pattern, config.rootpath):
            if line not in known:  # one of the user's own
                added.append(line)
                config.addinivalue_line("python_files", line)


def _lines(pattern: str, root: Path) -> list[str]:
    name = pattern.rpartition("/")[2]
    if not fnmatch.fnmatch("x.py", name):
        return [name]
    pieces = pattern.split("**/")  # `**/` is no folder or several, and pytest's `*` crosses `/`
    folders = product(("", "*/"), repeat=len(pieces) - 1)
    between = ("".join(map("".join, zip(chosen, pieces[1:], strict=True))) for chosen in folders)
    return [f"{glob.escape(str(root))}/{pieces[0]}{rest}" for rest in between]


def is_eval_file(path: Path, config: pytest.Config) -> bool:
    if not path.is_relative_to(config.rootpath):
        return False
    parts = path.relative_to(config.rootpath).parts
    if any(part.startswith(".") or part in _NOT_OURS for part in parts[:-1]):
        return False
    return any(_matcher(pattern).fullmatch("/".join(parts)) for pattern in _patterns(config))


def is_given_eval_file(path: Path, session: pytest.Session) -> bool:
    """A file named eval_*.py on the command line is an eval file wherever it stands."""
    return session.isinitpath(path) and fnmatch.fnmatch(path.name, "eval_*.py")


def only_ours(path: Path, parent: pytest.Collector) -> bool:
    """Say whether pytest would collect `path` for no other reason than our python_files patterns."""
    if parent.session.isinitpath(path):
        return False
    added = parent.config.stash[_ADDED]
    others = [pattern for pattern in parent.config.getini("python_files") if pattern not in added]
    return not any(_pytest_match(pattern, path) for pattern in others) and any(
        _pytest_match(pattern, path) for pattern in added
    )


def _patterns(config: pytest.Config) -> tuple[str, ...]:
    return (*_DEFAULT_FILES, *config.getini("looplet_files"))


def _pytest_match(pattern: str, path: Path) -> bool:
    """How pytest matches python_files: a pattern with a slash against the whole path."""
    if "/" not in pattern:
        return fnmatch.fnmatch(path.name, pattern)
    return fnmatch.fnmatch(str(path), pattern if pattern.startswith("/") else f"*/{pattern}")


@lru_cache
def _matcher(pattern: str) -> re.Pattern[str]:
    """A glob by path parts: `*` stays inside a part, `**/` is any number of folders."""
    meaning = {"**/": "(?:[^/]+/)*", "*": "[^/]*", "?": "[^/]"}
    return re.compile("".join(meaning.get(piece, re.escape(piece)) for piece in re.split(r"(\*\*/|\*|\?)", pattern)))
