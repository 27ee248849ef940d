"""Phase 1: execute every run that selected evals need, each once, before the first eval is called.

Runs share one process, so nothing else may run beside them: fixtures and monkeypatches of a test would leak into them.
"""

from __future__ import annotations

import queue
import shutil
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_looplet.backends import connected, is_named_live
from pytest_looplet.cells import Cell, cell_of
from pytest_looplet.collect import is_eval
from pytest_looplet.options import OPTIONS
from pytest_looplet.output import on_terminal, separated, unattributed
from pytest_looplet.perform import InFlight, Job, no_script, perform
from pytest_looplet.skips import is_skipped
from pytest_looplet.store import ATTEMPTS, POLL_S, STORE, FileStore, MemoryStore, Outcome
from pytest_looplet.worker import uses_llm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_looplet.store import Claim, Store

RUN_FIXTURE = "_looplet_run"

_REMOTE_CONCURRENCY = 8


def phase_1(session: pytest.Session, worker: str | None, worker_count: int) -> None:
    """Execute the runs. `worker` is the xdist worker's id; None without xdist."""
    config = session.config
    cells = needed_cells(session.items)
    asked = config.stash[OPTIONS].backends[0]
    if is_named_live(asked) and any(map(uses_llm, session.items)):
        connected(asked, config)
    if not cells:
        return
    store = config.stash.setdefault(STORE, MemoryStore())
    jobs = _jobs(cells, config, may_refuse=worker is None)
    store.once("clean", lambda: _clean(config.rootpath))
    if isinstance(store, FileStore) and worker is not None:
        store.wait_for_schedule()
        store.enter_phase_1(worker)
        try:
            with unattributed(config):
                _run_jobs(_rotated(list(jobs.values()), worker), store, config, worker_count)
        finally:
            store.leave_phase_1(worker)
    else:
        with unattributed(config):
            _run_jobs(list(jobs.values()), store, config, worker_count)


def outcome_of(item: pytest.Item) -> Outcome | None:
    """The published outcome behind this item, None when it has none (yet)."""
    cell = cell_of(item)
    store = item.config.stash.get(STORE, None)
    return store.get(cell.key) if cell and store else None


def run_now(item: pytest.Item) -> Outcome:
    """Execute the run of an item that phase 1 took for skipped."""
    cell = cell_of(item)
    assert cell is not None, "the fixture was parametrized with one"  # noqa: S101  # for the type checker
    store = item.config.stash.setdefault(STORE, MemoryStore())
    _run_jobs(list(_jobs([cell], item.config, may_refuse=False).values()), store, item.config, 1)
    outcome = store.get(cell.key)
    assert outcome is not None, "the pool returns when every job is published"  # noqa: S101  # for the type checker
    return outcome


def refuse_all(session: pytest.Session, message: str) -> None:
    """Make `message` the error of every run: a worker cannot end the session with a usage error."""
    store = session.config.stash.setdefault(STORE, MemoryStore())
    for cell in needed_cells(session.items):
        store.publish(cell.key, Outcome(error=message, backend=cell.backend))


def needed_cells(items: Iterable[pytest.Item]) -> list[Cell]:
    cells: dict[tuple[str, ...], Cell] = {}
    for item in items:
        cell = cell_of(item)
        if cell and RUN_FIXTURE in getattr(item, "fixturenames", ()) and is_eval(item) and not is_skipped(item):
            cells.setdefault(cell.key, cell)
    return list(cells.values())


def _jobs(cells: list[Cell], config: pytest.Config, *, may_refuse: bool) -> dict[tuple[str, ...], Job]:
    """Connect the backends and name the jobs. A session that cannot run at all is refused on the controller."""
    names = _names(cells, config.rootpath)
    if may_refuse:
        for cell in cells:
            if cell.backend == "mock" and cell.case.script is None:
                raise pytest.UsageError(no_script(cell))
    record = config.stash[OPTIONS].record
    return {
        cell.key: Job(cell, connected(cell.backend, config), names[cell.key], config.rootpath, record) for cell in cells
    }


def _names(cells: list[Cell], root: Path) -> dict[tuple[str, ...], str]:
    """`<case>-<backend>`, with the file and the agent before it where two runs would share that name."""
    short: dict[str, list[Cell]] = {}
    for cell in cells:
        short.setdefault(f"{cell.case.id}-{cell.backend}", []).append(cell)
    names: dict[tuple[str, ...], str] = {}
    for name, sharing in short.items():
        for cell in sharing:
            place = cell.file.relative_to(root) if cell.file.is_relative_to(root) else Path(cell.file.name)
            prefix = "-".join((*place.with_suffix("").parts, cell.agent_name))
            names[cell.key] = name if len(sharing) == 1 else f"{prefix}-{name}"
    return names


def _clean(root: Path) -> None:
    """Traces are those of the last session with evals."""
    folder = root / ".looplet"
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    for name in ("runs", "work"):
        shutil.rmtree(folder / name, ignore_errors=True)
        (folder / name).mkdir()


def _rotated(jobs: list[Job], worker: str) -> list[Job]:
    """Workers start at different places, so that they seldom reach for the same claim."""
    digits = "".join(filter(str.isdigit, worker)) or "0"
    start = int(digits) % len(jobs) if jobs else 0
    return jobs[start:] + jobs[:start]


def _run_jobs(jobs: list[Job], store: Store, config: pytest.Config, worker_count: int) -> None:
    options = config.stash[OPTIONS]
    remote = any(job.backend.remote for job in jobs)
    concurrency = options.concurrency or (_REMOTE_CONCURRENCY if remote else 1)
    pool = Pool(store, max(1, concurrency // worker_count), options.run_timeout, _tell(config, len(jobs)))
    with separated():
        pool.run(jobs)


def _tell(config: pytest.Config, total: int) -> Callable[[Job, Outcome], None]:
    """A progress line on a terminal, and the hook of those who want to know."""
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    is_watched = reporter is not None and getattr(reporter, "isatty", False)
    finished = 0

    def tell(job: Job, outcome: Outcome) -> None:
        nonlocal finished
        finished += 1
        if is_watched and reporter is not None:
            with on_terminal(config):
                reporter.rewrite(f"looplet: {finished}/{total} runs", erase=True)
        config.hook.pytest_looplet_run_finished(case=job.cell.case, result=outcome.result, error=outcome.error)

    return tell


@dataclass
class _Running:
    job: Job
    claim: Claim
    in_flight: InFlight
    deadline: float | None


class Pool:
    """One daemon thread a run, `concurrency` at once: a session that ends does not wait for calls in flight."""

    def __init__(
        self, store: Store, concurrency: int, timeout: float | None, tell: Callable[[Job, Outcome], None]
    ) -> None:
        self._store = store
        self._concurrency = concurrency
        self._timeout = timeout
        self._tell = tell
        self._running: dict[int, _Running] = {}
        self._finished: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        self._number = 0

    def run(self, jobs: list[Job]) -> None:
        """Return when every job has a published outcome, whoever executed it."""
        waiting = list(jobs)
        while waiting or self._running:
            waiting = self._start(waiting)
            self._collect(others=bool(waiting) and len(self._running) < self._concurrency)
            self._expire()

    def _start(self, waiting: list[Job]) -> list[Job]:
        """Claim and start what there is room for; return the jobs still without an outcome that are not ours."""
        left = []
        for job in waiting:
            if len(self._running) >= self._concurrency:
                left.append(job)
            elif claim := self._store.claim(job.cell.key):
                self._begin(job, claim)
            elif not self._store.published(job.cell.key):
                left.append(job)
        return left

    def _begin(self, job: Job, claim: Claim) -> None:
        self._number += 1
        number, in_flight = self._number, InFlight()
        if claim.attempts >= ATTEMPTS:
            self._running[number] = _Running(job, claim, in_flight, None)
            self._finished.put((number, _gave_up(job, claim.attempts)))
            return
        deadline = time.monotonic() + self._timeout if self._timeout else None
        self._running[number] = _Running(job, claim, in_flight, deadline)

        def work() -> None:
            self._finished.put((number, perform(job, in_flight)))

        threading.Thread(target=work, name=f"looplet-{job.name}", daemon=True).start()

    def _collect(self, *, others: bool) -> None:
        """Wait for a run of ours, the next deadline, or a moment when another worker has the rest."""
        deadlines = [running.deadline for running in self._running.values() if running.deadline is not None]
        wait = max(0.0, min(deadlines) - time.monotonic()) if deadlines else None
        if others or not self._running:
            wait = POLL_S if wait is None else min(POLL_S, wait)
        try:
            number, outcome = self._finished.get(timeout=wait)
        except queue.Empty:
            return
        self._finish(number, outcome)

    def _expire(self) -> None:
        now = time.monotonic()
        for number, running in list(self._running.items()):
            if running.deadline is not None and now >= running.deadline:
                self._finish(number, _timed_out(running, self._timeout or 0.0))

    def _finish(self, number: int, outcome: Outcome) -> None:
        running = self._running.pop(number, None)
        if running is None:
            return  # it came back after its deadline
        self._store.publish(running.job.cell.key, outcome)
        running.claim.release()
        self._tell(running.job, outcome)


def _timed_out(running: _Running, seconds: float) -> Outcome:
    job = running.job
    partial = job.trace.with_name(f"{job.name}.partial")
    return Outcome(
        error=f"case {job.cell.case.id!r} was given up after {seconds:g} s; {running.in_flight.text}",
        backend=job.cell.backend,
        model=job.backend.model,
        trace=partial.relative_to(job.root).as_posix() if partial.exists() else None,
    )


def _gave_up(job: Job, attempts: int) -> Outcome:
    return Outcome(
        error=f"case {job.cell.case.id!r} ended its worker process {attempts} times; it was not tried again",
        backend=job.cell.backend,
        model=job.backend.model,
    )
