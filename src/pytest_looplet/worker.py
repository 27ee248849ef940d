"""Where items are executed: the one process of a session without xdist, or each of its workers."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from pytest_looplet import backends, cells
from pytest_looplet.files import relative_to_root
from pytest_looplet.options import OPTIONS
from pytest_looplet.uses import may_use

if TYPE_CHECKING:
    import warnings

_TRIAL = re.compile(r"-t[0-9]+\Z")


def before_items(session: pytest.Session, worker: str | None = None, worker_count: int = 1) -> None:
    """Phase 1, when an item needs a run or a live model. A usage error ends the session, except in a worker:
    there it becomes the error of every run.
    """
    failed = session.testsfailed and not session.config.option.continue_on_collection_errors
    if failed or session.config.option.collectonly:
        return
    if not any(may_use(item, "llm") or cells.cell_of(item) for item in session.items):
        return
    from pytest_looplet.phase1.runs import phase_1, refuse_all  # loads looplet

    try:
        phase_1(session, worker, worker_count)
    except pytest.UsageError as error:
        if worker is None:
            raise
        refuse_all(session, str(error))


def unused(config: pytest.Config) -> list[str]:
    """Recordings no case uses, as far as this session collected whole files; relative to rootdir."""
    known = config.stash.get(cells.CELLS, {})
    if not known or any("::" in str(argument) for argument in config.args):
        return []
    from pytest_looplet.golden.recordings import recording_dir, unused_recordings

    calls = config.stash.get(cells.CALLS, set())
    found = unused_recordings(known.values(), calls)
    if config.stash[OPTIONS].trials is not None:  # how many there are otherwise is not known
        used = calls | {recording_dir(cell) for cell in known.values()}
        found = [path for path in found if path.with_name(_TRIAL.sub("", path.name)) not in used]
    return [relative_to_root(path, config.rootpath) for path in found]


def hide_in_warning(config: pytest.Config, message: warnings.WarningMessage) -> None:
    """Take secrets out of a warning, in a session that has evals."""
    if config.stash.get(cells.CELLS, None):
        from pytest_looplet.reporting import hide  # loads looplet, which collecting evals did

        hide.hide_in_warning(message)


class Worker:
    """What an xdist worker does besides running items."""

    def __init__(self, config: pytest.Config) -> None:
        from pytest_looplet.phase1.shared_store import FileStore  # only with workers
        from pytest_looplet.phase1.store import STORE

        workerinput = config.workerinput  # type: ignore[attr-defined]  # xdist sets it on workers
        self._config = config
        self._id = str(workerinput["workerid"])
        self._count = int(workerinput["workercount"])
        told = json.loads(workerinput["looplet"])
        config.stash[STORE] = FileStore(Path(told["store"]))
        config.stash[backends.FROM_CONTROLLER] = told["backends"]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> None:
        before_items(session, self._id, self._count)

    @pytest.hookimpl(tryfirst=True)
    def pytest_warning_recorded(self, warning_message: warnings.WarningMessage) -> None:
        hide_in_warning(self._config, warning_message)

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        session.config.workeroutput["looplet"] = json.dumps(unused(session.config))  # type: ignore[attr-defined]  # xdist's
        backends.close_all(session.config)
