"""Rows of a comparison as lines of a certain width: signs, wrapping, one below or beside the other.

Changes are told by signs (+ and -) and bold underlined words, colours only repeat it. Styles are names here; the
pane gives them colours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len, get_character_cell_size

from pytest_looplet.review.lines import Pair, Spans
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
    line = pair.after or ""
    style = "heading" if is_heading(line) else "same"
    for spans in _wrapped(line, width - _GUTTER, style):
        yield Painted(((" " * _GUTTER, style), *spans))


def _below(changed: Sequence[Pair], width: int) -> Iterator[Painted]:
    marked = [(pair, *pair.marks()) for pair in changed]
    removed = [(pair.before, old, "-", "removed") for pair, old, _ in marked]
    added = [(pair.after, new, "+", "added") for pair, _, new in marked]
    for line, spans, sign, style in (*removed, *added):
        for number, pieces in enumerate(_wrapped(line, width - _GUTTER, style, spans) if line is not None else ()):
            yield Painted(((f"{sign if number == 0 else ' '} ", style), *pieces), fill=style)


def _beside(pair: Pair, width: int) -> Iterator[Painted]:
    half = (width - 1) // 2
    rooms = half, width - 1 - half
    old, new = pair.marks()
    sides = _side(pair.before, old, "-", "removed", rooms[0]), _side(pair.after, new, "+", "added", rooms[1])
    for number in range(max(map(len, sides))):
        one, two = (
            side[number] if number < len(side) else ((" " * room, "same"),)
            for side, room in zip(sides, rooms, strict=True)
        )
        yield Painted((*one, ("│", "fold"), *two))


def _side(line: str | None, marked: Spans, sign: str, style: str, width: int) -> list[tuple[Span, ...]]:
    if line is None:
        return []
    found = []
    for number, spans in enumerate(_wrapped(line, width - _GUTTER, style, marked)):
        used = sum(cell_len(text) for text, _ in spans)
        rest = " " * max(0, width - _GUTTER - used)
        found.append(((f"{sign if number == 0 else ' '} ", style), *spans, (rest, style)))
    return found


def _wrapped(text: str, width: int, style: str, marked: Spans = ()) -> Iterator[tuple[Span, ...]]:
    """The line in pieces that fit; a piece that goes on keeps the indentation."""
    width = max(width, _NARROWEST)
    if len(text) <= width and (text.isascii() or cell_len(text) <= width):
        yield _spans(text, 0, len(text), style, marked)
        return
    indent = min(len(text) - len(text.lstrip(" ")), _DEEPEST_INDENT, width - _NARROWEST)
    start, room = 0, width
    while start < len(text) or start == 0:
        stop = _fitting(text, start, room)
        before: tuple[Span, ...] = ((" " * indent, style),) if start and indent else ()
        yield (*before, *_spans(text, start, stop, style, marked))
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


def _spans(text: str, start: int, stop: int, style: str, marked: Spans) -> tuple[Span, ...]:
    spans: list[Span] = []
    place = start
    for begin, end in marked:
        begin, end = max(begin, place), min(end, stop)
        if begin < end:
            spans += [(text[place:begin], style), (text[begin:end], f"{style}-word")]
            place = end
    spans.append((text[place:stop], style))
    return tuple((piece, name) for piece, name in spans if piece)


def _words(text: str, width: int) -> list[str]:
    return ["".join(piece for piece, _ in spans) for spans in _wrapped(text, width, "")] or [""]
