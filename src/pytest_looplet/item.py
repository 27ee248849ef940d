"""Call an eval, take what it returns, grade it, and put the grade on the report that pytest makes."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any

import pytest

from looplet.evals.score import FAILING_LABELS, EvalResult, InvalidScore, grade, uses_assert
from pytest_looplet.cells import cell_of
from pytest_looplet.declare import mark_values
from pytest_looplet.fixtures import CALL_FAILED
from pytest_looplet.options import OPTIONS, is_worker
from pytest_looplet.phase1.runs import outcome_of
from pytest_looplet.reporting.digests import case_digest
from pytest_looplet.reporting.entries import entry_of, gate_of
from pytest_looplet.reporting.report import put_entry

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from looplet.evals.score import Grade

GRADE: pytest.StashKey[Grade] = pytest.StashKey()
_COUNTED = pytest.StashKey[str]()  # the first line of a failure that a gate counts
_UNGRADED = pytest.StashKey[bool]()
_ASYNC_MARKS = ("asyncio", "anyio", "trio")


def graded_call(item: pytest.Function) -> Generator[None, object, object]:
    """Wrap pytest_runtest_call: keep the eval's return value, then let its grade pass or fail the item.

    Under a gate a failure is counted and the item passes: the gate has the verdict.
    """
    _forget_earlier_call(item)
    if cell := cell_of(item):
        case_digest(item, cell)
    try:
        return (yield from _called_and_graded(item))
    except pytest.xfail.Exception:  # a kind of fail.Exception
        raise
    except (AssertionError, pytest.fail.Exception) as error:
        if item.stash.get(_UNGRADED, False) or gate_of(item) is None or item.get_closest_marker("xfail"):
            raise
        item.stash[_COUNTED] = _first_line(error)
        item.stash[CALL_FAILED] = True
        told = item.repr_failure(pytest.ExceptionInfo.from_exception(error))
        item.add_report_section("call", "failure", str(told))
        return None


def _forget_earlier_call(item: pytest.Item) -> None:
    """An item may be run again."""
    keys: tuple[pytest.StashKey[Any], ...] = (GRADE, _COUNTED, _UNGRADED)
    for key in keys:
        if key in item.stash:
            del item.stash[key]


def _called_and_graded(item: pytest.Function) -> Generator[None, object, object]:
    original = item.obj
    returned: list[Any] = []
    item.obj = _keeping(item, returned)
    try:
        result = yield
    finally:
        item.obj = original
    graded = _grade(item, original, returned)
    if isinstance(graded, InvalidScore):  # said in one line: a traceback would only show our own code
        item.stash[_UNGRADED] = True
        pytest.fail(str(graded), pytrace=False)
    item.stash[GRADE] = graded
    if graded.passed is False:
        pytest.fail(_failure(item.originalname, graded), pytrace=False)
    return result


def _keeping(item: pytest.Function, returned: list[Any]) -> Callable[..., Any]:
    """Stand in for the eval and return None, as pytest wants of a test. An async eval nobody drives is run here."""
    original = item.obj
    if not inspect.iscoroutinefunction(original):

        @functools.wraps(original)
        def keep(*args: Any, **kwargs: Any) -> None:
            returned.append(original(*args, **kwargs))

        return keep

    @functools.wraps(original)
    async def keep_async(*args: Any, **kwargs: Any) -> None:
        returned.append(await original(*args, **kwargs))

    if _has_async_plugin(item):
        return keep_async

    @functools.wraps(original)
    def run_async(*args: Any, **kwargs: Any) -> None:
        import asyncio  # only for async evals

        asyncio.run(keep_async(*args, **kwargs))

    return run_async


def _has_async_plugin(item: pytest.Function) -> bool:
    """Say whether pytest-asyncio (which makes its own items) or anyio will await this eval."""
    return type(item) is not pytest.Function or any(item.get_closest_marker(name) for name in _ASYNC_MARKS)


def _grade(item: pytest.Function, original: Callable[..., Any], returned: list[Any]) -> Grade | InvalidScore:
    if not returned:
        return InvalidScore(f"{item.originalname} was not called; a plugin replaced or skipped it")
    value = returned[-1]  # hypothesis calls several times
    declared = mark_values(item)
    threshold = declared.get("threshold", item.config.stash[OPTIONS].threshold)
    asserts = value is None and uses_assert(original)
    try:
        return grade(value, name=item.originalname, asserts=asserts, threshold=threshold, gate=declared.get("gate"))
    except InvalidScore as error:
        return error


def _failure(name: str, graded: Grade) -> str:
    result = graded.result
    by_label = result.score is None or (result.label or "").strip().lower() in FAILING_LABELS
    said = repr(result.label) if by_label else f"a score of {result.score:g}"
    reason = f": {result.reason}" if result.reason else ""
    return f"{name} gave {said}{reason}"


def annotate(item: pytest.Function, call: pytest.CallInfo[None], report: pytest.TestReport) -> None:
    """Put the entry of the item on its report."""
    if report.when != "call" and report.passed:
        return
    graded = item.stash.get(GRADE, None) if report.when == "call" else None
    counted = item.stash.get(_COUNTED, None) if report.passed else None
    kind = "fail" if counted is not None else _outcome(item, call, report)
    entry = entry_of(
        item,
        kind,
        graded.result if graded else EvalResult(),
        passed=False if kind == "fail" else graded.passed if graded else None,
        message=(counted or "") if report.passed else _first_line(call.excinfo and call.excinfo.value),
    )
    put_entry(report, entry, is_sent=is_worker(item.config))
    _add_properties(item, entry)
    outcome = outcome_of(item)
    if (report.failed or counted is not None) and outcome and outcome.trace:
        report.sections.append(("trace of the run", f"looplet show {outcome.trace}"))


def _add_properties(item: pytest.Item, entry: dict[str, Any]) -> None:
    """For JUnit, which reads them off the last report of an item; a rerun replaces what was there."""
    told = {
        "score": None if entry["score"] is None else round(entry["score"], 6),
        "label": entry["label"],
        "trial": entry["trial"] if entry["trials"] > 1 else None,
        "backend": entry["backend"],
        "cost": entry["run"] and entry["run"]["usage"]["cost"],
    }
    others = [(name, value) for name, value in item.user_properties if not name.startswith("looplet_")]
    known = [(f"looplet_{name}", value) for name, value in told.items() if value is not None]
    item.user_properties[:] = [*others, *known]


def _outcome(item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport) -> str:
    if report.passed:
        return "pass"
    if report.skipped:
        return "skip"
    error = call.excinfo.value if call.excinfo else None
    is_failure = error is None or isinstance(error, (AssertionError, pytest.fail.Exception))
    is_failure = is_failure and not item.stash.get(_UNGRADED, False)
    return "fail" if report.when == "call" and is_failure else "error"


def _first_line(error: BaseException | None) -> str:
    if error is None:
        return ""
    text = str(error).strip() or type(error).__name__
    if not isinstance(error, (AssertionError, pytest.fail.Exception, pytest.skip.Exception)):
        text = f"{type(error).__name__}: {text}"
    return text.splitlines()[0]
