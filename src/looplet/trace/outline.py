"""The text of a trace, read back into its parts: what `diff` compares.

The text is enough, because headings alone stand at the left margin. So a snapshot, which is text that a person
reviewed, and a trace that was just rendered are compared by the same code.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from looplet._compare import StepFacts
from looplet._record import Record
from looplet.trace.layout import TITLE

if TYPE_CHECKING:
    from collections.abc import Iterable

_STEP = re.compile(r"\[step (\d+)\] (\S+)(?: (.*))?")
_ERROR = re.compile(r"error(?: \((\w+)\))?:")
_REPLY = re.compile(r"\[reply \d+")


class Section(Record):
    """A heading at the left margin and what stands below it, without the indentation."""

    heading: str
    body: str = ""

    @property
    def text(self) -> str:
        return f"{self.heading}\n{self.body}".rstrip("\n")


class StepPart(Record):
    """A step: its number, its facts, its sections, and where in `Outline.parts` it stands."""

    number: int
    facts: StepFacts
    sections: tuple[Section, ...]

    @property
    def text(self) -> str:
        return "\n".join(section.text for section in self.sections)


class Outline(Record):
    """One run. `fields` are the header's lines; `parts` the messages, replies and steps in their order."""

    fields: dict[str, str]
    parts: tuple[Section | StepPart, ...]
    end: dict[str, str]
    times: str = ""

    @property
    def steps(self) -> tuple[StepPart, ...]:
        return tuple(part for part in self.parts if isinstance(part, StepPart))


def read_outlines(text: str) -> list[Outline]:
    """The runs in a text made by `render_trace` or `normal_text`, or by several of them one after the other."""
    runs: list[list[Section]] = []
    for section in _sections(text):
        if section.heading == TITLE or not runs:
            runs.append([])
        if section.heading != TITLE:
            runs[-1].append(section)
    return [_outline(sections) for sections in runs]


def _sections(text: str) -> Iterable[Section]:
    heading, body = "", [""]
    for line in text.split("\n"):
        if line[:1] in ("", " "):
            body.append(line[2:])
            continue
        if heading:
            yield Section(heading, "\n".join(body).strip("\n"))
        heading, body = line, []
    if heading:
        yield Section(heading, "\n".join(body).strip("\n"))


def _outline(sections: list[Section]) -> Outline:
    fields: dict[str, str] = {}
    end: dict[str, str] = {}
    parts: list[Section | StepPart] = []
    step: list[Section] = []  # of the step that is being read
    times = ""
    for section in sections:
        if section.heading.startswith("["):
            parts += _step(step)
            step = [section] if _STEP.match(section.heading) else []
            parts += [] if step else [section]
        elif section.heading.startswith("ended: ") or end:
            parts, step = [*parts, *_step(step)], []
            if section.heading == "times":
                times = section.body
            else:
                _add(end, section)
        elif step:
            step.append(section)
        else:
            _add(fields, section)
    return Outline(fields, (*parts, *_step(step)), end, times)


def _add(fields: dict[str, str], section: Section) -> None:
    name, _, value = section.heading.partition(":")
    value = f"{value.strip()}\n{section.body}".strip("\n")
    fields[name] = f"{fields[name]}\n{value}" if name in fields else value


def _step(sections: list[Section]) -> list[StepPart]:
    match = _STEP.fullmatch(sections[0].heading) if sections else None
    if match is None:
        return []
    result: Any = None
    error = kind = None
    notes: list[str] = []
    for section in sections[1:]:
        if found := _ERROR.match(section.heading):
            error, kind = section.body, found[1]
        elif section.heading.startswith("result:"):
            result = json_or_text(section.body)
        elif section.heading.startswith("note:"):
            notes.append(f"{section.heading.removeprefix('note:').strip()}\n{section.body}".strip("\n"))
    facts = StepFacts(match[2], json_or_text(match[3] or ""), result, error, kind, tuple(notes))
    return [StepPart(int(match[1]), facts, tuple(sections))]


def json_or_text(text: str) -> Any:
    """JSON where it is JSON, so that a difference has a place; else the text."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def is_reply(section: Section) -> bool:
    return _REPLY.match(section.heading) is not None
