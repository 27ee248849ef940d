"""Digests that say whether an eval and a case are the same as in an earlier report: only then scores are compared."""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from looplet.trace.jsonable import jsonable

if TYPE_CHECKING:
    from pytest_looplet.cells import Cell

_DIGITS = 12
_KNOWN = pytest.StashKey[dict[object, str]]()
_ADDRESS = re.compile(r" at 0x[0-9a-fA-F]+")  # in the text of an object: another one in each process


def eval_digest(item: pytest.Function) -> str:
    """Of the function's source, without its decorators: its cases and their number are compared by themselves."""
    known = item.config.stash.setdefault(_KNOWN, {})
    function = item.function
    if function not in known:
        known[function] = _digest(_source(function))
    return known[function]


def case_digest(item: pytest.Item, cell: Cell) -> str:
    """Of what the case asks and expects, and of the files it brings. Taken before an eval could change them."""
    known = item.config.stash.setdefault(_KNOWN, {})
    key = (cell.file, cell.agent_name, cell.case.id)
    if key not in known:
        case = cell.case
        content = jsonable([case.task, case.expected, _files(cell)])
        known[key] = _digest(_ADDRESS.sub("", json.dumps(content, sort_keys=True)))
    return known[key]


def _source(function: object) -> str:
    """Empty when there is none, as of a function made by exec."""
    try:
        text = textwrap.dedent(inspect.getsource(inspect.unwrap(function)))  # type: ignore[arg-type]  # a function
        first = ast.parse(text).body[0]
    except (OSError, TypeError, SyntaxError):
        return ""
    if isinstance(first, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return "".join(text.splitlines(keepends=True)[first.lineno - 1 :])
    return text


def _files(cell: Cell) -> Any:
    files = cell.case.files
    if not isinstance(files, (str, Path)):
        return files
    folder = cell.file.parent / files
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()[:_DIGITS]
