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
    from collections.abc import Iterable, Sequence

_STEP = re.compile(r"\[step (-?\d+)\] (\S*)(?: (.*))?")
_ERROR = re.compile(r"error(?: \((\w+)\))?:")
_REPLY = re.compile(r"\[reply \d+")
_AFTER_BLANK = re.compile(rf"\[|ended: |notice: |times$|{TITLE}$")  # an empty line stands before these headings
_OF_LAST_STEP = re.compile(r"the result of step -?\d+")


class Section(Record):
    """A heading at the left margin and what stands below it, without the indentation."""

    heading: str
    body: str = ""

    @property
    def text(self) -> str:
        return f"{self.heading}\n{self.body}" if self.body else self.heading


class StepPart(Record):
    """A step: its number, its facts, its sections, and where in `Outline.parts` it stands."""

    number: int
    facts: StepFacts
    sections: tuple[Section, ...]

    @property
    def text(self) -> str:
        return "\n".join(section.text for section in self.sections)


class Outline(Record):
    """One run. `fields` are the header's lines; `parts` the messages, replies and steps in their order.

    `end` is the last one, when the run was resumed. `output` is what `end` says of it, as a value; None for none.
    """

    fields: dict[str, str]
    parts: tuple[Section | StepPart, ...]
    end: dict[str, str]
    times: str = ""
    output: Any = None

    @property
    def steps(self) -> tuple[StepPart, ...]:
        return tuple(part for part in self.parts if isinstance(part, StepPart))

    @property
    def ends_in_its_last_step(self) -> bool:
        """Whether the output is that step's result, so that a difference is told there."""
        return _OF_LAST_STEP.fullmatch(self.end.get("output", "")) is not None

    def exactly(self, facts: Sequence[StepFacts], output: Any) -> Outline:
        """The same with what the text cannot tell apart, a number and a text of digits: `facts` of each step."""
        rest = iter(facts)
        parts = tuple(part.replace(facts=next(rest)) if isinstance(part, StepPart) else part for part in self.parts)
        return self.replace(parts=parts, output=self.output if self.ends_in_its_last_step else output)


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
    heading = ""
    body: list[str] = []
    for line in [*text.split("\n"), TITLE]:  # as if another run followed
        if line[:1] in ("", " "):
            body.append(line[2:])
            continue
        if heading:
            blank = bool(body) and not body[-1] and _AFTER_BLANK.match(line)
            yield Section(heading, "\n".join(body[:-1] if blank else body))
        heading, body = line, []


def _outline(sections: list[Section]) -> Outline:
    fields: dict[str, str] = {}
    end: dict[str, str] = {}
    parts: list[Section | StepPart] = []
    step: list[Section] = []  # of the step that is being read
    times = ""
    for section in sections:
        if section.heading.startswith("[") or (section.heading.startswith("ended: ") and end):
            parts, step, end = [*parts, *_step(step), *_resumed(end)], [], {}
        if section.heading.startswith("["):
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
    return Outline(fields, (*parts, *_step(step)), end, times, json_or_text(end["output"]) if "output" in end else None)


def _resumed(end: dict[str, str]) -> list[Section]:
    """An end after which the run went on is something that happened in between."""
    if not end:
        return []
    others = [f"{name}: {value}" for name, value in end.items() if name != "ended"]
    return [Section(f"[resumed after {end.get('ended', '').partition(' (')[0]}]", "\n".join(others))]


def _add(fields: dict[str, str], section: Section) -> None:
    name, _, value = section.heading.partition(":")
    value = "\n".join(filter(None, [value.strip(), section.body]))
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
            notes.append("\n".join(filter(None, [section.heading.removeprefix("note:").strip(), section.body])))
    facts = StepFacts(match[2], json_or_text(match[3] or ""), result, error, kind, tuple(notes))
    return [StepPart(int(match[1]), facts, tuple(sections))]


def json_or_text(text: str) -> Any:
    """JSON where it is JSON, so that a difference has a place; else the text."""
    if text != text.strip():
        return text  # nothing that was written as JSON begins or ends in a blank
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def is_reply(section: Section) -> bool:
    return _REPLY.match(section.heading) is not None
