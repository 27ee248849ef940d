"""The two panes: the list of entries, and one entry's comparison. Only the lines in sight are drawn."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from looplet._pretty import visible
from pytest_looplet.review.session import ACCEPTED, ELSEWHERE, REJECTED, SKIPPED, Entry
from pytest_looplet.review.steps import Fold, Row
from pytest_looplet.review.ui.paint import Painted, paint, paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.style import Style
    from textual.events import Click, Resize

MARKS = {"": " ", ACCEPTED: "✓", REJECTED: "✗", SKIPPED: "•", ELSEWHERE: "-"}
BESIDE_FROM = 120  # columns of the pane from which before and after stand beside each other
_LINES_AN_ENTRY = 2


class Lines(ScrollView, can_focus=False):
    """A scrolled column of lines. The keys belong to the whole screen, so it takes no focus."""

    def style(self, name: str) -> Style:
        return self.get_component_rich_style(f"lines--{name}") if name else self.rich_style

    def strip(self, spans: Sequence[tuple[str, str]], fill: str = "") -> Strip:
        base = self.rich_style
        strip = Strip([Segment(text, base + self.style(name)) for text, name in spans])
        return strip.adjust_cell_length(self.size.width, base + self.style(fill))


class EntryList(Lines):
    """Every entry on two lines: its decision and name, then kind and file."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {"lines--entry", "lines--detail", "lines--current", "lines--refused"}

    class Chosen(Message):
        """An entry was clicked."""

        def __init__(self, index: int) -> None:
            super().__init__()
            self.index = index

    def __init__(self, entries: Sequence[Entry]) -> None:
        super().__init__()
        self.entries = entries
        self.index = 0

    def on_mount(self) -> None:
        self.virtual_size = Size(self.size.width, len(self.entries) * _LINES_AN_ENTRY)

    def on_resize(self, event: Resize) -> None:
        self.virtual_size = Size(event.size.width, len(self.entries) * _LINES_AN_ENTRY)
        self.choose(self.index)

    def choose(self, index: int) -> None:
        self.index = index
        place = Region(0, index * _LINES_AN_ENTRY, self.size.width, _LINES_AN_ENTRY)
        self.scroll_to_region(place, animate=False, force=True)
        self.refresh()

    def render_line(self, y: int) -> Strip:
        index, line = divmod(y + int(self.scroll_offset.y), _LINES_AN_ENTRY)
        if index >= len(self.entries):
            return Strip.blank(self.size.width, self.rich_style)
        entry = self.entries[index]
        file, _, name = entry.shown_id.rpartition("::")
        mark = "!" if entry.refused and entry.left else MARKS[entry.decision]
        text = f" {mark} {name}" if line == 0 else f"   {entry.kind} · {file or entry.target}"
        style = "refused" if mark == "!" else "entry"
        current = "current" if index == self.index else ""
        if cell_len(text) > self.size.width:
            text = f"{set_cell_size(text, self.size.width - 1)}…"
        return self.strip([(text, current or (style if line == 0 else "detail"))], current)

    def on_click(self, event: Click) -> None:
        index = (event.y + int(self.scroll_offset.y)) // _LINES_AN_ENTRY
        if index < len(self.entries):
            self.post_message(self.Chosen(index))


class DiffPane(Lines):
    """One entry: what it is, why it is here, and the comparison step by step."""

    COMPONENT_CLASSES: ClassVar[set[str]] = {
        *(f"lines--title-{kind}" for kind in ("added", "removed", "changed", "equal")),
        *(f"lines--{name}" for name in ("added", "added-word", "removed", "removed-word", "same", "heading", "fold")),
        *(f"lines--{name}" for name in ("name", "detail", "significant", "informational", "refused", "decided")),
        "lines--current",
    }

    def __init__(self) -> None:
        super().__init__()
        self.entry: Entry | None = None
        self.opened: set[int] = set()
        self.beside: bool | None = None  # None: by the width
        self.lines: list[Painted] = []
        self.changes: list[int] = []  # where in `lines` the changed parts begin
        self.change = -1  # which of them n and p are at

    def show(self, entry: Entry) -> None:
        """Begin at the top unless it is the entry that is shown already."""
        if entry is not self.entry:
            self.entry, self.opened, self.change = entry, set(), -1
            self.scroll_home(animate=False, force=True)
        self.repaint()

    def repaint(self) -> None:
        width = self.size.width
        if self.entry is None or width <= 0:
            return
        beside = width >= BESIDE_FROM if self.beside is None else self.beside
        self.lines = [
            *_head(self.entry, width),
            *paint(self.entry.rows, width, opened=self.opened, beside=beside),
        ]
        self.changes = [place for place, line in enumerate(self.lines) if line.title and line.title.sign]
        self.virtual_size = Size(width, len(self.lines))
        self.refresh()

    def on_resize(self) -> None:
        self.repaint()

    def render_line(self, y: int) -> Strip:
        place = y + int(self.scroll_offset.y)
        if place >= len(self.lines):
            return Strip.blank(self.size.width, self.rich_style)
        line = self.lines[place]
        if self.change >= 0 and place == self.changes[self.change]:
            text = "".join(text for text, _ in line.spans)
            return self.strip([(f"▶{text[1:]}", "current")], "current")
        return self.strip(line.spans, line.fill)

    def go_to_change(self, by: int) -> None:
        """The next changed part, or the one before. It stays marked where the text is too short to scroll."""
        if self.changes:
            self.change = min(max(self.change + by, 0), len(self.changes) - 1)
            self.scroll_to(y=self.changes[self.change], animate=False, force=True)
            self.refresh()

    def toggle_folds(self) -> None:
        """Open everything, or close it again."""
        self.opened = set() if self.opened else {id(fold) for fold in _folds(self.entry.rows if self.entry else [])}
        self.repaint()

    def toggle_beside(self) -> None:
        shown = self.size.width >= BESIDE_FROM if self.beside is None else self.beside
        self.beside = not shown
        self.repaint()

    def on_click(self, event: Click) -> None:
        place = event.y + int(self.scroll_offset.y)
        fold = self.lines[place].fold if place < len(self.lines) else None
        if fold is not None:
            self.opened ^= {id(fold)}
            self.repaint()


def _head(entry: Entry, width: int) -> Iterator[Painted]:
    """What it is, what was decided, and the explanations: filled marks for behaviour, open ones for the rest."""
    yield from paragraph(entry.shown_id, "name", width)
    yield from paragraph(f"{entry.kind} {entry.target}", "detail", width)
    yield Painted(())
    if entry.decision:
        yield from paragraph(entry.decision, "decided", width, f"{MARKS[entry.decision]} ")
    if entry.left and entry.refusal:
        yield from paragraph(f"cannot be accepted: {entry.refusal}", "refused", width, "! ")
    if entry.left and entry.refused and entry.refused != entry.refusal:
        yield from paragraph(f"not done: {entry.refused}", "refused", width, "! ")
    if entry.changes:
        for change in entry.changes:
            mark, style = ("● ", "significant") if change.significant else ("○ ", "informational")
            yield from paragraph(visible(change.text), style, width, mark)
    else:
        for line in entry.why():
            yield from paragraph(line, "significant", width, "● ")
    yield Painted(())


def _folds(rows: Sequence[Row]) -> Iterator[Fold]:
    for row in rows:
        if isinstance(row, Fold):
            yield row
            yield from _folds(row.rows)


__all__ = ["DiffPane", "EntryList"]
