"""The text `trace_snapshot` compares, and what it says where two texts differ."""

from __future__ import annotations

import os
from difflib import SequenceMatcher
from pathlib import Path
from typing import TYPE_CHECKING

from looplet._pretty import shorten, visible
from looplet.result import RunResult
from looplet.trace.diff import diff_texts
from looplet.trace.directory import JOURNAL
from looplet.trace.normalize import Normalizer, normal_text
from looplet.trace.read import Trace, read_journal
from looplet.trace.redact import Redaction, Redactor
from pytest_looplet.golden.recordings import traces_in

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SUMMARY_LINES = 4  # pytest shows the first eight lines of an explanation, these are among them
_LINE_CHARS = 110
_CONTEXT = 2


class _Redacting(Normalizer):
    """What is written down holds no secret, and a pattern that makes a text normal must not leave half of one."""

    def __init__(self, paths: Mapping[str, str], volatile: Sequence[str]) -> None:
        super().__init__(paths, volatile)
        self._redaction = Redaction(Redactor())

    def __call__(self, text: str) -> str:
        return super().__call__(self._redaction.text(text))


def text_of(value: object, paths: Mapping[Path, str], volatile: Sequence[str]) -> str:
    """The normal text of a run, one part for each of its loops; a value that is no run is a TypeError."""
    normalizer = _Redacting({form: to for path, to in paths.items() for form in _forms(path)}, volatile)
    text = "\n".join(normal_text(source, normalizer) for source in _sources(value))
    return text.encode("utf-8", "backslashreplace").decode()  # as it will be read back


def _forms(path: Path) -> set[str]:
    return {str(path), str(path.resolve()), os.path.abspath(path)}  # noqa: PTH100  # one follows links, one does not


def _sources(value: object) -> Iterator[Trace | RunResult]:
    if isinstance(value, Trace):
        yield value
    elif isinstance(value, os.PathLike):
        path = Path(value)
        yield from map(read_journal, traces_in(path) or [path])
    else:
        result = value if isinstance(value, RunResult) else getattr(value, "result", None)
        if not isinstance(result, RunResult):
            raise TypeError(
                f"trace_snapshot compares a run: a RunResult, the Run itself, a Trace, or the Path of a trace; "
                f"not {type(value).__name__}"
            )
        yield from map(_with_trace, result.all or (result,))


def _with_trace(result: RunResult) -> Trace | RunResult:
    """The trace knows the prompts; an agent that is not looplet's leaves none."""
    if result.trace_dir is not None and Path(result.trace_dir, JOURNAL).is_file():
        return read_journal(result.trace_dir)
    return result


def in_words(before: str | None, after: str) -> list[str]:
    """What a run did differently from its snapshot, the most important first. `before` is None without a snapshot."""
    if before is None:
        return ["there is no such snapshot yet"]
    said = diff_texts(before, after).lines(limit=_SUMMARY_LINES) or [_not_told(before, after)]
    return [shorten(line, _LINE_CHARS) for line in said]


def _not_told(before: str, after: str) -> str:
    """For a difference in nothing that a run does."""
    old, new = before.split("\n"), after.split("\n")
    first = next((index for index, pair in enumerate(zip(old, new, strict=False)) if pair[0] != pair[1]), len(old) - 1)
    place = _heading_above(old, first).partition("]")[0]
    blanks = "".join(before.split()) == "".join(after.split())
    return f"{'blank lines or spaces differ' if blanks else 'the text differs'} in {place}{']' * place.startswith('[')}"


def in_detail(before: str | None, after: str) -> list[str]:
    if before is None:
        return [f"+ {line}".rstrip() for line in after.rstrip("\n").split("\n")]
    return list(_by_section(before, after))


def _by_section(before: str, after: str) -> Iterator[str]:
    """A unified diff that names sections where others give line numbers."""
    old, new = before.rstrip("\n").split("\n"), after.rstrip("\n").split("\n")
    for group in SequenceMatcher(None, old, new).get_grouped_opcodes(_CONTEXT):
        first = next(change for change in group if change[0] != "equal")
        yield f"@@ {_heading_above(old, first[1] - (first[0] == 'insert'))}"
        for tag, i1, i2, j1, j2 in group:
            sign = " " if tag == "equal" else "-"
            yield from (f"{sign} {visible(line)}".rstrip() for line in old[i1:i2])  # anybody may have edited the file
            if tag != "equal":
                yield from (f"+ {line}".rstrip() for line in new[j1:j2])


def _heading_above(lines: Sequence[str], index: int) -> str:
    """Headings stand at the left margin, all other text is indented."""
    above = (line for line in reversed(lines[: max(index, 0) + 1]) if line.startswith("["))
    return shorten(next(above, "header"), _LINE_CHARS)
