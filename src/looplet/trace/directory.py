"""A trace directory: who may write it, what happens to the trace that was there, and who may read the files.

One run owns one directory, held by a lock on `journal.jsonl` that the kernel frees when the process dies. A trace that
was there before is moved to `<dir>.previous`; when the new trace is complete the old one is removed if it was finished,
and kept if it was not, because nobody has seen how it ends. A trace that cannot be begun puts back what was there. Only
files a trace consists of are ever removed.
"""

from __future__ import annotations

import errno
import json
import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from looplet.errors import TraceError
from looplet.trace.blobs import BLOBS, blob_name, is_blob_name
from looplet.trace.files import final_name, sync_names, write_all, write_whole

if TYPE_CHECKING:
    from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: two processes that write one trace are not noticed there
    fcntl = None  # type: ignore[assignment]

JOURNAL, TEXT, ARTIFACTS = "journal.jsonl", "trace.txt", "artifacts.json"
INCOMPLETE = "incomplete.txt"  # there only if the trace could not be written to its end; says why
_OWN_FILES = frozenset({JOURNAL, TEXT, ARTIFACTS, INCOMPLETE, ".gitignore"})
_TAIL_BYTES = 1 << 20
_NO_LOCKS = {errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS}  # some network file systems


class TraceDirectory:
    """The directory of the trace being written. `journal` is the open, locked file descriptor.

    `resume`: append to the journal that is there. `shared`: the trace is meant to be committed (a recording), so it has
    normal permissions and no `.gitignore`. `bare`: the journal alone. `fsync`: new files wait for the disk, their names
    too.
    """

    def __init__(
        self, path: Path, *, shared: bool = False, bare: bool = False, resume: bool = False, fsync: bool = False
    ) -> None:
        self.path = path
        self._shared, self._bare, self._fsync = shared, bare, fsync
        self._made = False  # whether the directory is of this trace's making
        self._aside: Path | None = None  # where the trace that was here is now
        self._outdated = False  # whether that one may be removed when this trace is complete
        self.journal = -1
        try:
            if resume:
                self.journal = self._reopen()
            else:
                self._open()
        except OSError as error:
            raise TraceError(
                f"cannot write a trace to {str(path)!r}: {error}; give a directory you may write to"
            ) from error

    def write_text(self, name: str, text: str) -> None:
        """Write a file of the trace whole, or not at all."""
        self._write_whole(self.path / name, text.encode("utf-8", "backslashreplace"))

    def write_blob(self, data: bytes) -> str:
        """Keep a value that is too large for a line, and answer the name to refer to it by."""
        folder, name = self.path / BLOBS, blob_name(data)
        if not (folder / name).exists():
            folder.mkdir(mode=0o777 if self._shared else 0o700, exist_ok=True)
            self._write_whole(folder / name, data)
            if self._fsync:
                sync_names(self.path)
        return name

    def mark_incomplete(self, why: str) -> None:
        """Leave a note for readers. A full disk takes a new name even where it takes no content; a read-only one takes
        neither, and its readers see a run without an end.
        """
        try:
            descriptor = os.open(self.path / INCOMPLETE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self._mode)
        except OSError:
            return
        try:
            write_all(descriptor, why.encode("utf-8", "backslashreplace"))
        except OSError:
            pass  # that there is such a file says enough
        finally:
            os.close(descriptor)

    def remove_previous(self) -> None:
        """Called when this trace is complete."""
        if self._aside is not None and self._outdated:
            _remove_trace(self._aside)
        self._aside = None

    def close(self) -> None:
        os.close(self.journal)  # and with it the lock

    def abandon(self) -> None:
        """Undo a beginning that went no further: what was here before is here again."""
        if self.journal >= 0:
            for name in (JOURNAL, ".gitignore"):
                (self.path / name).unlink(missing_ok=True)
            os.close(self.journal)
            self.journal = -1
        if self._made and self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()
        if self._aside is not None and not self.path.exists():
            self._aside.rename(self.path)

    @property
    def _mode(self) -> int:
        return 0o666 if self._shared else 0o600

    def _open(self) -> None:
        self._made = self._make()
        old = None if self._made else self._lock_old()
        try:
            if old is not None:
                self._outdated = is_finished(self.path / JOURNAL)
                self._aside = self._move_aside()
                self._made = self._make()
            self.journal = self._create_journal()
            if not self._shared and not self._made:
                self.path.chmod(0o700)
            if not self._shared and not self._bare:
                self.write_text(".gitignore", "*\n")
            if self._fsync:
                sync_names(self.path, self.path.parent)
        except BaseException:
            with suppress(OSError):  # the first error is the one to see
                self.abandon()
            raise
        finally:
            if old is not None:
                os.close(old)

    def _make(self) -> bool:
        """Make the directory; False when it is there already."""
        mode = 0o777 if self._shared else 0o700
        try:
            self.path.mkdir(mode=mode, parents=True)
        except FileExistsError:
            return False
        return True

    def _write_whole(self, file: Path, data: bytes) -> None:
        write_whole(file, data, mode=self._mode, fsync=self._fsync)

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
        foreign = sorted({entry.name for entry in self.path.iterdir()} - _OWN_FILES)
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
            _lock_exclusively(descriptor)
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


def _lock_exclusively(descriptor: int) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise


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
    for folder, is_own in ((blobs, is_blob_name), (path, _OWN_FILES.__contains__)):
        if not folder.is_dir():
            continue
        for file in folder.iterdir():
            if is_own(final_name(file.name)):
                file.unlink(missing_ok=True)
        if not any(folder.iterdir()):
            folder.rmdir()
