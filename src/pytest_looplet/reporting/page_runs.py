"""What the HTML report shows of one run: its timeline, and its trace cut into parts that unfold."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from looplet._pretty import shorten, summarize
from looplet.errors import TraceError
from looplet.events import ModelFailed, ModelReplied, StepFinished
from looplet.trace.outline import Outline, Section, StepPart, read_outlines
from looplet.trace.read import Trace, read_journal, result_of
from looplet.trace.render import render_trace
from pytest_looplet.golden.recordings import traces_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_HEADING = re.compile(r"\[([^\]\s]+)([^\]]*)\] ?(.*)", re.DOTALL)
_TEXT_CHARS = 20_000  # of one prompt or result
_PAGE_CHARS = 32_000_000  # of all traces together
_RUN_CHARS = (20_000, 400_000)  # but at least and at most so many a run
_PREVIEW_CHARS = 160


def run_chars(runs: int) -> int:
    """How many characters of each run's texts a page of so many runs holds."""
    least, most = _RUN_CHARS
    return max(least, min(most, _PAGE_CHARS // max(1, runs)))


def loops_of(folder: Path, shown: str, chars: int) -> list[dict[str, Any]]:
    """Each loop of the run whose trace is in `folder`. `shown` is the path that `looplet show` is given."""
    loops = []
    for path in traces_in(folder):
        place = shown if path == folder else f"{shown}/{path.name}"
        try:
            loops.append(_Loop(read_journal(path), place, chars).told())
        except TraceError as error:
            loops.append({"place": place, "problem": str(error), "steps": 0, "duration_s": 0.0})
    return loops


class _Loop:
    """One trace. Texts are shown while there is room, and later ones name the command that prints them."""

    def __init__(self, trace: Trace, place: str, chars: int) -> None:
        self._trace = trace
        self._place = place
        self._left = chars
        self._steps = {event.step.number: event.step for event in trace.events if isinstance(event, StepFinished)}
        self._reply_ms = {event.call: event.duration_ms for event in trace.events if isinstance(event, ModelReplied)}

    def told(self) -> dict[str, Any]:
        outline = read_outlines(render_trace(self._trace))[0]
        result = result_of(self._trace)
        return {
            "place": self._place,
            "problem": None,
            "facts": outline.fields,
            "end": outline.end,
            "duration_s": result.duration,
            "steps": len(result.steps),
            "bars": list(self._bars()),
            "parts": list(self._parts(outline)),
        }

    def _bars(self) -> Iterator[dict[str, Any]]:
        """Everything that took time, in order."""
        for event in self._trace.events:
            if isinstance(event, ModelReplied):
                kind = "compaction" if event.purpose else "model"
                yield {"kind": kind, "label": f"reply {event.call}", "ms": event.duration_ms, "ok": True}
            elif isinstance(event, ModelFailed):
                yield {"kind": "model", "label": f"request {event.call} failed", "ms": 0.0, "ok": False}
            elif isinstance(event, StepFinished):
                call, result = event.step.tool_call, event.step.tool_result
                label = f"#{event.step.number} {call.tool}"
                step = {"step": event.step.number, "ok": result.ok, "ms": result.duration_ms}
                yield {"kind": "tool", "label": label, **step}

    def _parts(self, outline: Outline) -> Iterator[dict[str, Any]]:
        """The parts in order. A reply that is nothing but calls is told by its time beside the first of them."""
        reply_ms = None
        for part in outline.parts:
            if isinstance(part, StepPart):
                yield {**self._step(part), "reply_ms": reply_ms}
                reply_ms = None
                continue
            told = self._section(part)
            if told["kind"] == "reply" and not told["preview"]:
                reply_ms = told["ms"]
            else:
                yield {**told, "reply_ms": None}

    def _step(self, part: StepPart) -> dict[str, Any]:
        step = self._steps[part.number]
        result = step.tool_result
        call, *rest = part.sections
        show = f"looplet show {self._place} --step {part.number}"
        arguments = call.heading.partition("] ")[2].partition(" ")[2]
        texts = [("arguments", self._cut(arguments, show))] if len(arguments) > _PREVIEW_CHARS else []
        texts += [("", self._cut(call.body, show))] if call.body else []
        for section in rest:
            title, _, inline = section.heading.partition(":")
            texts.append((title, self._cut(f"{inline.strip()}\n{section.body}".strip("\n"), show)))
        return {
            "kind": "step",
            "step": part.number,
            "title": step.tool_call.tool,
            "preview": _preview(arguments),
            "outcome": summarize(result.data) if result.error is None else _preview(result.error),
            "ok": result.ok,
            "ms": result.duration_ms,
            "texts": texts,
        }

    def _section(self, section: Section) -> dict[str, Any]:
        match = _HEADING.match(section.heading)
        kind, title, beside = (match[1], match[2].strip(" ,"), match[3]) if match else ("", section.heading, "")
        text = f"{beside}\n{section.body}".strip("\n")
        call = re.match(r"\d+", title) if kind == "reply" else None
        return {
            "kind": kind,
            "title": f"{kind} {title}".strip(),
            "preview": _preview(text),
            "ms": self._reply_ms[int(call[0])] if call else None,
            "texts": [("", self._cut(text, f"looplet show {self._place}"))] if _needs_room(text) else [],
        }

    def _cut(self, text: str, show: str) -> str:
        room = min(_TEXT_CHARS, self._left)
        self._left -= min(len(text), room)
        if len(text) <= room:
            return text
        return f"{text[:room]}\n… {len(text) - room:,} more characters: {show}"


def _preview(text: str) -> str:
    return shorten(text.partition("\n")[0], _PREVIEW_CHARS)


def _needs_room(text: str) -> bool:
    return "\n" in text or len(text) > _PREVIEW_CHARS
