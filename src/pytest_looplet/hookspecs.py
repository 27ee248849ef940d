"""The hooks other plugins and conftest files may implement (in a conftest with `optionalhook=True`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from looplet.evals import EvalCase
    from looplet.result import RunResult


@pytest.hookspec(firstresult=True)
def pytest_looplet_make_backend(name: str, config: pytest.Config, model: str | None) -> object | None:
    """Return the model for `--looplet-backend=NAME` or `NAME:MODEL`, or None for a name you do not know.

    When: once a process and model, before the first run. Gets: the name, and the model if one was named. Answer: any
    object `composable_loop` takes as `llm`, which concurrent runs share. Several: the first that is not None is used.
    """


@pytest.hookspec
def pytest_looplet_run_finished(case: EvalCase, result: RunResult | None, error: str | None) -> None:
    """Look at a run that has finished (`result`) or broke (`error`).

    When: after phase 1, in the process that executed the run, on the main thread. Answer: none.
    """


@pytest.hookspec
def pytest_looplet_eval_result(nodeid: str, outcome: str, score: float | None) -> None:
    """Look at a graded eval: `outcome` is pass, fail, error or skip.

    When: as each item reports, on the controller only. Answer: none.
    """
