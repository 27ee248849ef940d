"""`assert run == trace_snapshot`: a syrupy snapshot of one file, which holds the normal text of a run's trace.

Imported where the fixture is asked for, as syrupy is. The file is `__snapshots__/<eval file>/<eval>[case].trace`: what
an agent does with a case is one thing, whichever backend it ran with.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from syrupy.assertion import DiffMode, SnapshotAssertion
from syrupy.extensions.single_file import SingleFileSnapshotExtension, WriteMode
from syrupy.location import PyTestLocation

from pytest_looplet.backends import is_named_live
from pytest_looplet.cells import cell_of
from pytest_looplet.files import relative_to_root
from pytest_looplet.golden import pending
from pytest_looplet.golden.snapshot_guard import NOTES, SNAPSHOT_HOOKS, SUFFIX, UNCOMPARED, session_id
from pytest_looplet.golden.snapshot_text import in_detail, in_words, text_of
from pytest_looplet.options import OPTIONS
from pytest_looplet.phase1.runs import outcome_of
from pytest_looplet.reporting.entries import node_id
from pytest_looplet.uses import may_use

if TYPE_CHECKING:
    from syrupy.assertion import AssertionResult
    from syrupy.data import SnapshotCollection
    from syrupy.types import SerializableData, SerializedData, SnapshotIndex

_NAME_BYTES = 200  # file systems allow 255
_UNSAFE = frozenset('\\/?*:|"<>')
_BASETEMP = pytest.StashKey[Path]()
_WRITTEN = pytest.StashKey[dict[str, tuple[str, str]]]()  # snapshot → its text, and the item that wrote it


class TraceExtension(SingleFileSnapshotExtension):
    """Where snapshots are and how they are named. syrupy makes instances itself, on the controller of workers too."""

    file_extension = SUFFIX[1:]
    _write_mode = WriteMode.TEXT

    @classmethod
    def get_snapshot_name(cls, *, test_location: PyTestLocation, index: SnapshotIndex = 0) -> str:
        name = snapshot_name(test_location.item)
        if test_location.classname:
            name = f"{test_location.classname}.{name}"
        return safe_name(f"{name}[{index}]" if isinstance(index, str) else f"{name}.{index}" if index else name)

    @classmethod
    def matches_test_location(cls, *, test_location: PyTestLocation, snapshot_location: str) -> bool:
        """By file. syrupy compares the names of functions by itself, and whole names do not tell the backend."""
        of_this_file = Path(snapshot_location).parent.name == test_location.basename
        return of_this_file and test_location.matches_snapshot_site(snapshot_location)

    @classmethod
    def write_snapshot_collection(
        cls,
        *,
        snapshot_collection: SnapshotCollection,
        name_order: dict[str, int] | None = None,  # noqa: ARG003  # syrupy
    ) -> None:
        text = next(iter(snapshot_collection)).data
        pending.write_whole(Path(snapshot_collection.location), str(text).encode())


def snapshot_name(item: pytest.Item) -> str:
    """The item's name without what a session adds to the case: the backend when it has several, and the trial."""
    cell = cell_of(item)
    if cell is None:
        return item.name
    for name in (cell.run_name, cell.name):
        bare, found = re.subn(rf"(?<=[\[-]){re.escape(name)}(?=[\]-])", cell.case.id, item.name, count=1)
        if found:
            return bare
    return item.name


def has_snapshot(item: pytest.Item) -> bool:
    """Say whether there is any snapshot of this item: the plain one, a numbered one, or one with a name."""
    location = PyTestLocation(item)
    folder = Path(TraceExtension.dirname(test_location=location))
    name = TraceExtension.get_snapshot_name(test_location=location)
    files = folder.iterdir() if folder.is_dir() else ()
    return any(file.name.startswith((f"{name}.", f"{name}[")) and file.suffix == SUFFIX for file in files)


def safe_name(name: str) -> str:
    """A file name on every system. Names that would become the same are told apart by a digest."""
    safe = "".join("-" if char in _UNSAFE or unicodedata.category(char)[0] == "C" else char for char in name)
    short = safe.encode()[:_NAME_BYTES].decode(errors="ignore")
    return name if short == name else f"{short}~{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"


class TraceSnapshot(SnapshotAssertion):
    """What the fixture gives. Everything about the eval is found by its item, for syrupy makes copies of this."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not pending.writes_allowed():
            self.update_snapshots = self.update_new_snapshots_only = False

    def __call__(self, *, name: str) -> TraceSnapshot:  # type: ignore[override]  # syrupy's filters are for objects
        """Name the snapshot of the next comparison, where one eval makes several."""
        if not isinstance(name, str) or not name:
            raise TypeError(f"trace_snapshot(name={name!r}): give a name of at least one character")
        super().__call__(name=name)
        return self

    def __repr__(self) -> str:
        return f"<trace_snapshot of {self.item.name}>"

    @property
    def item(self) -> pytest.Item:
        return self.test_location.item

    def _assert(self, data: SerializableData) -> bool:
        self.item.stash.setdefault(NOTES, set()).discard(UNCOMPARED)
        if _is_live(self.item):
            return self._pass_over("live")
        cell = cell_of(self.item)
        if cell is not None and cell.trial > 1:
            return self._pass_over("trial")
        text = text_of(data, _paths(self.item), self.item.config.getini("looplet_volatile"))
        passed = super()._assert(text)
        result = self._last()
        if result.created or result.updated:
            self._check_one_writer(result, text)
        self._keep_pending(result, text)
        return passed

    def _pass_over(self, why: str) -> bool:
        """What a live model does is neither compared nor written; the guard keeps the snapshot. Nor are further
        trials: each is played from a recording of its own.
        """
        _note(self.item, why)
        self._executions += 1  # the next comparison keeps its number
        self._post_assert()
        return True

    def _check_one_writer(self, result: AssertionResult, text: str) -> None:
        """Two backends share a file, and a name may be given twice: the first text must not be lost unnoticed."""
        written = self.item.config.stash.setdefault(_WRITTEN, {})
        before, writer = written.setdefault(result.snapshot_location, (text, node_id(self.item)))
        if before != text:
            raise AssertionError(
                f"{Path(result.snapshot_location).name} was written twice with different texts, by {writer} and by "
                f"{node_id(self.item)}; tell them apart: trace_snapshot(name=...), or update with one backend"
            )

    def _keep_pending(self, result: AssertionResult, text: str) -> None:
        root, target = self.item.config.rootpath, Path(result.snapshot_location)
        if result.exception is not None or not pending.writes_allowed():
            return
        session = session_id(self.item.config)
        if result.success:
            pending.discard(root, pending.SNAPSHOT, target, session=session)
            return
        why = "\n".join(in_words(_text(result.recalled_data), text))
        if pending.write_snapshot(root, node_id(self.item), target, text, why, session=session):
            _note(self.item, "pending")

    def explain(self, diff_mode: DiffMode = DiffMode.DETAILED) -> list[str]:
        """What stands below the failed assert: in words, what to do, line by line. pytest shows eight lines of it."""
        result = self._last()
        name = Path(result.snapshot_location).name
        if result.exception is not None:
            return [f"run == {name}", *super().get_assert_diff(diff_mode=diff_mode)]
        before, after = _text(result.recalled_data), str(result.asserted_data)
        first, *others = in_words(before, after)
        details = ["", *in_detail(before, after)] if diff_mode == DiffMode.DETAILED else []
        return [f"run == {name}: {first}", *others, self._hint(), *details]

    def get_assert_diff(self, *, diff_mode: DiffMode = DiffMode.DETAILED) -> list[str]:
        return self.explain(diff_mode)

    def _hint(self) -> str:
        if not pending.writes_allowed():
            return "CI is set, so nothing is written; run it on your machine, then: looplet review"
        file = relative_to_root(Path(self.test_location.filepath), self.item.config.rootpath)
        return f"accept or reject it: looplet review (or pytest {file} --snapshot-update)"

    def _last(self) -> AssertionResult:
        return self.executions[self.num_executions - 1]


def trace_snapshot_of(request: pytest.FixtureRequest) -> TraceSnapshot:
    if "tmp_path_factory" in request.fixturenames:
        request.node.stash[_BASETEMP] = request.getfixturevalue("tmp_path_factory").getbasetemp()
    hooks = request.config.pluginmanager.get_plugin(SNAPSHOT_HOOKS)
    if hooks is not None:
        hooks.follow_items()  # nobody knew of it if it was asked for by getfixturevalue
    option = request.config.option
    _note(request.node, UNCOMPARED)  # until it does
    return TraceSnapshot(
        session=request.config._syrupy,  # type: ignore[attr-defined]  # noqa: SLF001  # where syrupy's own fixture finds it
        extension_class=TraceExtension,
        test_location=PyTestLocation(request.node),
        update_snapshots=option.update_snapshots,
        update_new_snapshots_only=option.update_new_snapshots_only,
    )


def _is_live(item: pytest.Item) -> bool:
    cell = cell_of(item)
    if cell is not None:
        return is_named_live(cell.backend)
    return may_use(item, "llm") and is_named_live(item.config.stash[OPTIONS].backends[0])


def _paths(item: pytest.Item) -> dict[Path, str]:
    """Concrete directories of this session, which are others in the next one or on another machine."""
    root = item.config.rootpath
    paths = {Path.home(): "<home>", root: "<rootdir>"}
    if _BASETEMP in item.stash:
        paths[item.stash[_BASETEMP]] = "<basetemp>"
    tmp_path = getattr(item, "funcargs", {}).get("tmp_path")
    if isinstance(tmp_path, Path):
        paths[tmp_path] = "<tmp_path>"
    outcome = outcome_of(item)
    if outcome is not None and outcome.workdir is not None:
        paths[root / outcome.workdir] = "<workdir>"
    return paths


def _note(item: pytest.Item, what: str) -> None:
    item.stash.setdefault(NOTES, set()).add(what)


def _text(data: SerializedData | None) -> str | None:
    return None if data is None else str(data)
