"""What waits for a decision and what was decided: everything `looplet review` knows, without a screen."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from looplet._pretty import visible
from looplet.errors import TraceError
from looplet.trace.change import Change
from looplet.trace.diff import diff_texts
from looplet.trace.normalize import Normalizer, normal_text
from looplet.trace.read import read_journal
from pytest_looplet.golden import decide
from pytest_looplet.golden.decide import AlreadyDecidedError, WrittenAgainError
from pytest_looplet.golden.pending import SNAPSHOT, Pending, PendingError, load_all, reloaded
from pytest_looplet.golden.recordings import traces_in
from pytest_looplet.review.steps import Row, compare

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

ACCEPTED, REJECTED, SKIPPED, ELSEWHERE = "accepted", "rejected", "skipped", "decided elsewhere"


class Entry:
    """One pending thing. Its texts are read when they are first asked for, so that a thousand entries open at once."""

    def __init__(self, pending: Pending) -> None:
        self.pending = pending
        self.decision = ""
        self.refused = ""  # why the last decision could not be carried out

    @property
    def id(self) -> str:
        return self.pending.id

    @property
    def shown_id(self) -> str:
        return visible(self.pending.id)

    @property
    def kind(self) -> str:
        return self.pending.kind or "unreadable"

    @property
    def target(self) -> str:
        return visible(self.pending.target.relative_to(self.pending.root).as_posix())

    @property
    def left(self) -> bool:
        """Whether it still waits: skipped entries do."""
        return self.decision in ("", SKIPPED)

    @cached_property
    def texts(self) -> tuple[str, str]:
        """Before and after. What cannot be read is said in place of the text."""
        old, new = self.pending.target, self.pending.new
        if self.pending.kind == SNAPSHOT:
            return _file_text(old), _file_text(new)
        return _trace_text(old), _trace_text(new)

    @cached_property
    def changes(self) -> tuple[Change, ...]:
        """The difference in one-line explanations, what matters first."""
        if self.pending.problem or not self.texts[0]:
            return ()
        diff = diff_texts(*self.texts)
        return (*diff.significant, *diff.informational)

    @cached_property
    def rows(self) -> list[Row]:
        return [] if self.pending.problem else compare(*self.texts)

    @cached_property
    def refusal(self) -> str | None:
        """Why it cannot be accepted as it is now, None when it can."""
        refused = decide.refusal(self.pending)
        return self.said(refused) if refused else None

    def why(self) -> list[str]:
        """Explanations, one line each, also where there is nothing to compare with."""
        if self.pending.problem:
            return [visible(self.pending.problem)]
        if not self.changes and not self.texts[0]:
            if self.pending.digest is None:
                return [f"new {self.kind}: there was none to compare with"]
            if self.pending.gone:
                return [f"its {self.kind} is gone: there is nothing left to compare with"]
        return [visible(change.text) for change in self.changes] or [
            visible(line) for line in self.pending.why.splitlines()
        ]

    def said(self, refusal: str) -> str:
        """A refusal on one line, without the name that stands beside it already."""
        return visible(refusal.removeprefix(f"{self.id}: "))


class Review:
    """All entries of a project, and the decisions, each carried out at once."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.entries = [Entry(pending) for pending in load_all(root)]

    def accept(self, entry: Entry) -> bool:
        """Carry it out; False when it is refused, and `entry.refused` says why."""
        return self._carry_out(entry, ACCEPTED)

    def reject(self, entry: Entry) -> bool:
        return self._carry_out(entry, REJECTED)

    def skip(self, entry: Entry) -> None:
        if entry.left:
            entry.decision = SKIPPED

    def left(self) -> list[Entry]:
        return [entry for entry in self.entries if entry.left]

    def count(self, decision: str) -> int:
        return sum(entry.decision == decision for entry in self.entries)

    def next_open(self, index: int) -> int | None:
        """The next entry without a decision, skipped ones last."""
        order = [*range(index + 1, len(self.entries)), *range(index + 1)]
        fresh = [place for place in order if not self.entries[place].decision]
        return next(iter(fresh or [place for place in order if self.entries[place].left]), None)

    def summary(self) -> str:
        """`2 accepted, 1 rejected, 3 left`."""
        counts = [(word, self.count(word)) for word in (ACCEPTED, REJECTED, ELSEWHERE)] + [("left", len(self.left()))]
        return ", ".join(f"{number} {word}" for word, number in counts if number or word == "left")

    def _carry_out(self, entry: Entry, decision: str) -> bool:
        if not entry.left:
            return False
        entry.refused = ""
        entry.texts  # noqa: B018  # read now: afterwards there is nothing to compare, and the screen still shows it
        try:
            (decide.accept if decision == ACCEPTED else decide.reject)(entry.pending)
        except (PendingError, OSError) as error:
            entry.refused = entry.said(str(error))
            self._take_notice(entry, error)
            return False
        entry.decision = decision
        return True

    def _take_notice(self, entry: Entry, error: Exception) -> None:
        """What somebody else did to the entry: it is read again, or no longer to be decided about here."""
        now = reloaded(entry.pending)
        if isinstance(error, AlreadyDecidedError) or now is None:
            entry.decision = ELSEWHERE
        elif isinstance(error, WrittenAgainError):
            fresh = Entry(now)
            fresh.refused = entry.refused
            self.entries[self.entries.index(entry)] = fresh


def named(entries: Sequence[Entry], pattern: str) -> list[Entry]:
    """The entries whose id matches. `*` and `?` are wildcards; brackets are not, they are part of an eval's id."""
    from fnmatch import fnmatchcase

    literal = pattern.replace("[", "[[]")
    return [entry for entry in entries if entry.id == pattern or fnmatchcase(entry.id, literal)]


def _file_text(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8", "backslashreplace")
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"(cannot read {path.name}: {error})\n"


def _trace_text(folder: Path) -> str:
    """All loops of a recording. Labels, times and tokens are left out: they always differ."""
    try:
        return "\n".join(normal_text(read_journal(trace), Normalizer()) for trace in traces_in(folder))
    except TraceError as error:
        return f"(cannot be read: {error})\n"
