"""`looplet diff A B`: what the second run did differently."""

from __future__ import annotations

import difflib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from looplet._pretty import visible
from looplet._record import Record
from looplet.errors import TraceError
from looplet.trace.change import Change, Diff
from looplet.trace.diff import diff_traces
from looplet.trace.directory import JOURNAL
from looplet.trace.jsonable import jsonable
from looplet.trace.read import read_journal

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator


class Pair(Record):
    """Two traces of one name; a name that only one side has is a difference of its own."""

    name: str
    a: str | None
    b: str | None
    diff: Diff


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("a", metavar="A", help="a trace, or a directory of traces")
    parser.add_argument(
        "b", metavar="B", help="the trace it is compared with, or a directory of traces of the same names"
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--full", action="store_true", help="below each difference, the step or message before and after")
    how.add_argument("--json", action="store_true", help="print JSON instead of text")


def run(options: argparse.Namespace) -> int:
    """Print the differences; 1 when one of them is significant."""
    pairs = compare(Path(options.a), Path(options.b))
    significant = sum(len(pair.diff.significant) for pair in pairs)
    if options.json:
        traces = [
            {"name": pair.name, "a": pair.a, "b": pair.b, "changes": [each.to_dict() for each in pair.diff.changes]}
            for pair in pairs
        ]
        print(json.dumps(jsonable({"significant": significant, "traces": traces}), indent=2))
    else:
        print("\n".join(_lines(pairs, full=options.full)))
    return 1 if significant else 0


def compare(a: Path, b: Path) -> list[Pair]:
    """The traces in `a` and `b`, paired by name, or the two traces themselves."""
    one, other = _traces(a), _traces(b)
    if one is None and other is None:
        return [Pair("", str(a), str(b), diff_traces(read_journal(a), read_journal(b)))]
    if one is None or other is None:
        single, several = (a, b) if one is None else (b, a)
        raise TraceError(f"{str(single)!r} is a trace and {str(several)!r} a directory of traces; name one of them")
    return [_pair(name, one.get(name), other.get(name)) for name in {**one, **other}]


def _traces(path: Path) -> dict[str, Path] | None:
    """The traces below a directory by their relative path, None for a path that is a trace itself."""
    if (path / JOURNAL).is_file():
        return None
    found = sorted(journal.parent for journal in path.rglob(JOURNAL))
    if not found:
        read_journal(path)  # raises the error that says what is there instead
    return {trace.relative_to(path).as_posix(): trace for trace in found}


def _pair(name: str, a: Path | None, b: Path | None) -> Pair:
    if a is not None and b is not None:
        return Pair(name, str(a), str(b), diff_traces(read_journal(a), read_journal(b)))
    change = Change("run_removed", "trace removed", True) if b is None else Change("run_added", "trace added", True)
    return Pair(name, None if a is None else str(a), None if b is None else str(b), Diff((change,)))


def _lines(pairs: list[Pair], *, full: bool) -> Iterator[str]:
    for pair in pairs:
        prefix = f"{visible(pair.name)}: " if pair.name else ""
        shown: tuple[str | None, str | None] = (None, None)
        for change in pair.diff.changes:
            yield f"{'' if change.significant else '  '}{prefix}{change.text}"
            if full and shown != (shown := (change.before, change.after)):  # once for all that changed in a step
                yield from _before_and_after(change)
    yield _summary(pairs)


def _summary(pairs: list[Pair]) -> str:
    significant = sum(len(pair.diff.significant) for pair in pairs)
    others = sum(len(pair.diff.informational) for pair in pairs)
    traces = f" in {len(pairs)} traces" if len(pairs) > 1 else ""
    what = f"{significant} significant difference{'s' * (significant != 1)}" if significant else "same behaviour"
    if not significant and not others:
        return f"no difference{traces}"
    return f"{what}{traces}; {others} in wording, settings and cost"


def _before_and_after(change: Change) -> Iterator[str]:
    before, after = ((text or "").split("\n") for text in (change.before, change.after))
    for line in list(difflib.unified_diff(before, after, lineterm="", n=2))[2:]:
        if not line.startswith("@@"):
            yield f"    {line}"
