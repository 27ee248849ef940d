"""How the text of a trace is printed on a terminal: in colour, and without the greater part of a huge result.

Works on what the renderer made: headings stand at the left margin, what a model or a tool wrote is indented and has no
control characters in it, so that neither can pass for the other.
"""

from __future__ import annotations

import os
import re
import shlex
from itertools import pairwise
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"
LONGEST_RESULT = 8_000  # characters that are shown of a result
MOST_LINES = 100

_STEP = re.compile(r"\[step (\d+)\]")
_HEADING = re.compile(r"(\[[^\]]*\]|[^:]*:)(.*)")
_TROUBLE = re.compile(r"\[request \d+ failed\]|error\b|ended: (?:.* )?\((?:failed|stopped)\)|ended: not at all")
_ASIDE = re.compile(r"\[(?:hook|notice|compacted|not executed|request rebuilt)|note:|notice:")


def printed(text: str, stream: TextIO, *, path: str | None = None) -> str:
    """The text of a trace as it is printed to `stream`: plain and whole unless that is a terminal.

    Results are cut only when `path`, the directory of the trace, is given: the note about them names it.
    """
    if path is not None and is_terminal(stream):
        text = "\n".join(_cut(text.split("\n"), path))
    return coloured(text) if wants_colour(stream) else text


def is_terminal(stream: TextIO) -> bool:
    return not stream.closed and stream.isatty()


def wants_colour(stream: TextIO) -> bool:
    """Like Python's own tracebacks: NO_COLOR says no, FORCE_COLOR yes, a dumb terminal no, any other terminal yes."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR"):
        return True
    return os.environ.get("TERM") != "dumb" and is_terminal(stream)


def paint(text: str, *styles: str) -> str:
    return f"\x1b[{';'.join(styles)}m{text}\x1b[0m" if text and styles else text


def coloured(text: str) -> str:
    """Headings in bold or in the colour of what they say, and what was written below them dim."""
    lines = text.split("\n")
    failed = _failed_steps(lines)
    return "\n".join(_coloured(line, failed) for line in lines)


def _coloured(line: str, failed: set[str]) -> str:
    if not line or line[0] == " ":
        return paint(line, DIM)
    match = _HEADING.fullmatch(line)
    heading, rest = (match[1], match[2]) if match else (line, "")
    if _TROUBLE.match(line):
        return paint(heading, BOLD, RED) + rest
    if _ASIDE.match(line):
        return paint(heading, YELLOW) + rest
    if _STEP.match(line):
        return paint(heading, BOLD, RED if heading in failed else GREEN) + rest
    if line.startswith(("result:", "ended:")):
        return paint(heading, GREEN) + rest
    return paint(heading, BOLD, CYAN) + rest if line[0] == "[" else paint(heading, BOLD) + rest


def _failed_steps(lines: Iterable[str]) -> set[str]:
    """The headings of the steps below which an error stands."""
    failed: set[str] = set()
    step = ""
    for line in lines:
        if line.startswith("["):
            step = match[0] if (match := _STEP.match(line)) else ""
        elif line.startswith("error") and step:
            failed.add(step)
    return failed


def _cut(lines: Sequence[str], path: str) -> Iterator[str]:
    """Shorten what stands below the heading of a step, and say how to see it."""
    step = ""
    for heading, below in _paragraphs(lines):
        if heading.startswith(("[", "ended:")):
            step = match[1] if (match := _STEP.match(heading)) else ""
        whole = f"looplet show {shlex.quote(path)} --step {step}"
        yield from _shortened([heading], whole) if step else [heading]
        yield from _shortened(below, whole) if step else below


def _paragraphs(lines: Sequence[str]) -> Iterator[tuple[str, list[str]]]:
    """Each line at the left margin with the indented and empty ones below it."""
    starts = [number for number, line in enumerate(lines) if line and line[0] != " "]
    for start, end in pairwise([*starts, len(lines)]):
        yield lines[start], list(lines[start + 1 : end])


def _shortened(lines: list[str], command: str) -> list[str]:
    kept: list[str] = []
    room = LONGEST_RESULT
    for line in lines[:MOST_LINES]:
        if room <= 0:
            break
        kept.append(line[:room])
        room -= len(line)
    hidden = sum(map(len, lines)) - sum(map(len, kept))
    if not hidden:
        return lines
    return [*kept, f"  … {hidden:,} more characters: {command}", *([""] if lines[-1] == "" else [])]
