"""Read the fenced blocks of a document, with the markers (HTML comments) that stand directly above them.

<!-- file: evals/eval_x.py -->   the block is saved under this name, in the document's own directory
<!-- endpoint: [...] -->         from here on the model endpoint plays this script (`scripted_endpoint`)
<!-- exit: 1 -->                 the commands of a bash block end with this status instead of 0
<!-- prints -->                  a text block: what the block before it printed; `...` stands for anything
<!-- install -->                 a bash block that needs a package index: run in a fresh clone, see test_repository
<!-- install: tests -->          ... which would run this very test suite: `.ci/run` runs it
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

_FENCE = re.compile(r"```(\S*)\s*$")
_MARKER = re.compile(r"<!-- (\w+)(?:: (.*))? -->$")
_LINK = re.compile(r"\]\((?!\w+:|#)([^)#\s]+)(?:#[^)\s]*)?\)")
_DURATION = re.compile(r"\\\[\d+ms\\\]")


class Block(NamedTuple):
    """One fenced block: `line` is where its first line stands."""

    language: str
    text: str
    line: int
    markers: dict[str, str]


def blocks_of(document: Path) -> list[Block]:
    blocks: list[Block] = []
    markers: dict[str, str] = {}
    lines = enumerate(document.read_text(encoding="utf-8").splitlines(), start=1)
    for number, line in lines:
        if marker := _MARKER.match(line):
            markers[marker[1]] = marker[2] or ""
        elif fence := _FENCE.match(line):
            body = []
            for _, inner in lines:
                if inner.rstrip() == "```":
                    break
                body.append(inner)
            blocks.append(Block(fence[1], "\n".join(body) + "\n", number + 1, markers))
            markers = {}
        elif line.strip():
            markers = {}
    return blocks


def links_of(document: Path) -> list[str]:
    """The relative links: files of the repository."""
    return _LINK.findall(document.read_text(encoding="utf-8"))


def matches(expected: str, printed: str) -> bool:
    """Compare line by line, but for `...` (anything, lines too) and durations."""
    pattern = re.escape(expected.strip()).replace(re.escape("..."), r"[\s\S]*?")
    return re.fullmatch(_DURATION.sub(r"\\[\\d+ms\\]", pattern), printed.strip()) is not None
