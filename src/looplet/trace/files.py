"""Writing to disk: everything that was handed over, and whole files or none."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


def write_all(descriptor: int, data: bytes) -> None:
    while data:  # a nearly full disk takes a part
        data = data[os.write(descriptor, data) :]


def write_whole(file: Path, data: bytes, *, mode: int = 0o666, fsync: bool = False) -> None:
    """Write a file that its readers find whole, or not at all."""
    temporary = file.with_name(f".{file.name}.tmp")
    try:
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
        try:
            write_all(descriptor, data)
            if fsync:
                os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)  # half a file would take up the room that is missing
        raise
    if fsync:
        sync_names(file.parent)


def final_name(name: str) -> str:
    """The name a file has when it is whole; a process that is killed while it writes one leaves the temporary form."""
    return name.removeprefix(".").removesuffix(".tmp") if name.endswith(".tmp") else name


def sync_names(*folders: Path) -> None:
    """Wait until the disk knows the names in `folders`: a synced file without a name is lost all the same."""
    for folder in folders if hasattr(os, "O_DIRECTORY") else ():  # Windows cannot open a directory
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
