"""What waits for a person's decision: changed snapshots and stale recordings, one directory each.

`.looplet/pending/<slug>/` holds `pending.json` (see `FIELDS`) and what would take the target's place: `new.trace` for
a snapshot, `trace/` for a recording. A target has one entry at most. pytest writes and discards entries; `looplet
review` accepts and rejects them, without pytest. An entry appears whole, by rename.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.evals.case import slug
from pytest_looplet.recordings import replace_recording, traces_in

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
_TRIES = 20  # to put an entry in its place while other workers do the same


class PendingError(Exception):
    """A decision that cannot be carried out, said in one line with what to do instead."""


class Pending(Record):
    """One entry. `target` is absolute; `problem` says why the entry cannot be read, and then only `reject` works."""

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
        _remove(folder)


def load_all(root: Path) -> list[Pending]:
    """Every entry, sorted by id. One that cannot be read says so in its `problem`."""
    folder = pending_dir(root)
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    found = [_read(root, folder / name) for name in names if not name.startswith(".")]
    return sorted(found, key=lambda pending: (pending.id, pending.kind, pending.slug))


def refusal(pending: Pending) -> str | None:
    """Say why this entry cannot be accepted, None when it can."""
    if pending.problem:
        return f"{pending.slug}: {pending.problem}; reject it and run pytest again"
    if not pending.new.exists():
        return f"{pending.id}: {pending.new.name} is missing from {pending.folder}; reject it and run pytest again"
    if pending.changed:
        return f"{pending.id}: {pending.target.name} has changed since it was compared; run pytest again, then review"
    return _behaviour(pending) if pending.kind == RECORDING else None


def accept(pending: Pending) -> None:
    """Put the new content in the target's place and drop the entry; what cannot be accepted is a PendingError.

    A recording is accepted when the agent still does what it did: it is keyed by the requests sent now, keeps what is
    known of the recorded run, and no model is called.
    """
    refused = refusal(pending)
    if refused:
        raise PendingError(refused)
    if pending.kind == SNAPSHOT:
        write_whole(pending.target, pending.new.read_bytes())
    else:
        from pytest_looplet.rekey import rekeyed  # reads and renders traces: only where a recording is accepted

        with tempfile.TemporaryDirectory(dir=pending_dir(pending.root), prefix=".accept-") as staging:
            replace_recording(pending.target, rekeyed(pending.target, pending.new, Path(staging) / NEW_TRACE))
    _remove(pending.folder)


def reject(pending: Pending) -> None:
    """Drop the entry; the target stays as it is."""
    _remove(pending.folder)


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


def _behaviour(pending: Pending) -> str | None:
    """What the agent does differently from the recording, which only a new recording can show the consequences of."""
    from looplet.errors import TraceError
    from looplet.trace.diff import diff_traces
    from looplet.trace.read import read_journal

    again = f"record it again: {pending.command}"
    old, new = traces_in(pending.target), traces_in(pending.new)
    if len(old) != len(new):
        return f"{pending.id}: the agent ran {len(new)} loops and {len(old)} are recorded; {again}"
    try:
        changes = [
            change
            for a, b in zip(old, new, strict=True)
            for change in diff_traces(read_journal(a), read_journal(b)).significant
        ]
    except TraceError as error:
        return f"{pending.id}: {error}; {again}"
    return f"{pending.id}: the agent's behaviour changed ({changes[0].text}); {again}" if changes else None


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
        _remove(final)
        with suppress(OSError):  # another worker was quicker
            return staged.rename(final)
    raise PendingError(f"cannot write {str(final)!r}: others write it at the same time")


def _remove(folder: Path) -> None:
    """Take an entry away whole, so that nobody reads half of one."""
    aside = folder.with_name(f".old-{folder.name}-{os.urandom(4).hex()}")
    with suppress(FileNotFoundError):
        folder.rename(aside)
    shutil.rmtree(aside, ignore_errors=True)


def _read(root: Path, folder: Path) -> Pending:
    try:
        entry = json.loads((folder / _ENTRY).read_bytes())
        return _checked(root, folder.name, entry)
    except (OSError, ValueError) as error:
        return Pending(root, folder.name, "", folder.name, folder, problem=f"cannot read {_ENTRY}: {error}")


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
