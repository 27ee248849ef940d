"""The screen of `looplet review`: entries on the left, the chosen one's changes on the right, one key a decision."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from textual.app import App
from textual.binding import Binding, BindingType
from textual.containers import Container
from textual.widgets import Footer, Static

from pytest_looplet.review.ui.dialogs import Help, Question
from pytest_looplet.review.ui.panes import DiffPane, EntryList
from pytest_looplet.review.ui.style import CSS

if TYPE_CHECKING:
    from textual.app import ComposeResult

    from pytest_looplet.review.session import Entry, Review


class ReviewApp(App[None]):
    """Shows a `Review`. Each decision is carried out at once, so there is nothing to save when it ends."""

    CSS = CSS
    TITLE = "looplet review"
    ENABLE_COMMAND_PALETTE = False
    HORIZONTAL_BREAKPOINTS = [  # the form textual declares
        (0, "-narrow"),
        (90, "-wide"),
    ]
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("a", "accept", "accept"),
        Binding("r", "reject", "reject"),
        Binding("s", "skip", "skip"),
        Binding("n", "change(1)", "change", key_display="n/p"),
        Binding("p", "change(-1)", show=False),
        Binding("j,down", "entry(1)", "entry", key_display="j/k"),
        Binding("k,up", "entry(-1)", show=False),
        Binding("question_mark", "help", "keys", key_display="?"),
        Binding("q", "quit", "quit"),
        Binding("space,pagedown", "page(1)", "scroll", key_display="space"),
        Binding("b,pageup", "page(-1)", show=False),
        Binding("home", "edge(False)", show=False),
        Binding("end", "edge(True)", show=False),
        Binding("f", "folds", "unfold"),
        Binding("v", "beside", "beside"),
        Binding("A", "accept_all", "accept all"),
        Binding("ctrl+c", "quit", show=False, priority=True),
    ]

    def __init__(self, review: Review) -> None:
        super().__init__()
        self.review = review
        self.index = 0

    def compose(self) -> ComposeResult:
        yield Static(id="status", markup=False)
        with Container(id="panes"):
            yield EntryList(self.review.entries)
            yield DiffPane()
        yield Footer(show_command_palette=False)

    def on_mount(self) -> None:
        self.show_entry(0)

    @property
    def entry(self) -> Entry:
        return self.review.entries[self.index]

    @property
    def diff(self) -> DiffPane:
        return self.query_one(DiffPane)

    def show_entry(self, index: int) -> None:
        self.index = index
        self.query_one(EntryList).choose(index)
        self.diff.show(self.entry)
        self.show_status()

    def show_status(self) -> None:
        left = len(self.review.left())
        place = f"{self.index + 1} of {len(self.review.entries)}"
        done = "" if left else " · all decided, q quits"
        self.query_one("#status", Static).update(f" looplet review · {place} · {self.review.summary()}{done}")

    def on_entry_list_chosen(self, event: EntryList.Chosen) -> None:
        self.show_entry(event.index)

    def action_entry(self, by: int) -> None:
        self.show_entry(min(max(self.index + by, 0), len(self.review.entries) - 1))

    def action_change(self, by: int) -> None:
        self.diff.go_to_change(by)

    def action_page(self, by: int) -> None:
        (self.diff.scroll_page_down if by > 0 else self.diff.scroll_page_up)(animate=False, force=True)

    def action_edge(self, end: bool) -> None:
        (self.diff.scroll_end if end else self.diff.scroll_home)(animate=False, force=True)

    def action_folds(self) -> None:
        self.diff.toggle_folds()

    def action_beside(self) -> None:
        self.diff.toggle_beside()

    def action_accept(self) -> None:
        self._decided(self.review.accept(self.entry))

    def action_reject(self) -> None:
        self._decided(self.review.reject(self.entry))

    def action_skip(self) -> None:
        self.review.skip(self.entry)
        self._decided(self.entry.left)

    def _decided(self, done: bool) -> None:
        """Go on to the next one; a refusal stays in view."""
        following = self.review.next_open(self.index) if done else None
        self.show_entry(self.index if following is None else following)

    def action_accept_all(self) -> None:
        left = len(self.review.left())
        if left:
            question = (
                f"Accept all {left} that are left?\nRecordings whose behaviour changed stay: they are recorded again."
            )
            self.push_screen(Question(question), self._answered)

    def _answered(self, answer: bool | None) -> None:
        if answer:
            self.run_worker(self._accept_all(), exclusive=True)

    async def _accept_all(self) -> None:
        """One after the other, with the screen alive: ctrl+c ends it between two."""
        for entry in self.review.left():
            self.review.accept(entry)
            self.show_status()
            await asyncio.sleep(0)
        following = self.review.next_open(self.index)
        self.show_entry(self.index if following is None else following)

    def action_help(self) -> None:
        self.push_screen(Help())
