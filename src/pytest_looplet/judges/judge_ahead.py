"""Ask the judges of many evals at once, before the evals: each eval then finds its verdicts in the cache.

The eval itself is called, with a judge that only fills the cache, and what it returns is forgotten. So this is for
evals that are nothing but functions of a run: those that ask for `run`, `case` and `judge` and for no other fixture.
"""

from __future__ import annotations

import inspect
import queue
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from looplet.evals.judge import Judge
from pytest_looplet.cells import cell_of
from pytest_looplet.collect import is_eval
from pytest_looplet.judges.eval_calls import Calls
from pytest_looplet.judges.judging import judge_choice, live_judge
from pytest_looplet.options import OPTIONS, is_worker
from pytest_looplet.phase1.output import Output, belonging_to, separated, shown, unattributed
from pytest_looplet.phase1.progress import TICK_S, session_progress
from pytest_looplet.phase1.runs import REMOTE_CONCURRENCY
from pytest_looplet.phase1.store import STORE, own_copy
from pytest_looplet.phase1.tally import Tally
from pytest_looplet.phase1.waits import heap_at_rest
from pytest_looplet.skips import is_skipped
from pytest_looplet.uses import definitions, is_ours

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pytest_looplet.phase1.progress import Progress

_OFFERED = {"run", "case", "judge"}
_HARMLESS = {"pytest_asyncio.plugin", "syrupy"}  # plugins that have fixtures of theirs in every item


def work(items: Iterable[pytest.Item], config: pytest.Config) -> None:
    """Fill the cache. Whatever fails here fails again, and is told, where the eval is called."""
    if is_worker(config) or not config.stash[OPTIONS].judge_ahead:
        return
    chosen = [item for item in items if isinstance(item, pytest.Function) and is_eligible(item)]
    if not chosen:
        return
    waiting: queue.SimpleQueue[pytest.Function] = queue.SimpleQueue()
    for item in chosen:
        waiting.put(item)
    finished: queue.SimpleQueue[None] = queue.SimpleQueue()
    tally = Tally()
    tally.expect(len(chosen))

    def ask() -> None:
        while True:
            try:
                item = waiting.get_nowait()
            except queue.Empty:
                return
            try:
                tally.begin(item.nodeid)
                _ask(item)
            except BaseException:  # noqa: BLE001, S110  # skip and fail are BaseExceptions; the eval itself will tell
                pass
            finally:
                tally.end(item.nodeid, error=False)
                finished.put(None)

    concurrency = _concurrency(chosen[0])
    progress = session_progress(config, tally, shown, what="evals judged")
    with unattributed(config), separated(), heap_at_rest():
        for _ in range(min(concurrency, len(chosen))):  # daemons: a session that is interrupted waits for none
            threading.Thread(target=ask, name="looplet-judge", daemon=True).start()
        _follow(finished, tally, config, progress)


def _follow(finished: queue.SimpleQueue[None], tally: Tally, config: pytest.Config, progress: Progress | None) -> None:
    """Wait for all, and say how far they are, and what was paid in this session."""
    session, back = config.stash[STORE].tally, 0
    try:
        while back < tally.total:
            with suppress(queue.Empty):
                finished.get(timeout=None if progress is None else TICK_S)
                back += 1
            tally.spent, tally.is_paid = session.spent, session.is_paid
            if progress is not None:
                progress.tick()
    finally:
        if progress is not None:
            progress.close()


def _concurrency(item: pytest.Function) -> int:
    """As many at once as runs of such a model."""
    options, cell = item.config.stash[OPTIONS], cell_of(item)
    choice = judge_choice(options, cell.backend) if cell else None
    remote = choice is not None and live_judge(choice, item.config).backend.remote
    return options.concurrency or (REMOTE_CONCURRENCY if remote else 1)


def is_eligible(item: pytest.Function) -> bool:
    """Say whether nothing reaches the eval but a run, its case and a live judge: it may be called twice then."""
    cell = cell_of(item)
    if cell is None or not is_eval(item) or item.cls is not None or is_skipped(item):
        return False
    if judge_choice(item.config.stash[OPTIONS], cell.backend) is None:
        return False
    asked = set(inspect.signature(item.function).parameters)
    return "judge" in asked <= _OFFERED and all(_is_known(item, name) for name in item.fixturenames)


def _is_known(item: pytest.Function, name: str) -> bool:
    """Say whether this fixture of the eval is ours and not overridden, or one that plugins give to everything."""
    found = definitions(item, name)
    if not found:
        return name == "request"
    return is_ours(found[-1]) if name in _OFFERED else found[-1].func.__module__ in _HARMLESS


def _ask(item: pytest.Function) -> None:
    cell = cell_of(item)
    assert cell is not None, "it is eligible"  # noqa: S101  # for the type checker
    outcome = item.config.stash[STORE].get(cell.key) if "run" in item.fixturenames else None
    if "run" in item.fixturenames and (outcome is None or outcome.error is not None):
        return
    choice = judge_choice(item.config.stash[OPTIONS], cell.backend)
    assert choice is not None, "it is eligible"  # noqa: S101  # for the type checker
    judge = Judge(live_judge(choice, item.config).model(ahead=True), redact=Calls("judge", item, cell).redactor)
    run = own_copy(outcome.result) if outcome else None
    offered = {"run": run, "case": own_copy(cell.case), "judge": judge}
    with belonging_to(Output()):  # it prints when it is called for its score
        value = item.function(**{name: offered[name] for name in inspect.signature(item.function).parameters})
        if inspect.iscoroutine(value):
            import asyncio  # only for async evals

            asyncio.run(value)
