"""Rows of a comparison as lines of a certain width: signs, wrapping, one below or beside the other.

Changes are told by signs (+ and -) and bold underlined words, colours only repeat it. Styles are names here; the
pane gives them colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, get_character_cell_size

from pytest_looplet.review.lines import Line, Pair
from pytest_looplet.review.steps import Fold, Row, Title, is_heading

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

_GUTTER = 2
_DEEPEST_INDENT = 8  # that a wrapped line keeps
_NARROWEST = 8
_SIGNS = {"+": "added", "-": "removed", "~": "changed", "": "equal"}

Span = tuple[str, str]  # text and the name of its style


class Painted(NamedTuple):
    """One line on the screen. `fold` is what a click on it opens or closes; `title` that it begins a part."""

    spans: tuple[Span, ...]
    fill: str = ""  # style of the rest of the line
    fold: Fold | None = None
    title: Title | None = None


def paint(rows: Iterable[Row], width: int, *, opened: Container[int], beside: bool) -> Iterator[Painted]:
    """Every line, folds opened whose `id()` is in `opened`."""
    waiting: list[Pair] = []  # changed lines: all that were removed, then all that were added
    for row in rows:
        if isinstance(row, Pair) and not row.same and not beside:
            waiting.append(row)
            continue
        yield from _below(waiting, width)
        waiting = []
        if isinstance(row, Title):
            yield from _title(row, width)
        elif isinstance(row, Fold):
            yield from _fold(row, width, opened=opened, beside=beside)
        elif row.same:
            yield from _plain(row, width)
        else:
            yield from _beside(row, width)
    yield from _below(waiting, width)


def paragraph(text: str, style: str, width: int, first: str = "") -> Iterator[Painted]:
    """A text of ours in lines; `first` stands before the first one."""
    room = max(width - cell_len(first), _NARROWEST)
    for number, piece in enumerate(_words(text, room)):
        yield Painted(((first if number == 0 else " " * cell_len(first), style), (piece, style)))


def _title(row: Title, width: int) -> Iterator[Painted]:
    style = f"title-{_SIGNS[row.sign]}"
    for text in _words(row.text, max(width - 4, _NARROWEST)):
        yield Painted(((f"  {row.sign or ' '} ", style), (text, style)), fill=style, title=row)
        row = row._replace(sign="")


def _fold(row: Fold, width: int, *, opened: Container[int], beside: bool) -> Iterator[Painted]:
    is_open = id(row) in opened
    yield Painted(((" ▾ " if is_open else " ▸ ", "fold"), (row.label, "fold")), fold=row)
    if is_open:
        yield from paint(row.rows, width, opened=opened, beside=beside)


def _plain(pair: Pair, width: int) -> Iterator[Painted]:
    line = pair.after or Line("")
    style = "heading" if is_heading(line.text) else "same"
    for spans in _wrapped(line, width - _GUTTER, style, style):
        yield Painted(((" " * _GUTTER, style), *spans))


def _below(changed: Sequence[Pair], width: int) -> Iterator[Painted]:
    sides = [(pair.before, "-", "removed") for pair in changed], [(pair.after, "+", "added") for pair in changed]
    for line, sign, style in (*sides[0], *sides[1]):
        if line is not None:
            for number, spans in enumerate(_wrapped(line, width - _GUTTER, style, f"{style}-word")):
                yield Painted(((f"{sign if number == 0 else ' '} ", style), *spans), fill=style)


def _beside(pair: Pair, width: int) -> Iterator[Painted]:
    half = (width - 1) // 2
    left, right = _side(pair.before, "-", "removed", half), _side(pair.after, "+", "added", width - 1 - half)
    for number in range(max(len(left), len(right))):
        one, two = (
            side[number] if number < len(side) else ((" " * room, "same"),)
            for side, room in ((left, half), (right, width - 1 - half))
        )
        yield Painted((*one, ("│", "fold"), *two))


def _side(line: Line | None, sign: str, style: str, width: int) -> list[tuple[Span, ...]]:
    if line is None:
        return []
    found = []
    for number, spans in enumerate(_wrapped(line, width - _GUTTER, style, f"{style}-word")):
        used = sum(cell_len(text) for text, _ in spans)
        rest = " " * max(0, width - _GUTTER - used)
        found.append(((f"{sign if number == 0 else ' '} ", style), *spans, (rest, style)))
    return found


def _wrapped(line: Line, width: int, style: str, marked: str) -> Iterator[tuple[Span, ...]]:
    """The line in pieces that fit; a piece that goes on keeps the indentation."""
    width = max(width, _NARROWEST)
    text = line.text
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        yield _spans(line, 0, len(text), style, marked)
        return
    indent = min(len(text) - len(text.lstrip(" ")), _DEEPEST_INDENT, width - _NARROWEST)
    start, room = 0, width
    while start < len(text) or start == 0:
        stop = _fitting(text, start, room)
        before: tuple[Span, ...] = ((" " * indent, style),) if start and indent else ()
        yield (*before, *_spans(line, start, stop, style, marked))
        start, room = stop, width - indent


def _fitting(text: str, start: int, room: int) -> int:
    """Where to cut: after as many characters as fit, better after a space."""
    stop, used = start, 0
    while stop < len(text):
        used += get_character_cell_size(text[stop])
        if used > room:
            break
        stop += 1
    if stop == len(text):
        return stop
    space = text.rfind(" ", start + room // 2, stop)
    return space + 1 if space >= 0 else max(stop, start + 1)


def _spans(line: Line, start: int, stop: int, style: str, marked: str) -> tuple[Span, ...]:
    spans: list[Span] = []
    place = start
    for begin, end in line.marked:
        begin, end = max(begin, place), min(end, stop)
        if begin >= end:
            continue
        spans += [(line.text[place:begin], style), (line.text[begin:end], marked)]
        place = end
    spans.append((line.text[place:stop], style))
    return tuple((text, name) for text, name in spans if text)


def _words(text: str, width: int) -> list[str]:
    return ["".join(piece for piece, _ in spans) for spans in _wrapped(Line(text), width, "", "")] or [""]
