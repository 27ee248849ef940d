"""The hooks pytest calls. Only pytest and the standard library are imported here: a suite without evals pays nothing.

Whatever needs looplet itself is imported once an eval was collected or a fixture asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from pytest_looplet import cells, collect, hookspecs, options
from pytest_looplet.fixtures import (  # noqa: F401  # fixtures are found by name in this module
    CALL_FAILED,
    _looplet_cell,
    case,
    judge,
    llm,
    mock_llm,
    run,
    trace_snapshot,
    workdir,
)
from pytest_looplet.options import is_worker
from pytest_looplet.uses import may_use

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

MARK = (
    "looplet(agent=None, cases=None, trials=None, threshold=None, gate=None): the agent an eval is about, its cases, "
    "how often each is run, the least score an item passes with, and the least mean score of all its items"
)


def pytest_addhooks(pluginmanager: pytest.PytestPluginManager) -> None:
    pluginmanager.add_hookspecs(hookspecs)


def pytest_addoption(parser: pytest.Parser) -> None:
    options.add_options(parser)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", MARK)
    config.stash[options.OPTIONS] = options.resolve(config)
    if is_worker(config):
        from pytest_looplet.worker import Worker

        config.pluginmanager.register(Worker(config), "looplet-worker")
    if (config.rootpath / ".looplet" / "pending").is_dir():
        from pytest_looplet.golden.orphans import OrphanHooks

        config.pluginmanager.register(OrphanHooks(config), "looplet-pending")
    if config.pluginmanager.hasplugin("syrupy"):
        from pytest_looplet.golden.snapshot_guard import SNAPSHOT_HOOKS, SnapshotHooks

        config.pluginmanager.register(SnapshotHooks(config), SNAPSHOT_HOOKS)


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    config = session.config
    if config.stash[options.OPTIONS].is_busy or config.pluginmanager.hasplugin("dsession"):
        _report_evals(config)


def _report_evals(config: pytest.Config) -> None:
    """Load what reports evals, in the process that does."""
    if is_worker(config):
        return
    from pytest_looplet.controller import register

    register(config)


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop(session: pytest.Session) -> Generator[None, object, object]:
    """Here and not in the controller, which comes late: other plugins' wrappers are about agents and verdicts, too."""
    controller = session.config.pluginmanager.get_plugin("looplet-controller")
    if controller is None:
        return (yield)
    return (yield from controller.around_items(session))


def pytest_report_header(config: pytest.Config) -> str | None:
    asked = config.stash[options.OPTIONS]
    return f"looplet: backend {', '.join(asked.backends)}" if asked.asked or asked.backends != ("replay",) else None


# --- collection


@pytest.hookimpl(wrapper=True)
def pytest_collect_file(
    file_path: Path, parent: pytest.Collector
) -> Generator[None, list[pytest.Collector], list[pytest.Collector]]:
    """Add an eval file that python_files does not name. It shall not: a line of ours, with its folders, would make
    pytest look up each module of the session twice, and without them rewrite modules of others.
    """
    found = yield
    if file_path.suffix != ".py" or any(isinstance(made, collect.EvalModule) for made in found):
        return found
    module = _made(file_path, parent)
    return found if module is None else [*found, module]


def pytest_pycollect_makemodule(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    return _made(module_path, parent)


def _made(module_path: Path, parent: pytest.Collector) -> pytest.Module | None:
    module = collect.make_module(module_path, parent)
    if module is not None:
        _report_evals(parent.config)
    return module


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(
    collector: pytest.Module | pytest.Class, name: str, obj: object
) -> pytest.Collector | None:
    return collect.make_class(collector, name, obj)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    cells.parametrize(metafunc)


def pytest_itemcollected(item: pytest.Item) -> None:
    cell = cells.cell_of(item)
    if may_use(item, "llm"):
        _report_evals(item.config)
    if cell is not None:  # in the id, trial, backend and parameters may stand beside the case
        from pytest_looplet.golden.recordings import case_keyword

        item.extra_keyword_matches.add(case_keyword(cell.case.id))
    if cell is not None and (may_use(item, "judge") or may_use(item, "llm")):
        from pytest_looplet.judges.eval_calls import note_calls  # loads looplet, which collecting evals did

        note_calls(item)


# --- the items


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    if isinstance(item, pytest.Function) and collect.is_eval(item):
        from pytest_looplet.item import graded_call

        return (yield from graded_call(item))
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    made = yield
    if made.when == "call" and made.failed:
        item.stash[CALL_FAILED] = True
    if isinstance(item, pytest.Function) and collect.is_eval(item):
        from pytest_looplet.item import annotate
        from pytest_looplet.reporting.hide import hide_in_report

        annotate(item, call, made)
        hide_in_report(item, made)
    elif may_use(item, "llm"):
        from pytest_looplet.reporting.report import LLM_ATTRIBUTE

        setattr(made, LLM_ATTRIBUTE, True)
    return made


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """A subtest's output is added to its report after `pytest_runtest_makereport`."""
    if isinstance(report, pytest.SubtestReport):
        from pytest_looplet.reporting.report import REPORT_ATTRIBUTE

        if hasattr(report, REPORT_ATTRIBUTE):
            from pytest_looplet.reporting.hide import hide_output  # loads looplet, which the eval did

            hide_output(report)
