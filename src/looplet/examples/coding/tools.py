"""The tools of `coding_agent`: file tools that cannot leave the workspace, and bash."""

from __future__ import annotations

import re
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from looplet import PermissionHook, PermissionRule, ToolValidationError, tool
from looplet.examples.coding.shell import RUNNABLE, is_runnable, run_bash

if TYPE_CHECKING:
    from looplet import ToolSpec
    from looplet.examples.coding.workspace import Workspace

_MOST_MATCHES = 100
_LINE_CHARS = 500


def permissions() -> PermissionHook:
    """Everything is denied but the file tools and a few commands."""
    may_run = PermissionRule("bash", "allow", {"command": is_runnable})
    rest = PermissionRule("bash", "deny", reason=f"only one plain command is run, of these: {', '.join(RUNNABLE)}")
    free = [PermissionRule(name, "allow") for name in ("read", "write", "edit", "glob", "grep", "think")]
    return PermissionHook([may_run, rest, *free], default="deny")


def tools(workspace: Workspace) -> list[ToolSpec]:
    return [*_file_tools(workspace), *_search_tools(workspace), *_other_tools(workspace)]


def _file_tools(workspace: Workspace) -> list[ToolSpec]:
    @tool(idempotent=True)
    def read(path: str, first: int = 1, lines: int = 500) -> str:
        """Read a file, from line `first` on."""
        text = workspace.read(path).splitlines(keepends=True)
        return "".join(text[max(0, first - 1) :][: max(0, lines)])

    @tool(idempotent=True)
    def write(path: str, text: str) -> str:
        """Write a whole file; its folders are made."""
        workspace.write(path, text)
        return f"wrote {len(text.splitlines())} lines to {path}"

    @tool
    def edit(path: str, old: str, new: str) -> str:
        """Replace the text `old`, which must occur exactly once in the file, by `new`."""
        text = workspace.read(path)
        if not old or text.count(old) != 1:
            raise ToolValidationError(f"`old` occurs {text.count(old) if old else 'no'} times in {path}, not once")
        workspace.write(path, text.replace(old, new))
        return f"edited {path}"

    return [read, write, edit]


def _search_tools(workspace: Workspace) -> list[ToolSpec]:
    @tool(name="glob", idempotent=True)
    def find(pattern: str) -> list[str]:
        """List the files whose path matches, such as `*.py`; `*` also matches `/`."""
        return [path for path in workspace.files() if fnmatchcase(path, pattern)]

    @tool(idempotent=True)
    def grep(pattern: str, files: str = "*") -> list[str]:
        """Find the lines that match a regular expression, in the files that match a glob."""
        try:
            regex = re.compile(pattern)
        except re.error as error:
            raise ToolValidationError(f"{pattern!r} is no regular expression: {error}") from None
        found: list[str] = []
        for path in (path for path in workspace.files() if fnmatchcase(path, files)):
            found += _matches(workspace, path, regex)
            if len(found) > _MOST_MATCHES:
                return [*found[:_MOST_MATCHES], "... and more: search for something more special"]
        return found

    return [find, grep]


def _matches(workspace: Workspace, path: str, regex: re.Pattern[str]) -> list[str]:
    try:
        lines = workspace.read(path).splitlines()
    except ToolValidationError:  # too long, or no text
        return []
    short = [(number, line[:_LINE_CHARS]) for number, line in enumerate(lines, start=1)]
    return [f"{path}:{number}: {line}" for number, line in short if regex.search(line)]


def _other_tools(workspace: Workspace) -> list[ToolSpec]:
    @tool
    def bash(command: str) -> str:
        """Run one command in the workspace, such as `python -m unittest`."""
        return str(run_bash(command, workspace.root))

    @tool(free=True, idempotent=True)
    def think(thought: str) -> str:  # noqa: ARG001  # writing it down is the point
        """Think before you act; it costs no step."""
        return "noted"

    return [bash, think]
