"""The folder in which `data_agent` keeps its table and its checkpoints, between processes."""

from __future__ import annotations

import os
import re
import shutil
from typing import TYPE_CHECKING

from looplet import LoopletError, load_trace
from looplet.examples.cleanup.contacts import Contacts, example

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

try:
    import fcntl
except ImportError:  # Windows: two processes in one folder are not noticed there
    fcntl = None  # type: ignore[assignment]

TABLE, RUN, LOCK = "contacts.csv", "run", ".lock"
_OWN = {TABLE, "contacts.tmp", RUN, LOCK}


class StateError(LoopletError):
    """The folder cannot be used as it is."""


class StateFolder:
    """`path` with a table to clean up, used by one process at a time: lock it, then clean, put aside or prepare it."""

    def __init__(self, path: Path) -> None:
        self.path = path if path.name not in ("", "..") else path.resolve()  # its name is needed
        self.run = path / RUN
        self.contacts = Contacts(path / TABLE)
        self._lock: int | None = None

    def __enter__(self) -> Self:
        self._take()
        return self

    def __exit__(self, *_: object) -> None:
        self._release()

    @property
    def used(self) -> bool:
        return any(entry.name != LOCK for entry in self.path.iterdir())

    @property
    def stop_reason(self) -> str | None:
        """How the run in here ended, `unfinished` if it did not; None when there is none."""
        journal = self.run / "journal.jsonl"
        if not journal.is_file() or b"\n" not in journal.read_bytes():  # killed before its first line
            return None
        return load_trace(self.run).stop_reason

    def wipe(self) -> list[Path]:
        """Remove this state, and what was put aside of earlier ones. Foreign files are an error, and stay."""
        removed = [self.path] if self.used else []
        removed += [path for path in self._set_aside() if path.is_dir() and not path.is_symlink()]
        for path in removed:
            _check_own(path)
        self._release()
        for path in removed:
            shutil.rmtree(path)
        self._take()
        return removed

    def put_aside(self) -> Path:
        """Rename this state, and begin with an empty folder."""
        count = 1
        while (aside := self._aside(count)).exists():
            count += 1
        self.path.rename(aside)  # with its lock, which stays ours until the new folder is locked
        self._release()
        self._take()
        return aside

    def prepare(self) -> None:
        """Make the table, unless it is there; killed on the way, nothing half is left."""
        if (self.path / TABLE).exists():
            return
        if self.stop_reason is not None:
            raise StateError(f"{str(self.path)!r} holds a run but no {TABLE}; --clean begins anew")
        self.contacts.save(example())

    def _aside(self, count: int) -> Path:
        return self.path.with_name(f"{self.path.name}.previous{'' if count == 1 else f'-{count}'}")

    def _set_aside(self) -> list[Path]:
        name = re.compile(re.escape(self._aside(1).name) + r"(-\d+)?")
        return sorted(path for path in self.path.parent.iterdir() if name.fullmatch(path.name))

    def _take(self) -> None:
        self.path.mkdir(parents=True, exist_ok=True)
        _check_own(self.path)
        self._lock = os.open(self.path / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            if fcntl is not None:
                fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(self._lock), (self.path / LOCK).stat()):  # put aside in the meantime
                raise BlockingIOError
        except (BlockingIOError, FileNotFoundError):
            self._release()
            raise StateError(
                f"another data_agent works in {str(self.path)!r}; wait for it, or give another --dir"
            ) from None

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _check_own(path: Path) -> None:
    """A mistyped --dir must not cost anybody their files."""
    names = (entry.name for entry in path.iterdir())
    foreign = sorted(name for name in names if name not in _OWN and not name.startswith(f"{RUN}.previous"))
    if foreign:
        raise StateError(
            f"{str(path)!r} is not the state of a data_agent: it holds {foreign[0]!r}; give a new folder with --dir"
        )
