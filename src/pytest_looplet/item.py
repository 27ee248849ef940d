"""Call an eval, take what it returns, grade it, and put the grade on the report that pytest makes."""

from __future__ import annotations

import functools
import inspect
import json
from typing import TYPE_CHECKING, Any

import pytest

from looplet._pretty import shorten
from looplet.evals.score import EvalResult, InvalidScore, grade, uses_assert
from looplet.types import Usage
from pytest_looplet.cells import cell_of
from pytest_looplet.declare import mark_values
from pytest_looplet.hide import secrets_of
from pytest_looplet.judging import judge_entry
from pytest_looplet.known_secrets import Secrets
from pytest_looplet.options import OPTIONS
from pytest_looplet.report import REPORT_ATTRIBUTE, eval_name
from pytest_looplet.runs import RUN_FIXTURE, outcome_of

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from looplet.evals.score import Grade
    from looplet.result import RunResult
    from pytest_looplet.cells import Cell
    from pytest_looplet.store import Outcome

GRADE = pytest.StashKey[EvalResult]()
_UNGRADED = pytest.StashKey[bool]()
_LOG_CHARS = 20_000
_ASYNC_MARKS = ("asyncio", "anyio", "trio")


def graded_call(item: pytest.Function) -> Generator[None, object, object]:
    """Wrap pytest_runtest_call: keep the eval's return value, then let its grade pass or fail the item."""
    original = item.obj
    returned: list[Any] = []
    item.obj = _keeping(original, returned, foreign_loop=_has_async_plugin(item))
    try:
        result = yield
    finally:
        item.obj = original
    try:
        graded = _grade(item, original, returned)
    except InvalidScore as error:  # said in one line: a traceback would only show our own code
        item.stash[_UNGRADED] = True
        pytest.fail(str(error), pytrace=False)
    item.stash[GRADE] = graded.result
    if graded.passed is False:
        pytest.fail(_failure(item.originalname, graded), pytrace=False)
    return result


def _keeping(original: Callable[..., Any], returned: list[Any], *, foreign_loop: bool) -> Callable[..., Any]:
    """Stand in for the eval and return None, as pytest wants of a test. An async eval nobody drives is run here."""
    if not inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        def keep(*args: Any, **kwargs: Any) -> None:
            returned.append(original(*args, **kwargs))

        return keep

    @functools.wraps(original)
    async def keep_async(*args: Any, **kwargs: Any) -> None:
        returned.append(await original(*args, **kwargs))

    if foreign_loop:
        return keep_async

    @functools.wraps(original)
    def run_async(*args: Any, **kwargs: Any) -> None:
        import asyncio  # only for async evals

        asyncio.run(keep_async(*args, **kwargs))

    return run_async


def _has_async_plugin(item: pytest.Function) -> bool:
    """Say whether pytest-asyncio (which makes its own items) or anyio will await this eval."""
    return type(item) is not pytest.Function or any(item.get_closest_marker(name) for name in _ASYNC_MARKS)


def _grade(item: pytest.Function, original: Callable[..., Any], returned: list[Any]) -> Grade:
    if not returned:
        raise InvalidScore(f"{item.originalname} was not called; a plugin replaced or skipped it")
    value = returned[-1]  # hypothesis calls several times
    threshold = mark_values(item).get("threshold", item.config.stash[OPTIONS].threshold)
    asserts = value is None and uses_assert(original)
    return grade(value, name=item.originalname, asserts=asserts, threshold=threshold)


def _failure(name: str, graded: Grade) -> str:
    result = graded.result
    said = repr(result.label) if result.label is not None else f"a score of {result.score:g}"
    reason = f": {result.reason}" if result.reason else ""
    return f"{name} gave {said}{reason}"


def annotate(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put the grade on the report as one JSON string.

    Reports travel between processes; an object there that cannot be sent ends the session with exit status 0.
    """
    if report.when != "call" and report.passed:
        return
    result = item.stash.get(GRADE, EvalResult()) if report.when == "call" else EvalResult()
    kind = _outcome(item, call, report)
    score = 0.0 if kind == "fail" and result.score is None and result.label is None else result.score
    if kind == "error":
        score = None
    cell, secrets = cell_of(item), secrets_of(item)
    entry = {
        "id": node_id(item),
        "eval": eval_name(node_id(item)),
        "case": cell.case.id if cell else None,
        "outcome": kind,
        "score": score,
        "label": secrets.value(result.label),
        "metrics": secrets.value(result.metrics),
        "reason": secrets(result.reason),
        "message": "" if report.passed else secrets(_first_line(call)),
        "judge": judge_entry(item),
        "run": _run_entry(item, cell, secrets),
    }
    setattr(report, REPORT_ATTRIBUTE, json.dumps(entry))
    if score is not None:
        item.user_properties.append(("looplet_score", round(score, 6)))  # JUnit reads them off the last report
    outcome = outcome_of(item)
    if report.failed and outcome and outcome.trace:
        report.sections.append(("trace of the run", f"looplet show {outcome.trace}"))


def node_id(item: pytest.Item) -> str:
    """The node id without the `@group` that xdist's loadgroup appends: the same in every session."""
    assert item.parent is not None, "an item has a parent"  # noqa: S101  # for the type checker
    return f"{item.parent.nodeid}::{item.name}"


def _outcome(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    if report.passed:
        return "pass"
    if report.skipped:
        return "skip"
    error = call.excinfo.value if call.excinfo else None
    is_failure = error is None or isinstance(error, (AssertionError, pytest.fail.Exception))
    is_failure = is_failure and not item.stash.get(_UNGRADED, False)
    return "fail" if report.when == "call" and is_failure else "error"


def _first_line(call: pytest.CallInfo[None]) -> str:
    if call.excinfo is None:
        return ""
    error = call.excinfo.value
    text = str(error).strip() or type(error).__name__
    if not isinstance(error, (AssertionError, pytest.fail.Exception, pytest.skip.Exception)):
        text = f"{type(error).__name__}: {text}"
    return text.splitlines()[0]


def _run_entry(item: pytest.Item, cell: Cell | None, secrets: Secrets) -> dict[str, Any] | None:
    outcome = outcome_of(item)
    if cell is None or outcome is None or RUN_FIXTURE not in getattr(item, "fixturenames", ()):
        return None
    root = item.config.rootpath
    file = cell.file.relative_to(root).as_posix() if cell.file.is_relative_to(root) else str(cell.file)
    told = {
        "error": outcome.error.splitlines()[0] if outcome.error else None,
        "stale": outcome.stale,
        "text": _log(outcome.result) if outcome.result and outcome.trace is None else None,
    }
    return {
        "file": file,
        "agent": cell.agent_name,
        "case": cell.case.id,
        "trial": cell.trial,
        "backend": outcome.backend,
        "model": outcome.model,
        "trace": outcome.trace,
        "usage": _usage(outcome).to_dict(),
        "stop_reason": Secrets()(outcome.result.stop_reason) if outcome.result else None,
        **secrets.value(told),
    }


def _log(result: RunResult) -> str:
    """What can be told of a run that left no trace, as of an agent that is not looplet's."""
    return shorten("\n\n".join(one.text for one in result.all or (result,)), _LOG_CHARS)


def _usage(outcome: Outcome) -> Usage:
    if outcome.result is None:
        return Usage()
    total = Usage()
    for result in outcome.result.all or (outcome.result,):
        total += result.usage
    return total
