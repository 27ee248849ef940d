"""What stands over the panes for a moment: the question before accepting everything, and the keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical
from textual.screen import ModalScreen
from textual.widgets import Button, Static

if TYPE_CHECKING:
    from textual.app import ComposeResult
    from textual.events import Key

KEYS = """\
j k  ↓ ↑        next, previous entry
space  b        scroll (also PgDn PgUp, Home End)
n  p            next, previous change
f               unfold, fold everything; a click unfolds one
v               before and after beside each other, or not

a               accept: the new content takes its place
r               reject: what is there stays, the entry goes
s               skip: decide later
A               accept everything that can be accepted

q               quit; what was decided is done already
"""


class Question(ModalScreen[bool]):
    """A yes or a no. Enter alone says nothing, so that nobody agrees by accident."""

    AUTO_FOCUS = ""  # no button has the focus, else Enter would press it
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,q", "answer(False)", "No"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(self.text, markup=False)
            with Horizontal():
                yield Button("[y] yes", id="yes", compact=True)
                yield Button("[n] no", id="no", compact=True)

    def on_button_pressed(self, event: Button.Pressed) -> None:
        self.dismiss(event.button.id == "yes")

    def action_answer(self, answer: bool) -> None:
        self.dismiss(answer)


class Help(ModalScreen[None]):
    """The keys. Any key or click closes it."""

    def compose(self) -> ComposeResult:
        with Vertical(classes="dialog"):
            yield Static(KEYS, markup=False)

    def on_key(self, event: Key) -> None:
        event.prevent_default().stop()  # else the screen below acts on it, too
        self.dismiss()

    def on_click(self) -> None:
        self.dismiss()
