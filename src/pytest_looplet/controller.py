"""The process that reports: it probes backends, gathers what items report, and decides the exit status."""

from __future__ import annotations

import json
import shutil
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet import backends, worker
from pytest_looplet.cells import CELLS
from pytest_looplet.collect import is_eval
from pytest_looplet.files import is_eval_file
from pytest_looplet.options import OPTIONS, is_worker
from pytest_looplet.phase1.interrupt import ending, scoring_again, terminable
from pytest_looplet.reporting import report as _report  # `report` is the name pytest gives hooks
from pytest_looplet.reporting import reports
from pytest_looplet.reporting.suite import suite_name

if TYPE_CHECKING:
    import warnings
    from collections.abc import Generator

    from pytest_looplet.phase1.remote import RemotePhase
    from pytest_looplet.phase1.shared_store import FileStore


def register(config: pytest.Config) -> None:
    """Make the controller of this process, unless it has one. An xdist worker has one elsewhere."""
    if is_worker(config) or config.pluginmanager.hasplugin("looplet-controller"):
        return
    controller = Controller(config)
    config.pluginmanager.register(controller, "looplet-controller")
    controller.begin()


class Controller:
    """The hooks of a session's main process, with or without xdist workers. Registered when the session begins, or as
    soon as the first eval is met: other sessions do without.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._options = config.stash[OPTIONS]
        self._findings = _report.Findings()
        self._store: FileStore | None = None
        self._remote: RemotePhase | None = None
        self._problem: str | None = None
        self._baseline: dict[str, Any] | None = None
        self._made: dict[str, Any] | None = None
        self._written: list[tuple[Path, str | None]] = []
        self._unsummarized: str | None = None
        self._collected: set[str] = set()
        self._is_cut_short = False

    # --- with workers the controller collects nothing: it probes the servers and makes the store before they start.
    # Files are tried first: an hour of paid runs shall not end with a report that cannot be written, or a baseline
    # that cannot be read.

    def begin(self) -> None:
        """Refuse what would fail later. Called once, before anything is collected that this is about."""
        if not self._config.option.collectonly:
            reports.check_apart(self._options.baseline, self._options.reports)
            reports.check_writable(self._options.reports)
            self._read_baseline()
        if not self._has_workers():
            return
        self._connect()
        from pytest_looplet.phase1.remote import RemotePhase  # only with workers
        from pytest_looplet.phase1.shared_store import FileStore

        self._store = FileStore(Path(tempfile.mkdtemp(prefix="looplet-")))
        self._remote = RemotePhase(self._config, self._store.tally)
        self._config.pluginmanager.register(self._remote, "looplet-remote-phase")

    def _connect(self) -> None:
        live = [name for name in self._options.backends if backends.is_named_live(name)]
        connected = [backends.connected(name, self._config) for name in live if self._options.traces is None]
        if self._options.judge is not None and backends.is_asked(self._options):
            connected.append(backends.connected_judge(self._options.judge, self._config))
        if connected:
            from pytest_looplet.phase1.costs import check_prices  # loads looplet, which connecting did

            check_prices(self._config, connected)

    def _read_baseline(self) -> None:
        if self._options.baseline is None:
            return
        from looplet.evals.baseline import load_baseline  # loads looplet: only where scores are compared

        try:
            self._baseline = load_baseline(self._options.baseline, suite=suite_name(self._config.rootpath))
        except ValueError as error:
            raise pytest.UsageError(f"--looplet-baseline: {error}; nothing was run") from None

    @pytest.hookimpl(optionalhook=True)
    def pytest_configure_node(self, node: Any) -> None:
        from pytest_looplet.nodes import watch_commands  # only with workers

        assert self._store is not None, "the session started with workers"  # noqa: S101  # for the type checker
        connected = self._config.stash.get(backends.CONNECTED, {})
        told = {name: backend.to_worker() for name, backend in connected.items()}
        node.workerinput["looplet"] = json.dumps({"store": str(self._store.folder), "backends": told})
        watch_commands(node, self._store.note_schedule, lambda: bool(self._findings.announced))

    @pytest.hookimpl(optionalhook=True)
    def pytest_xdist_node_collection_finished(self, ids: list[str]) -> None:
        root = self._config.rootpath
        evals = (nodeid for nodeid in ids if is_eval_file(root / nodeid.partition("::")[0], self._config))
        self._findings.announced.update(evals)

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, report: pytest.TestReport) -> None:
        node: Any = report.node  # xdist's
        if self._store is not None and self._store.is_in_phase_1(node.workerinput["workerid"]):
            _report.crash_report(report)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        told = getattr(node, "workeroutput", {}).get("looplet", "[]")
        self._findings.unused.update(json.loads(told))

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        worker.hide_in_warning(self._config, warning_message)

    # --- the loop

    def around_items(self, session: pytest.Session) -> Generator[None, object, object]:
        """Wrap pytest_runtestloop."""
        if not self._has_workers():
            worker.before_items(session)
        if self._remote is not None:
            self._remote.begin()
        else:
            self._collected = {item.nodeid for item in session.items if is_eval(item)}
        self._is_cut_short = True  # until the last item has reported: Ctrl-C, -x and pytest.exit end the loop before
        # the handler of a process that runs tests is theirs
        with terminable(lambda: bool(self._findings.announced)) if self._has_workers() else nullcontext():
            result = yield
        self._is_cut_short = False
        failed = [] if self._options.stale == "warn" else _report.stale_reports(self._findings)
        if report := self._report():
            from pytest_looplet.reporting.verdicts import failed_verdicts, forget_earlier  # only in sessions with evals

            forget_earlier(report, self._config)
            failed += failed_verdicts(report, self._options)
        session.testscollected += len(failed)  # of which pytest computes the percentage beside each report
        for each in failed:
            self._config.hook.pytest_runtest_logreport(report=each)
        return result

    def _report(self) -> dict[str, Any] | None:
        """The report of all items, made once they have all reported; None without evals."""
        if self._made is None and self._findings.entries:
            self._made = reports.make(self._findings.entries.values(), self._config, self._baseline)
            reports.leave_open(self._made, self._unscored())
        return self._made

    def _unscored(self) -> list[str]:
        """The evals that have no result because the session ended before them."""
        collected = self._collected or self._findings.announced
        return sorted(collected - self._findings.ended) if self._is_cut_short else []

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        entry = self._findings.note(report)
        if entry is not None:
            self._config.hook.pytest_looplet_eval_result(
                nodeid=entry["id"], outcome=entry["outcome"], score=entry["score"]
            )

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport, config: pytest.Config) -> Any:
        return _report.status_of(report, config.get_verbosity())

    # --- the end

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        backends.close_all(self._config)
        if session.config.option.collectonly:
            return
        if not self._has_workers():
            self._findings.unused.update(worker.unused(self._config))
        self._judge(session, exitstatus)
        self._write_reports(session)

    def _write_reports(self, session: pytest.Session) -> None:
        """A report that cannot be written makes the session fail, and takes nothing else from it."""
        report = self._report()
        if report is None:
            return
        notes = self._notes()
        self._written = reports.write(report, self._options.reports, self._config, notes)
        self._unsummarized = reports.add_to_github(report, self._config, notes)
        if session.exitstatus == pytest.ExitCode.OK and any(problem for _, problem in self._written):
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _judge(self, session: pytest.Session, exitstatus: int) -> None:
        """A session that was asked for evals and evaluated nothing is not green."""
        if exitstatus not in (pytest.ExitCode.OK, pytest.ExitCode.NO_TESTS_COLLECTED):
            return
        self._problem = _report.nothing_evaluated(self._findings, self._options)
        if self._problem:
            session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
        missing = self._findings.missing
        if missing and not session.shouldstop and not session.shouldfail:
            self._problem = f"{len(missing)} evals were collected and never reported: {', '.join(missing[:5])}"
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    @pytest.hookimpl(trylast=True)
    def pytest_terminal_summary(self, terminalreporter: Any, config: pytest.Config) -> None:
        lines = self._summary_lines(terminalreporter, config.get_verbosity())
        lines += [f"stale: {nodeid}: {difference}" for nodeid, difference in self._findings.stale.items()]
        lines += [f"unused recording: {path}" for path in sorted(self._findings.unused)]
        lines += [f"report: {problem or path}" for path, problem in self._written]
        lines += [f"report: {self._unsummarized}"] if self._unsummarized else []
        lines += [f"looplet: {note}" for note in self._notes()]
        if not lines:
            return
        from looplet._pretty import visible  # there are evals, or evals were asked for

        terminalreporter.section("evals")
        for line in lines:
            terminalreporter.write_line(visible(line))  # messages quote what models wrote
        for line in reports.github_lines(self._report(), config, self._notes()):
            terminalreporter.write_line(line)

    def _notes(self) -> list[str]:
        """What is wrong with the session as a whole, and how phase 1 ended if not as planned."""
        return [
            *([self._problem] if self._problem else []),
            *self._cut_short_notes(),
        ]

    def _cut_short_notes(self) -> list[str]:
        notes = [line.removeprefix("looplet: ") for line in self._ending()]
        unscored = self._unscored() if self._findings.entries else []
        if unscored and not notes:
            total = len(self._collected or self._findings.announced)
            again = "" if self._options.traces else f"; score all runs with: {scoring_again(self._config)}"
            notes = [f"the session ended early: {len(unscored)} of {total} evals have no result{again}"]
        return notes

    def _ending(self) -> list[str]:
        if self._store is None and not self._config.stash.get(CELLS, None):
            return []
        from pytest_looplet.phase1.store import STORE  # there were evals

        store = self._store or self._config.stash.get(STORE, None)
        return ending(store.tally, self._config) if store is not None else []

    def pytest_unconfigure(self) -> None:
        """Only now are all workers gone."""
        if self._store is not None:
            shutil.rmtree(self._store.folder, ignore_errors=True)

    def _summary_lines(self, terminalreporter: Any, verbosity: int) -> list[str]:
        report = self._report()
        if report is None:
            return []
        from pytest_looplet.reporting.summary import summary_lines  # only in sessions with evals

        width = terminalreporter._tw.fullwidth  # noqa: SLF001  # its public twin writes, and does not tell
        return summary_lines(report, self._options, verbosity, width)

    def _has_workers(self) -> bool:
        return self._config.pluginmanager.hasplugin("dsession")
