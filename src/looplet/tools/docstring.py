"""Split a docstring into what the tool does and what its arguments mean."""

from __future__ import annotations

import re
from textwrap import dedent

_SECTION = re.compile(r"^(Args|Arguments|Parameters|Returns|Yields|Raises|Examples?|Notes?):?\s*$", re.IGNORECASE)
_ARGUMENTS = {"args", "arguments", "parameters"}
_ENTRY = r"^\*{0,2}(\w+)\s*(?:\([^)]*\))?\s*:\s*(.*)$"  # name: text, name (type): text
_FIELD = re.compile(r"^:(\w+)(?:\s+[^:]*?)??(?:\s+\*{0,2}(\w+))?:\s*(.*)$")  # :param name: text, :returns: text


def split_docstring(text: str | None) -> tuple[str, dict[str, str]]:
    """Return the description, without its sections, and the description of each argument."""
    lines = _unindented(text or "").splitlines()
    description: list[str] = []
    arguments: dict[str, str] = {}
    section, current = "", ""
    for line in lines:
        heading, field = _SECTION.match(line), _FIELD.match(line)
        if heading is not None:
            section, current = heading.group(1).lower(), ""
        elif field is not None:
            section, current = field.group(1).lower(), field.group(2) or ""
            if section == "param" and current:
                arguments[current] = field.group(3).strip()
        elif not section:
            description.append(line)
        else:
            current = _read_line(line, section, current, arguments)
    return "\n".join(description).strip(), arguments


def _read_line(line: str, section: str, current: str, arguments: dict[str, str]) -> str:
    """One line inside a section: a new argument, or more of the current one. Returns the current one."""
    indent = len(line) - len(line.lstrip())
    entry = re.match(_ENTRY, line.strip()) if section in _ARGUMENTS and 0 < indent <= 4 else None
    if entry is not None:
        arguments[entry.group(1)] = entry.group(2).strip()
        return entry.group(1)
    if current in arguments and line.strip():
        arguments[current] = f"{arguments[current]} {line.strip()}".strip()
    return current


def _unindented(text: str) -> str:
    """The first line is not indented like the rest."""
    first, _, rest = text.expandtabs().strip("\n").partition("\n")
    return f"{first.strip()}\n{dedent(rest)}".strip()
