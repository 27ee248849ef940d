"""`Workspace`: files below one folder, for tools whose paths a model writes.

Paths are relative, without `..`. Each folder on the way is opened by itself, from the one above, and never through a
symbolic link: there is no moment between a check and its use in which somebody could exchange one for another.
"""

from __future__ import annotations

import errno
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from looplet import ToolValidationError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path
    from typing import Self

MOST_BYTES = 1_000_000
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW
_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK  # opening a pipe that nobody writes to must not wait
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
_LINK_ERRORS = {errno.ELOOP, errno.EMLINK}  # what O_NOFOLLOW says, on Linux and on BSD
_SKIPPED = {".git", "__pycache__"}


class Workspace:
    """The files below `root`. What is wrong with a path or a file is a ToolValidationError for the model."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()
        self._root = os.open(self.root, os.O_RDONLY | os.O_DIRECTORY)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._root)

    def read(self, path: str) -> str:
        """Return the text of a file, its line ends as they are."""
        with self._folder_of(path) as (folder, name):
            descriptor = os.open(name, _FILE, dir_fd=folder)
            try:
                _check_is_file(os.fstat(descriptor), path)
                with os.fdopen(descriptor, "rb", closefd=False) as file:
                    data = file.read(MOST_BYTES + 1)
            finally:
                os.close(descriptor)
        if len(data) > MOST_BYTES:
            raise ToolValidationError(f"{path!r} is longer than {MOST_BYTES:,} bytes, which is more than is read")
        try:
            return data.decode()
        except UnicodeDecodeError:
            raise ToolValidationError(f"{path!r} is not UTF-8 text") from None

    def write(self, path: str, text: str) -> None:
        """Write a file whole or not at all, its folders included.

        It is a new file under the old name: where the old one has another name, outside perhaps, that keeps its text.
        """
        with self._folder_of(path, create=True) as (folder, name):
            mode = _mode_of(name, folder, path)
            temporary = f".{os.urandom(8).hex()}.tmp"
            try:
                with os.fdopen(os.open(temporary, _NEW, 0o666, dir_fd=folder), "wb") as file:
                    file.write(text.encode(errors="backslashreplace"))
                    if mode is not None:
                        os.fchmod(file.fileno(), mode)
                os.replace(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            finally:
                with suppress(FileNotFoundError):
                    os.unlink(temporary, dir_fd=folder)

    def files(self) -> list[str]:
        """Return the paths of all files, without links, `.git` and compiled Python."""
        found = []
        for folder, folders, names, descriptor in os.fwalk(".", dir_fd=self._root):
            folders[:] = [name for name in folders if name not in _SKIPPED]
            for name in names:
                with suppress(FileNotFoundError):  # gone in the meantime
                    if stat.S_ISREG(os.stat(name, dir_fd=descriptor, follow_symlinks=False).st_mode):
                        found.append(os.path.normpath(os.path.join(folder, name)))  # noqa: PTH118  # plain text here
        return sorted(found)

    @contextmanager
    def _folder_of(self, path: str, *, create: bool = False) -> Iterator[tuple[int, str]]:
        """Open the folder a file is in, link by link: its descriptor, and the file's name in it."""
        *folders, name = _parts(path)
        current = os.dup(self._root)
        try:
            for folder in folders:
                if create:
                    with suppress(FileExistsError):
                        os.mkdir(folder, dir_fd=current)
                above, current = current, os.open(folder, _FOLDER, dir_fd=current)
                os.close(above)
            yield current, name
        except OSError as error:
            raise ToolValidationError(_explained(error, path)) from None
        finally:
            os.close(current)


def _parts(path: str) -> list[str]:
    """The names a path consists of, or what is wrong with it."""
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if path.startswith("/") or ".." in parts or "\0" in path or not parts:
        raise ToolValidationError(f"{path!r} is not a path inside the workspace: give a relative one, without '..'")
    return parts


def _mode_of(name: str, folder: int, path: str) -> int | None:
    """The permissions of the file that will be replaced, None when there is none."""
    try:
        status = os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
    _check_is_file(status, path)
    return stat.S_IMODE(status.st_mode) & 0o777


def _check_is_file(status: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        what = "a symbolic link" if stat.S_ISLNK(status.st_mode) else "no file"
        raise ToolValidationError(f"{path!r} is {what}; only files inside the workspace are read and written")


def _explained(error: OSError, path: str) -> str:
    if error.errno in _LINK_ERRORS:
        return f"{path!r} is a symbolic link; only files inside the workspace are read and written"
    if isinstance(error, NotADirectoryError):  # what O_DIRECTORY says of a link, too
        return f"a folder of {path!r} is a file or a symbolic link; only folders inside the workspace are entered"
    if isinstance(error, FileNotFoundError):
        return f"there is no {path!r}; glob('*') lists the files"
    return f"{path!r}: {error.strerror}"
