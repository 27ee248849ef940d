"""What waits for a person's decision: changed snapshots and stale recordings, one directory each.

`.looplet/pending/<slug>/` holds `pending.json` (see `FIELDS`) and what would take the target's place: `new.trace` for
a snapshot, `trace/` for a recording. A target has one entry at most. pytest writes and discards entries; `looplet
review` accepts and rejects them (`decide.py`), without pytest. An entry appears whole, by rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.evals.case import slug
from pytest_looplet.golden.recordings import replace_recording

if TYPE_CHECKING:
    from collections.abc import Callable

SCHEMA = 1
SNAPSHOT, RECORDING = "snapshot", "recording"
NEW_TEXT, NEW_TRACE = "new.trace", "trace"
FIELDS = {
    "schema": "1",
    "kind": "snapshot or recording",
    "id": "the node id of the eval, or file::recording[agent/case]",
    "target": "the snapshot file or recording directory, relative to rootdir",
    "digest": "sha256 of the target when it was compared, null where there was none",
    "why": "what changed, one line each",
    "command": "the command that records the case again; empty for snapshots",
    "session": "the pytest session that wrote it",
}

_ENTRY = "pending.json"
_NUMBER = re.compile(r"([0-9]{1,18})")
_TRIES = 20  # to put an entry in its place while other workers do the same


class PendingError(Exception):
    """A decision that cannot be carried out, said in one line with what to do instead."""


class Pending(Record):
    """One entry as it was read. `target` is absolute; `problem` says why it cannot be read: then it can only be
    rejected. `seen` tells this content from what the same target's entry may hold later.
    """

    root: Path
    slug: str
    kind: str
    id: str
    target: Path
    digest: str | None = None
    why: str = ""
    command: str = ""
    session: str = ""
    problem: str | None = None
    seen: str | None = None

    @property
    def folder(self) -> Path:
        return pending_dir(self.root) / self.slug

    @property
    def new(self) -> Path:
        """What would take the target's place: a file for a snapshot, a directory for a recording."""
        return self.folder / (NEW_TEXT if self.kind == SNAPSHOT else NEW_TRACE)

    @property
    def changed(self) -> bool:
        """Whether the target is not what it was when it was compared."""
        return digest_of(self.target) != self.digest

    @property
    def gone(self) -> bool:
        """Whether there was a target then, and is none now."""
        return self.digest is not None and not self.target.exists()


def writes_allowed() -> bool:
    """Say whether entries and snapshots may be written: not in CI, where nobody would see them."""
    return not os.environ.get("CI")


def pending_dir(root: Path) -> Path:
    return root / ".looplet" / "pending"


def write_snapshot(root: Path, id: str, target: Path, text: str, why: str, *, session: str = "") -> Path | None:  # noqa: A002  # the word of the file format
    """Note that `text` would be the new content of the snapshot `target`. None: it lies outside of `root`."""

    def fill(folder: Path) -> None:
        (folder / NEW_TEXT).write_bytes(_encoded(text))

    return _write(root, {"kind": SNAPSHOT, "id": id, "why": why, "command": "", "session": session}, target, fill)


def write_recording(
    root: Path,
    id: str,  # noqa: A002  # the word of the file format
    target: Path,
    trace_dir: Path,
    why: str,
    command: str,
    *,
    session: str = "",
) -> Path | None:
    """Note that the recording `target` is stale: the run it was played to left `trace_dir`."""

    def fill(folder: Path) -> None:
        replace_recording(folder / NEW_TRACE, trace_dir)

    entry = {"kind": RECORDING, "id": id, "why": why, "command": command, "session": session}
    return _write(root, entry, target, fill)


def discard(root: Path, kind: str, target: Path, *, session: str = "") -> None:
    """Drop the entry of `target`, which is as it should be. An entry of this very session stays: somebody else in it
    compares with the same target, and that comparison failed.
    """
    relative = _relative(root, target)
    if relative is None:
        return
    folder = pending_dir(root) / _slug(kind, relative)
    if folder.is_dir() and not (session and _read(root, folder).session == session):
        remove(folder)


def load_all(root: Path) -> list[Pending]:
    """Every entry, sorted by id, `case-2` before `case-10`. One that cannot be read says so in its `problem`."""
    folder = pending_dir(root)
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    found = [_read(root, folder / name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda pending: (_natural(pending.id.removesuffix("]")), pending.kind, pending.slug))


def reloaded(pending: Pending) -> Pending | None:
    """The entry as it is now; None when there is none any more."""
    return _read(pending.root, pending.folder) if pending.folder.is_dir() else None


def write_whole(path: Path, data: bytes) -> None:
    """Write a file so that a reader finds the old content or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{os.getpid()}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def digest_of(target: Path) -> str | None:
    """Sha256 of a file, or of all files of a directory by name; None when there is none."""
    if target.is_file():
        return hashlib.sha256(target.read_bytes()).hexdigest()
    if not target.is_dir():
        return None
    total = hashlib.sha256()
    for path in sorted(target.rglob("*")):
        if path.is_file():
            name = path.relative_to(target).as_posix()
            total.update(f"{name}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return total.hexdigest()


def _write(root: Path, entry: dict[str, Any], target: Path, fill: Callable[[Path], None]) -> Path | None:
    relative = _relative(root, target)
    if relative is None:
        return None
    folder = pending_dir(root)
    folder.mkdir(parents=True, exist_ok=True)
    ignore = folder.parent / ".gitignore"
    if not ignore.exists():
        ignore.write_text("*\n", encoding="utf-8")
    staged = Path(tempfile.mkdtemp(dir=folder, prefix=".new-"))
    try:
        fill(staged)
        entry = {"schema": SCHEMA, **entry, "target": relative, "digest": digest_of(root / relative)}
        text = json.dumps(entry, ensure_ascii=False, indent=2) + "\n"
        (staged / _ENTRY).write_bytes(_encoded(text))
        return _placed(staged, folder / _slug(entry["kind"], relative))
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def _placed(staged: Path, final: Path) -> Path:
    """Rename `staged` to `final`, which may be there already. Of several workers the last one wins."""
    for _ in range(_TRIES):
        remove(final)
        with suppress(OSError):  # another worker was quicker
            return staged.rename(final)
    raise PendingError(f"cannot write {str(final)!r}: others write it at the same time")


def remove(folder: Path) -> None:
    """Take an entry away whole, so that nobody reads half of one."""
    aside = folder.with_name(f".old-{folder.name}-{os.urandom(4).hex()}")
    with suppress(FileNotFoundError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _read(root: Path, folder: Path) -> Pending:
    raw = b""
    try:
        raw = (folder / _ENTRY).read_bytes()
        found = _checked(root, folder.name, json.loads(raw))
    except (OSError, ValueError) as error:
        found = Pending(root, folder.name, "", folder.name, folder, problem=f"cannot read {_ENTRY}: {error}")
    return found.replace(seen=_state(raw, folder))


def _state(raw: bytes, folder: Path) -> str:
    """A digest of everything a reviewer is shown. Another session that found the same has changed nothing."""
    with suppress(ValueError, TypeError, KeyError):
        entry = json.loads(raw)
        del entry["session"]
        raw = json.dumps(entry).encode()
    new = [digest_of(folder / name) for name in (NEW_TEXT, NEW_TRACE)]
    return hashlib.sha256(f"{hashlib.sha256(raw).hexdigest()} {new}".encode()).hexdigest()


def _natural(text: str) -> list[tuple[str, int]]:
    """Numbers in a text compared as numbers."""
    parts = [*_NUMBER.split(text), ""]
    return [(word, int(number or 0)) for word, number in zip(parts[::2], parts[1::2], strict=True)]


def _checked(root: Path, name: str, entry: Any) -> Pending:
    """The entry, if it is of the form we write. An edited one must not lead out of the project."""
    if not isinstance(entry, dict) or entry.get("schema") != SCHEMA:
        raise ValueError(f"it is not of schema {SCHEMA}")
    kind, target, digest = entry.get("kind"), entry.get("target"), entry.get("digest")
    texts = {key: entry.get(key, "") for key in ("id", "why", "command", "session")}
    if kind not in (SNAPSHOT, RECORDING):
        raise ValueError(f"kind {kind!r} is unknown")
    if not all(isinstance(text, str) for text in (target, *texts.values())) or not isinstance(digest, str | None):
        raise ValueError("a field has the wrong type")
    path = PurePosixPath(str(target))
    if path.is_absolute() or ".." in path.parts or not path.parts or name != _slug(kind, str(target)):
        raise ValueError(f"target {target!r} does not belong to it")
    if kind == SNAPSHOT and path.suffix != ".trace":
        raise ValueError(f"target {target!r} is no snapshot")
    return Pending(root, name, kind, target=root / path, digest=digest, **texts)


def _relative(root: Path, target: Path) -> str | None:
    """The target as it is written down; None when it lies outside of `root`."""
    path = Path(os.path.abspath(root / target))  # noqa: PTH100  # resolve() would follow a link to somewhere else
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else None


def _slug(kind: str, relative: str) -> str:
    """A readable file name that no other target has."""
    path = PurePosixPath(relative)
    unique = hashlib.sha256(f"{kind}:{relative}".encode("utf-8", "surrogateescape")).hexdigest()[:12]
    return f"{slug('-'.join(path.parts[-2:])) or kind}-{unique}"


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")
