"""The fixtures. `run`, `case`, `judge` and `workdir` belong to evals; `llm` and `mock_llm` serve tests as well."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from pytest_looplet.cells import cell_of
from pytest_looplet.options import OPTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from looplet.backends.mock import MockLLMBackend
    from looplet.evals import EvalCase
    from looplet.evals.judge import Judge
    from looplet.result import RunResult
    from pytest_looplet.cells import Cell
    from pytest_looplet.golden.snapshot import TraceSnapshot
    from pytest_looplet.phase1.store import Outcome

CALL_FAILED = pytest.StashKey[bool]()

_EVALS_ONLY = (
    "the fixtures `run`, `case`, `judge` and `workdir` exist in evals only: functions named eval_* that ask for them, "
    "in files named eval_*.py below a directory named evals (ini keys looplet_functions, looplet_files), "
    "with pytest.mark.looplet(agent=..., cases=[...])"
)
_NO_LLM = (
    "the backend {name!r} has no model to call here; name a live one (--looplet-backend=ollama), "
    "or use `mock_llm` with the replies you want"
)
_NO_SYRUPY = "trace_snapshot needs the pytest plugin syrupy, which is not loaded; install looplet[pytest]"


def _cell_of(request: pytest.FixtureRequest) -> Cell:
    cell = cell_of(request.node)
    if cell is None:
        request.raiseerror(_EVALS_ONLY)
    return cell


def _outcome_of(request: pytest.FixtureRequest) -> Outcome:
    """What became of the run: shown once an item, and raised if it failed."""
    from pytest_looplet.phase1.runs import outcome_of, run_now  # loads looplet

    _cell_of(request)
    item = request.node
    outcome = outcome_of(item) or run_now(item)
    known = [title for _, title, _ in getattr(item, "_report_sections", ())]  # private; empty in an item run again
    for name in ("stdout", "stderr", "log"):
        text, title = getattr(outcome, name), f"{name} of the run"
        if text and title not in known:
            item.add_report_section("setup", title, text)
    if outcome.error is not None or outcome.result is None:
        from looplet._pretty import visible  # an error may quote what a model or a server wrote

        pytest.fail(visible(str(outcome.error), keep="\n"), pytrace=False)
    return outcome


@pytest.fixture
def _looplet_cell() -> None:
    """Takes the parameter of an item whose fixtures of ours are all overridden: see `cells`."""


@pytest.fixture
def run(request: pytest.FixtureRequest) -> RunResult:
    """The run this eval scores: a looplet RunResult."""
    result = _outcome_of(request).own_result()
    assert result is not None, "there is one, looked at above"  # noqa: S101  # for the type checker
    return result


@pytest.fixture
def case(request: pytest.FixtureRequest) -> EvalCase:
    """The case of this item: its task, what is expected, its files."""
    return _cell_of(request).case


@pytest.fixture
def workdir(request: pytest.FixtureRequest) -> Path:
    """The directory the run worked in, as it left it. Every eval of the run sees the same one: look, do not touch."""
    folder = _outcome_of(request).workdir
    if folder is None:
        pytest.fail("the agent of this eval asks for no `workdir`; give it a parameter of that name", pytrace=False)
    return request.config.rootpath / folder


@pytest.fixture
def judge(request: pytest.FixtureRequest) -> Iterator[Judge]:
    """A looplet Judge: the model of --looplet-judge, else that of the runs; offline, recorded verdicts."""
    from pytest_looplet.judges.judging import judge_for  # loads looplet

    with judge_for(request.node, _cell_of(request)) as made:
        yield made


@pytest.fixture
def llm(request: pytest.FixtureRequest) -> Iterator[Any]:
    """The model selected with --looplet-backend. What an eval asks it is recorded with --looplet-record."""
    cell = cell_of(request.node)
    if cell is not None:
        from pytest_looplet.judges.judging import llm_for  # loads looplet

        with llm_for(request.node, cell) as made:
            yield made
        return
    from pytest_looplet.backends import connected  # only where one is asked for
    from pytest_looplet.controller import register  # which closes it

    register(request.config)
    name = request.config.stash[OPTIONS].backends[0]
    backend = connected(name, request.config)
    if not backend.live:
        request.raiseerror(_NO_LLM.format(name=name))
    yield backend.llm


@pytest.fixture
def mock_llm(request: pytest.FixtureRequest) -> Iterator[Callable[..., MockLLMBackend]]:
    """Make scripted models: `mock_llm(reply, reply, ...)`. Replies nobody asked for are an error at the end."""
    from looplet.backends.mock import MockLLMBackend

    made: list[MockLLMBackend] = []

    def make(*responses: Any, cycle: bool = False) -> MockLLMBackend:
        made.append(MockLLMBackend(responses, cycle))
        return made[-1]

    yield make
    if not request.node.stash.get(CALL_FAILED, False):  # one failure is enough to read
        for model in made:
            model.assert_complete()


@pytest.fixture
def trace_snapshot(request: pytest.FixtureRequest) -> TraceSnapshot:
    """The reviewed trace of this item: `assert run == trace_snapshot`."""
    if not request.config.pluginmanager.hasplugin("syrupy"):
        request.raiseerror(_NO_SYRUPY)
    from pytest_looplet.golden.snapshot import trace_snapshot_of  # loads syrupy and looplet

    return trace_snapshot_of(request)
