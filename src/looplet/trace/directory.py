"""A trace directory: who may write it, what happens to the trace that was there, and who may read the files.

One run owns one directory, held by a lock on `journal.jsonl` that the kernel frees when the process dies. A trace that
was there before is moved to `<dir>.previous`; when the new trace is complete the old one is removed if it was finished,
and kept if it was not, because nobody has seen how it ends. Only files a trace consists of are ever removed.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from looplet.errors import TraceError

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two processes that write one trace are not noticed there
    fcntl = None  # type: ignore[assignment]

JOURNAL, TEXT, ARTIFACTS, BLOBS = "journal.jsonl", "trace.txt", "artifacts.json", "blobs"
_OWN_FILES = frozenset({JOURNAL, TEXT, ARTIFACTS, ".gitignore"})
_TAIL_BYTES = 1 << 20


class TraceDirectory:
    """The directory of the trace being written. `journal` is the open, locked file descriptor.

    `resume`: append to the journal that is there. `shared`: the trace is meant to be committed (a recording), so it has
    normal permissions and no `.gitignore`.
    """

    def __init__(self, path: Path, *, shared: bool = False, resume: bool = False) -> None:
        self.path = path
        self._shared = shared
        self._previous: Path | None = None  # to be removed when this trace is complete
        try:
            self.journal = self._reopen() if resume else self._open()
        except OSError as error:
            raise TraceError(
                f"cannot write a trace to {str(path)!r}: {error}; give a directory you may write to"
            ) from error

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the trace whole, or not at all."""
        temporary = self.path / f".{name}.tmp"
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666 if self._shared else 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
            file.write(text)
        temporary.replace(self.path / name)

    def remove_previous(self) -> None:
        """Called when this trace is complete."""
        if self._previous is not None:
            _remove_trace(self._previous)
            self._previous = None

    def close(self) -> None:
        os.close(self.journal)  # and with it the lock

    def _open(self) -> int:
        old = self._lock_old()
        try:
            if old is not None:
                finished = is_finished(self.path / JOURNAL)
                aside = self._move_aside()
                self._previous = aside if finished else None
            self.path.mkdir(mode=0o777 if self._shared else 0o700, parents=True, exist_ok=True)
            journal = self._create_journal()
        finally:
            if old is not None:
                os.close(old)
        if not self._shared:
            self.path.chmod(0o700)
            self.write_text(".gitignore", "*\n")
        return journal

    def _reopen(self) -> int:
        """Go on in the journal that is there, after the lines that its readers see."""
        journal = os.open(self.path / JOURNAL, os.O_RDWR | os.O_APPEND)
        self._lock(journal)
        data = (self.path / JOURNAL).read_bytes()
        whole = whole_lines(data)
        if len(whole) > len(data):
            os.write(journal, b"\n")
        else:
            os.ftruncate(journal, len(whole))
        return journal

    def _lock_old(self) -> int | None:
        """Lock the journal that is there already. None: there is none, and the directory may be used."""
        try:
            descriptor = os.open(self.path / JOURNAL, os.O_RDWR)
        except FileNotFoundError:
            self._refuse_foreign()
            return None
        self._lock(descriptor)
        return descriptor

    def _refuse_foreign(self) -> None:
        foreign = sorted({entry.name for entry in self.path.iterdir()} - _OWN_FILES) if self.path.exists() else []
        if foreign:
            raise TraceError(
                f"{str(self.path)!r} is not a trace: it has no {JOURNAL} but other files ({foreign[0]!r}, ...). "
                "The directory you give becomes the trace itself; give a new or empty one"
            )

    def _create_journal(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND
        try:
            journal = os.open(self.path / JOURNAL, flags, 0o666 if self._shared else 0o600)
        except FileExistsError:
            raise self._busy() from None
        self._lock(journal)
        return journal

    def _lock(self, descriptor: int) -> None:
        try:
            if fcntl is not None:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            current = (self.path / JOURNAL).stat()
            if not os.path.samestat(os.fstat(descriptor), current):  # moved aside between open and lock
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            os.close(descriptor)
            raise self._busy() from None

    def _busy(self) -> TraceError:
        return TraceError(
            f"another run is writing its trace to {str(self.path)!r}; give every run a directory of its own"
        )

    def _move_aside(self) -> Path:
        aside, count = self.path.with_name(f"{self.path.name}.previous"), 1
        while aside.exists():
            count += 1
            aside = self.path.with_name(f"{self.path.name}.previous-{count}")
        self.path.rename(aside)
        return aside


def whole_lines(data: bytes) -> bytes:
    """What counts of a journal, for its readers and for who goes on in it: each line that is whole, with its newline.

    A last line without a newline is whole if it is a JSON object, since a part of one is none.
    """
    end = data.rfind(b"\n") + 1
    try:
        last = json.loads(data[end:].decode())
    except (ValueError, RecursionError):
        last = None
    return data + b"\n" if isinstance(last, dict) else data[:end]


def is_finished(journal: Path) -> bool:
    """Whether the run ended in an orderly way, or never wrote a line."""
    with journal.open("rb") as file:
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - _TAIL_BYTES))
        lines = file.read().splitlines()
    if not lines:
        return True
    try:
        last: Any = json.loads(lines[-1])
    except ValueError:
        return False
    return isinstance(last, dict) and last.get("event") == "run_finished"


def _remove_trace(path: Path) -> None:
    """Remove the files of a trace, and the directory if nothing else is in it."""
    blobs = path / BLOBS
    for file in [path / name for name in _OWN_FILES] + (list(blobs.iterdir()) if blobs.is_dir() else []):
        file.unlink(missing_ok=True)
    for directory in (blobs, path):
        if directory.is_dir() and not any(directory.iterdir()):
            directory.rmdir()
