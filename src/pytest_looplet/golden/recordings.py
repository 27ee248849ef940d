"""Recordings: traces kept beside the eval file, from which runs are replayed."""

from __future__ import annotations

import os
import shlex
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from pytest_looplet.cells import Cell

FOLDER = "__recordings__"
EVALS = "evals"  # beside the agents' folders: what evals asked themselves
JOURNAL = "journal.jsonl"
_OF_ONE_RUN = {".gitignore", "artifacts.json", "outcome.json", "result"}


def recording_dir(cell: Cell) -> Path:
    return cell.file.parent.joinpath(FOLDER, cell.file.stem, cell.agent_name, cell.name)


def traces_in(folder: Path) -> list[Path]:
    """The traces of a recording: the folder itself, or its run_1, run_2 ... when the agent ran several loops."""
    try:
        names = os.listdir(folder)  # noqa: PTH208  # the names are wanted; asked before and after each run
    except (FileNotFoundError, NotADirectoryError):
        return []
    if JOURNAL in names:
        return [folder]
    several = [folder / name for name in names if name.startswith("run_") and is_trace(folder / name)]
    return sorted(several, key=lambda path: (len(path.name), path.name))


def is_trace(folder: Path) -> bool:
    return (folder / JOURNAL).is_file()


def record_command(cell: Cell, root: Path) -> str:
    """The command that records this case and no other, in whatever it is called."""
    words = ["pytest", os.path.relpath(cell.file, root), "-k", case_keyword(cell.case.id)]
    words += ["--looplet-backend=ollama", "--looplet-record"]
    return shlex.join([*words, *([f"--looplet-trials={cell.trials}"] if cell.trials > 1 else [])])


def case_keyword(case_id: str) -> str:
    """What `-k` finds the items of a case by. pytest looks for parts of names, and has words of its own: `-k on` would
    take `one-more` too, and `-k or` be an error.
    """
    return f"[{case_id}]"


def replace_recording(target: Path, trace: Path) -> None:
    """Put a copy of `trace` in the place of `target`, whole: a reader finds the old one or the new one."""
    partial = target.with_name(f".{target.name}.new-{os.getpid()}")
    previous = target.with_name(f".{target.name}.old-{os.getpid()}")
    for left_over in (partial, previous):
        shutil.rmtree(left_over, ignore_errors=True)
    target.parent.mkdir(parents=True, exist_ok=True)
    # copyfile, not copy2: traces are private to their owner, recordings are committed with normal modes
    shutil.copytree(trace, partial, copy_function=shutil.copyfile, ignore=_not_recorded)
    for copied in traces_in(partial):
        _write_text(copied)
    partial.chmod(0o755)
    for folder in filter(Path.is_dir, partial.rglob("*")):  # run_1, run_2, ..., and blobs
        folder.chmod(0o755)
    if target.exists():
        target.rename(previous)
    partial.rename(target)
    shutil.rmtree(previous, ignore_errors=True)


def _write_text(trace: Path) -> None:
    """The readable form, which runs do without: a recording is read in diffs."""
    from looplet.trace.directory import TEXT  # loads looplet, which whoever recorded did
    from looplet.trace.read import read_journal
    from looplet.trace.render import render_trace

    text = render_trace(read_journal(trace))
    (trace / TEXT).write_bytes(text.encode("utf-8", "backslashreplace"))


def _not_recorded(_folder: str, names: list[str]) -> list[str]:
    """Names of files that belong to one run: what it left in the world, and what it came to."""
    return [name for name in names if name in _OF_ONE_RUN or name.endswith(".lock")]


def unused_recordings(cells: Collection[Cell], calls: Collection[Path] = ()) -> list[Path]:
    """Recordings of the cells' eval files that no case uses, and those of eval files that are gone.

    `calls` are the directories that evals have for calls of their own.
    """
    stems = {file.parent / FOLDER / file.stem for file in {cell.file for cell in cells}}
    folders = {stem.parent for stem in stems}
    gone = {
        stem
        for folder in folders
        if folder.is_dir()
        for stem in folder.iterdir()
        if not (folder.parent / f"{stem.name}.py").exists()
    }
    found = {path for stem in stems | gone for path in _recordings_of(stem)}
    return sorted(found - {recording_dir(cell) for cell in cells}.union(calls)) if found else []


def _recordings_of(stem: Path) -> Iterator[Path]:
    for case in stem.glob("*/*"):
        if traces_in(case) and not (case.parent.name == EVALS and not (case / JOURNAL).is_file()):
            yield case
    for calls in stem.glob(f"{EVALS}/*/*"):
        if any(calls.glob(f"*/{JOURNAL}")):
            yield calls
