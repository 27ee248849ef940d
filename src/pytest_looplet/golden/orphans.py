"""What waits for a decision about evals and cases that are gone is discarded, by a session that knows they are gone.

Every process that collects does so at its end, for it collected everything itself; entries of its own session stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.cells import CELLS
from pytest_looplet.golden.snapshot_guard import SUFFIX, session_id

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from pytest_looplet.golden.pending import Pending

_TRIAL = re.compile(r"-t[0-9]+\Z")


class OrphanHooks:
    """Registered in every process of a session. Nothing is loaded where nothing waits."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._items: list[pytest.Item] | None = None  # as collected, before any is deselected
        self._collected: set[str] = set()
        self._broken: set[str] = set()

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._items = list(items)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        (self._collected if report.passed else self._broken).add(report.nodeid)

    def pytest_sessionfinish(self) -> None:
        config = self._config
        if self._items is None or config.option.collectonly or not (config.rootpath / ".looplet" / "pending").is_dir():
            return
        from pytest_looplet.golden.pending import load_all, remove, writes_allowed  # loads looplet

        if not writes_allowed():
            return
        known: dict[str, _Known] = {}
        for entry in load_all(config.rootpath):
            file = entry.id.partition("::")[0]
            if entry.problem or entry.session == session_id(config):
                continue
            if self._is_whole(file):
                if file not in known:
                    known[file] = _Known(self._items, file, config)
                if entry not in known[file]:
                    remove(entry.folder)
            elif not (config.rootpath / file).exists():
                remove(entry.folder)

    def _is_whole(self, file: str) -> bool:
        """Say whether all of this file's items were collected."""
        if getattr(self._config.option, "lf", False) or any("::" in str(each) for each in self._config.args):
            return False
        return file in self._collected and not any(nodeid.partition("::")[0] == file for nodeid in self._broken)


class _Known:
    """What the items of one file can have pending. A snapshot is named after the case, whatever backend it ran with."""

    def __init__(self, items: Iterable[pytest.Item], file: str, config: pytest.Config) -> None:
        from pytest_looplet.reporting.entries import node_id  # loads looplet, which wrote what is pending

        mine = [item for item in items if item.nodeid.partition("::")[0] == file]
        self._ids = {node_id(item) for item in mine}
        self._snapshots = _snapshot_names(mine) if config.pluginmanager.hasplugin("syrupy") else ()
        self._recordings = _recordings(config)

    def __contains__(self, entry: Pending) -> bool:
        if entry.kind == "recording":
            target = entry.target
            return bool({target, target.with_name(_TRIAL.sub("", target.name))} & self._recordings)
        name = entry.target.name
        return entry.id in self._ids or (name.endswith(SUFFIX) and name.startswith(tuple(self._snapshots)))


def _snapshot_names(items: Iterable[pytest.Item]) -> list[str]:
    """How the names of their snapshots begin."""
    from syrupy.location import PyTestLocation  # is there: the plugin is

    from pytest_looplet.golden.snapshot import TraceExtension

    functions: list[Any] = [item for item in items if isinstance(item, pytest.Function)]
    names = [TraceExtension.get_snapshot_name(test_location=PyTestLocation(item)) for item in functions]
    return [f"{name}{end}" for name in names for end in (".", "[")]


def _recordings(config: pytest.Config) -> set[Path]:
    from pytest_looplet.golden.recordings import recording_dir

    cells = config.stash.get(CELLS, {}).values()
    return {recording_dir(cell._replace(trial=1)) for cell in cells} | set(map(recording_dir, cells))
