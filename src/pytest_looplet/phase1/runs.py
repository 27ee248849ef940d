"""Phase 1: execute every run that selected evals need, each once, before the first eval is called.

Runs share one process, so nothing else may run beside them: fixtures and monkeypatches of a test would leak into them.
"""

from __future__ import annotations

import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from looplet.evals.collect import Collector, collectors_in
from pytest_looplet.backends import connected, is_named_live
from pytest_looplet.cells import Cell, cell_of
from pytest_looplet.collect import is_eval
from pytest_looplet.options import OPTIONS, is_worker
from pytest_looplet.phase1 import stored_session
from pytest_looplet.phase1.costs import check_prices, price_table
from pytest_looplet.phase1.interrupt import terminable
from pytest_looplet.phase1.output import separated, shown, unattributed
from pytest_looplet.phase1.perform import Job, no_script
from pytest_looplet.phase1.pool import Limits, Pool
from pytest_looplet.phase1.progress import session_progress
from pytest_looplet.phase1.store import STORE, MemoryStore, Outcome
from pytest_looplet.phase1.waits import PIECE, Chores, get_ready, heap_at_rest
from pytest_looplet.skips import is_skipped
from pytest_looplet.uses import may_use, needs_run, uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pytest_looplet.phase1.progress import Progress
    from pytest_looplet.phase1.store import Key, Store

REMOTE_CONCURRENCY = 8
_OF_SESSION = ("runs", "work")  # below .looplet
_EARLIER = "earlier"  # there, too: those of the last session, until they are removed


def phase_1(session: pytest.Session, worker: str | None, worker_count: int) -> None:
    """Execute the runs. `worker` is the xdist worker's id; None without xdist."""
    config = session.config
    cells = needed_cells(session.items)
    traces = config.stash[OPTIONS].traces
    asked = config.stash[OPTIONS].backends[0]
    if traces is None and is_named_live(asked) and any(may_use(item, "llm") for item in session.items):
        connected(asked, config)
    judges = any(uses(item, "judge") for item in session.items)
    if judges:
        from pytest_looplet.judges.judging import prepare  # it stands on this module

        prepare(session.items, config)
    # judges are paid in sessions without runs, too: what is spent is counted here, with that of the other workers
    store = config.stash.setdefault(STORE, MemoryStore())
    if not cells:
        return
    if traces is not None:
        from pytest_looplet.phase1.stored import StoredRuns  # reads traces, which other sessions only write

        config.stash[STORE] = StoredRuns(traces, config.rootpath, store.tally)
        _judge_ahead(session, judges=judges)
        return
    jobs = list(_jobs(cells, _collectors(session.items), config, may_refuse=worker is None).values())
    store.once("clean", lambda: _clean(config))
    if worker is not None:
        _beside_others(jobs, store, session, worker, worker_count)
        return
    store.tally.expect(len(jobs))
    with terminable():
        _run_jobs(jobs, store, session, worker_count)
        _judge_ahead(session, judges=judges)


def _beside_others(jobs: list[Job], store: Store, session: pytest.Session, worker: str, worker_count: int) -> None:
    from pytest_looplet.phase1.shared_store import FileStore  # only in xdist's workers

    assert isinstance(store, FileStore), "workers are made with one"  # noqa: S101  # for the type checker
    store.wait_for_schedule()
    store.tally.expect(len(jobs))
    store.enter_phase_1(worker)
    try:
        _run_jobs(_rotated(jobs, worker), store, session, worker_count)
    finally:
        store.leave_phase_1(worker)


def _judge_ahead(session: pytest.Session, *, judges: bool) -> None:
    if judges:
        from pytest_looplet.judges.judge_ahead import work  # it stands on this module

        work(session.items, session.config)


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
    job = next(iter(_jobs([cell], _collectors([item]), item.config, may_refuse=False).values()))
    with separated():
        _pool(store, item.config, [job], 1, None).run([job])
    outcome = store.get(cell.key)
    assert outcome is not None, "the pool returns when every job is published"  # noqa: S101  # for the type checker
    return outcome


def refuse_all(session: pytest.Session, message: str) -> None:
    """Make `message` the error of every run: a worker cannot end the session with a usage error."""
    store = session.config.stash.setdefault(STORE, MemoryStore())
    for cell in needed_cells(session.items):
        store.publish(cell.key, Outcome(error=message, backend=cell.backend))


def needed_cells(items: Iterable[pytest.Item]) -> list[Cell]:
    cells: dict[Key, Cell] = {}
    for item in items:
        cell = cell_of(item)
        if cell and needs_run(item) and is_eval(item) and not is_skipped(item):
            cells.setdefault(cell.key, cell)
    return list(cells.values())


def _collectors(items: Iterable[pytest.Item]) -> dict[Path, tuple[Collector, ...]]:
    """The collectors of each eval module, by its file."""
    modules = {item.path: item.module for item in items if isinstance(item, pytest.Function) and cell_of(item)}
    try:
        return {path: tuple(collectors_in(vars(module))) for path, module in modules.items()}
    except ValueError as error:
        raise pytest.UsageError(str(error)) from None


def _jobs(
    cells: list[Cell], collectors: dict[Path, tuple[Collector, ...]], config: pytest.Config, *, may_refuse: bool
) -> dict[Key, Job]:
    """Connect the backends and name the jobs. A session that cannot run at all is refused on the controller."""
    names = _names(cells, config.rootpath)
    if may_refuse:
        for cell in cells:
            if cell.backend == "mock" and cell.case.script is None:
                raise pytest.UsageError(no_script(cell))
    record, prices = config.stash[OPTIONS].record, price_table(config)
    jobs = {
        cell.key: Job(
            cell,
            connected(cell.backend, config),
            names[cell.key],
            config.rootpath,
            record=record,
            prices=prices,
            collectors=collectors.get(cell.file, ()),
        )
        for cell in cells
    }
    if may_refuse:
        check_prices(config, {job.backend for job in jobs.values()})
    return jobs


def _names(cells: list[Cell], root: Path) -> dict[Key, str]:
    """`<case>-<backend>[-tN]`, with the file and the agent before it where two runs would share that name."""
    short: dict[str, list[Cell]] = {}
    for cell in cells:
        short.setdefault(cell.run_name, []).append(cell)
    names: dict[Key, str] = {}
    for name, sharing in short.items():
        for cell in sharing:
            names[cell.key] = name if len(sharing) == 1 else f"{_place(cell, root)}-{name}"
    return names


def _place(cell: Cell, root: Path) -> str:
    file = cell.file.relative_to(root) if cell.file.is_relative_to(root) else Path(cell.file.name)
    return "-".join((*file.with_suffix("").parts, cell.agent_name))


def _clean(config: pytest.Config) -> None:
    """Traces are those of the last session with evals. Those before are moved away, and removed when the last runs are
    on their way: ext4 takes long to make files where many were removed a moment ago.
    """
    folder = config.rootpath / ".looplet"
    folder.mkdir(exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="utf-8")
    shutil.rmtree(folder / _EARLIER, ignore_errors=True)  # of a session that was cut short
    (folder / _EARLIER).mkdir(exist_ok=True)
    for name in _OF_SESSION:
        with suppress(FileNotFoundError):
            (folder / name).rename(folder / _EARLIER / name)
        (folder / name).mkdir()
    stored_session.write(folder / "runs", config.stash[OPTIONS])


def _removing_earlier(root: Path) -> Iterator[None]:
    """Other workers may be at it, too. What a link leads to is left alone."""
    folder = root / ".looplet" / _EARLIER
    runs: list[Path] = []
    for name in _OF_SESSION:
        with suppress(OSError):
            if not (folder / name).is_symlink():
                runs += (folder / name).iterdir()
    for number, run in enumerate(runs):
        shutil.rmtree(run, ignore_errors=True)
        if number % PIECE == 0:
            yield
    shutil.rmtree(folder, ignore_errors=True)


def _rotated(jobs: list[Job], worker: str) -> list[Job]:
    """Workers start at different places, so that they seldom reach for the same claim."""
    digits = "".join(filter(str.isdigit, worker)) or "0"
    start = int(digits) % len(jobs) if jobs else 0
    return jobs[start:] + jobs[:start]


def _run_jobs(jobs: list[Job], store: Store, session: pytest.Session, worker_count: int) -> None:
    config = session.config
    # that of workers is the controller's
    progress = None if is_worker(config) else session_progress(config, store.tally, shown)

    chores = Chores(get_ready(session.items), _removing_earlier(config.rootpath))
    with unattributed(config), separated(), heap_at_rest():
        _pool(store, config, jobs, worker_count, progress, chores).run(jobs)
        chores.do_the_rest()


def _pool(
    store: Store,
    config: pytest.Config,
    jobs: list[Job],
    worker_count: int,
    progress: Progress | None,
    chores: Chores | None = None,
) -> Pool:
    options = config.stash[OPTIONS]
    remote = any(job.backend.remote for job in jobs)
    concurrency = options.concurrency or (REMOTE_CONCURRENCY if remote else 1)

    def told(job: Job, outcome: Outcome) -> None:
        config.hook.pytest_looplet_run_finished(case=job.cell.case, result=outcome.result, error=outcome.error)

    return Pool(
        store,
        max(1, concurrency // worker_count),
        timeout=options.run_timeout,
        limits=Limits(config.getoption("maxfail") or 0, options.max_cost),
        told=told,
        chores=chores,
        progress=progress,
    )
