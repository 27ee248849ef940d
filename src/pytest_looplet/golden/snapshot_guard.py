"""What surrounds `trace_snapshot` in a session: its notes in the summary, and a guard over syrupy's clean-up.

syrupy deletes every snapshot `--snapshot-update` did not come across, also where an eval failed before it compared,
passed without comparing, was deselected by the name of its file, or was never reached. A snapshot is unused only if
everything that could use it ran and compared; in any other session nothing is deleted, and nothing fails for being
unused.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.files import relative_to_root
from pytest_looplet.options import is_worker

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

NOTES = pytest.StashKey[set[str]]()  # on an item: "live", "trial", "pending" and this, what became of its comparisons
UNCOMPARED = "uncompared"
_SESSION = pytest.StashKey[str]()
_ATTRIBUTE = "looplet_snapshot"  # of a report: the notes
_OUTPUT = "looplet_snapshots"  # of a worker
_SHOWN = 20
SNAPSHOT_HOOKS, _ITEM_HOOKS = "looplet-snapshots", "looplet-snapshot-items"
SUFFIX = ".trace"
_SNAPSHOT = "pytest_looplet.golden.snapshot"  # loaded, with syrupy, where the fixture was asked for
_LIVE = "a live backend was asked"


def session_id(config: pytest.Config) -> str:
    """One text for all processes of a session, and another one for the next session."""
    if is_worker(config):
        return str(config.workerinput["testrunuid"])  # type: ignore[attr-defined]  # xdist sets it on workers
    return config.stash.setdefault(_SESSION, os.urandom(8).hex())


class _ItemHooks:
    """What is noted of each item. Sessions without a trace_snapshot do without."""

    def __init__(self, outcomes: dict[str, str], notes: dict[str, list[str]]) -> None:
        self._outcomes = outcomes
        self._notes = notes

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        report = yield
        notes = item.stash.get(NOTES, None)
        if report.when == "call" and notes:
            forgotten = UNCOMPARED in notes and report.passed and sys.modules[_SNAPSHOT].has_snapshot(item)
            setattr(report, _ATTRIBUTE, " ".join(sorted(notes if forgotten else notes - {UNCOMPARED})))
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or (report.when == "setup" and not report.passed):
            self._outcomes[report.nodeid] = report.outcome
        if report.when == "call":  # of an item that is run again, the last time counts
            self._notes[report.nodeid] = getattr(report, _ATTRIBUTE, "").split()


class SnapshotHooks:
    """Registered in every process of a session with syrupy. Without workers, worker and controller are one."""

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._uses = False  # whether any collected item asks for trace_snapshot
        self._deselected = 0
        self._uncollected: list[str] = []
        self._crashed = False
        self._selected: list[str] = []
        self._outcomes: dict[str, str] = {}
        self._notes: dict[str, list[str]] = {}
        self._unknown: str | None = None  # why this session does not know which snapshots are unused

    def follow_items(self) -> None:
        """Called as soon as it is known that an item may compare."""
        if not self._config.pluginmanager.hasplugin(_ITEM_HOOKS):
            self._config.pluginmanager.register(_ItemHooks(self._outcomes, self._notes), _ITEM_HOOKS)

    def pytest_sessionstart(self) -> None:
        if self._config.pluginmanager.hasplugin("dsession"):  # what workers will have collected is not known
            self.follow_items()

    # --- collection, in the process that collects

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        self._uses = any("trace_snapshot" in getattr(item, "fixturenames", ()) for item in items)
        if self._uses:
            self.follow_items()

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self._deselected += len(items)

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        self._selected = [item.nodeid for item in session.items]

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if not report.passed:
            self._uncollected.append(report.nodeid)

    # --- the items: see _ItemHooks

    @pytest.hookimpl(tryfirst=True)
    def pytest_assertrepr_compare(self, left: object, right: object) -> list[str] | None:
        """Ahead of syrupy's, whose first line names no difference."""
        module = sys.modules.get(_SNAPSHOT)
        for side in (right, left):
            if module is not None and isinstance(side, module.TraceSnapshot):
                return list(side.explain(self._config.option.diff_mode))
        return None

    # --- workers

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        self._selected = ids  # the same in each

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any, error: object | None) -> None:
        told = getattr(node, "workeroutput", {}).get(_OUTPUT)
        if error or told is None:
            self._crashed = True
            return
        self._uses = self._uses or told["uses"]
        self._deselected = max(self._deselected, told["deselected"])

    # --- the end

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> Generator[None, None, None]:
        if is_worker(self._config):
            output = self._config.workeroutput  # type: ignore[attr-defined]  # xdist's
            output[_OUTPUT] = {"uses": self._uses, "deselected": self._deselected}
        elif self._uses or self._uncollected or self._crashed:
            from pytest_looplet.golden.pending import (
                writes_allowed,
            )  # loads looplet: only where it is used, or something broke

            self._unknown = self._incomplete(session, exitstatus)
            option = self._config.option
            option.no_cleanup = option.no_cleanup or self._unknown is not None or not writes_allowed()
            option.warn_unused_snapshots = option.warn_unused_snapshots or self._unknown is not None
        return (yield)

    def _incomplete(self, session: pytest.Session, exitstatus: int) -> str | None:
        """Say which part of the suite is not known to have compared; None when all of it has."""
        if self._uncollected:
            return f"{self._uncollected[0]} was not collected"
        if self._crashed:
            return "a worker died"
        if self._deselected or getattr(self._config.option, "lf", False):
            return "not everything was selected"
        if any("::" in str(argument) for argument in self._config.args):
            return "single evals were named"
        for nodeid in self._selected:
            outcome = self._outcomes.get(nodeid, "not run")
            if outcome not in ("passed", "skipped"):  # syrupy keeps the snapshots of what was skipped
                return f"{nodeid} {'was not run' if outcome == 'not run' else outcome}"
        uncompared = next((nodeid for nodeid, notes in self._notes.items() if UNCOMPARED in notes), None)
        if uncompared is not None:
            return f"{uncompared} passed without comparing"
        if any("live" in notes for notes in self._notes.values()):
            return _LIVE
        stopped = session.shouldstop or session.shouldfail or exitstatus in (2, 3, 4)
        return "the session was stopped" if stopped else None

    @pytest.hookimpl(tryfirst=True)
    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if is_worker(self._config):
            return
        report = getattr(getattr(self._config, "_syrupy", None), "report", None)
        lines = [*self._uncompared_lines(), *(self._unused_lines(report) if report is not None else ())]
        waiting = sum("pending" in notes for notes in self._notes.values())
        if waiting:
            lines.append(f"waiting for a decision: {waiting}; decide with: looplet review")
        if lines:
            terminalreporter.section("trace snapshots")
            for line in lines:
                terminalreporter.write_line(line)

    def _uncompared_lines(self) -> Iterator[str]:
        unwritten = "; no snapshot is written from one" if self._config.option.update_snapshots else ""
        for name, items in self._counted("live"):
            yield f"trace_snapshot: not compared on a live backend: {name} ({items}){unwritten}"
        for name, items in self._counted("trial"):
            yield f"trace_snapshot: of several trials the first is compared: {name} (not {items})"
        for name, items in self._counted(UNCOMPARED):
            yield f"trace_snapshot: passed without comparing: {name} ({items}); what there is of snapshots stays"

    def _counted(self, note: str) -> Iterator[tuple[str, str]]:
        counts: dict[str, int] = {}
        for nodeid, notes in self._notes.items():
            if note in notes:
                name = nodeid.partition("[")[0]
                counts[name] = counts.get(name, 0) + 1
        for name, count in sorted(counts.items()):
            yield name, f"{count} item{'s' * (count != 1)}"

    def _unused_lines(self, report: Any) -> Iterator[str]:
        """Name what syrupy only counts, and take it from the count where it does not know."""
        if report.disable_unused_snapshots:
            return
        unused = [collection for collection in report.unused if collection.location.endswith(SUFFIX)]
        said, why = ("deleted snapshot", "") if report.should_delete_unused_snapshots else ("unused snapshot", "")
        if self._unknown is not None:
            _forget(report, unused)
            said, why = "kept snapshot", f" (whether it is unused is not known: {self._unknown})"
            if not report.update_snapshots or self._unknown == _LIVE:  # then it is said once an eval
                return
        elif report.update_snapshots and self._config.option.no_cleanup:
            why = " (kept: CI is set, or --snapshot-no-cleanup)"
        root = self._config.rootpath
        paths = sorted(relative_to_root(Path(collection.location), root) for collection in unused)
        yield from (f"{said}: {path}{why}" for path in paths[:_SHOWN])
        if len(paths) > _SHOWN:
            yield f"{said}: {len(paths) - _SHOWN} more{why}"


def _forget(report: Any, collections: list[Any]) -> None:
    """Take collections out of those that syrupy reports as unused."""
    others = type(report.unused)()
    for collection in report.unused:
        if collection not in collections:
            others.add(collection)
    vars(report)["unused"] = others  # both are cached properties
    vars(report).pop("num_unused", None)
