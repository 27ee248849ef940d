"""Take secrets out of what pytest shows of evals: tracebacks, locals, captured output, warnings, the grade."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from looplet._core.to_text import encodable
from pytest_looplet.cells import cell_of
from pytest_looplet.phase1.runs import outcome_of
from pytest_looplet.reporting.known_secrets import Secrets

if TYPE_CHECKING:
    import warnings
    from collections.abc import Callable, Iterator

    from looplet.evals.case import EvalCase
    from looplet.result import RunResult
    from pytest_looplet.phase1.store import Key, Outcome

# no text of a run, and so no reason to look for its secrets
_OURS = (
    "looplet_score",
    "looplet_trial",
    "looplet_backend",
    "looplet_cost",
)
_KNOWN = pytest.StashKey[dict["Key", Secrets]]()


def secrets_of(item: pytest.Item) -> Secrets:
    """What the run behind an eval, and its case, hold. Looked for once a run."""
    cell, outcome = cell_of(item), outcome_of(item)
    if cell is None or outcome is None:
        return Secrets()
    known = item.config.stash.setdefault(_KNOWN, {})
    if cell.key not in known:
        known[cell.key] = Secrets(_told(cell.case, outcome))
    return known[cell.key]


def _told(case: EvalCase, outcome: Outcome) -> Iterator[object]:
    yield from (case.task, case.expected, case.files)
    yield from (outcome.stdout, outcome.stderr, outcome.log, outcome.error)
    if outcome.result is not None:
        for result in outcome.result.all or (outcome.result,):
            yield from _told_by(result)


def _told_by(result: RunResult) -> Iterator[object]:
    yield from (result.task, result.output, result.errors, result.artifacts)
    for step in result.steps:
        yield from (step.tool_call.to_dict(), step.tool_result.to_dict())
    if result.steps and (prompt := result.steps[-1].prompt) is not None:  # it holds those before it
        yield prompt.to_dict()


def hide_in_report(item: pytest.Item, report: pytest.TestReport) -> None:
    """Hide secrets in everything the report of an eval shows, JUnit's properties of it included."""
    recorded = any(name not in _OURS for name, _ in report.user_properties)
    if report.longrepr is None and not report.sections and not recorded:
        return
    hide = _sendable(secrets_of(item))
    report.user_properties = [pair if pair[0] in _OURS else _hidden_pair(pair, hide) for pair in report.user_properties]
    report.longrepr = _hidden_repr(report.longrepr, hide)
    hide_output(report)
    if hasattr(report, "wasxfail"):
        report.wasxfail = hide(report.wasxfail)


def _hidden_pair(pair: tuple[str, object], hide: Callable[[str], str]) -> tuple[str, object]:
    """What is no text stays as it is unless its text shows a secret."""
    name, value = pair
    text = str(value)
    clean = hide(text)
    return hide(str(name)), value if clean == text else clean


def hide_output(report: pytest.TestReport) -> None:
    """Hide secrets in what was captured. It is whole, so that patterns find them."""
    hide = _sendable(Secrets())
    report.sections = [(title, hide(text)) for title, text in report.sections]


def _sendable(secrets: Secrets) -> Callable[[str], str]:
    """Half a surrogate pair, which models do write, cannot be sent to another process: xdist would give up."""
    return lambda text: encodable(secrets(text))


def hide_in_warning(message: warnings.WarningMessage) -> None:
    """A thread of an agent that ends with an exception becomes a warning of pytest, which quotes it."""
    text = str(message.message)
    clean = Secrets()(text)
    if clean != text:
        message.message = UserWarning(clean)  # the category, which is shown, stays


def _hidden_repr(longrepr: Any, hide: Callable[[str], str]) -> Any:
    """pytest's representation of an exception with its texts replaced; it keeps its colours and its styles."""
    hidden = _hidden(longrepr, hide, set())
    if hidden is None or isinstance(hidden, (str, tuple)):
        return hidden
    text = str(hidden)
    clean = hide(text)
    return hidden if clean == text else clean  # of a representation that is built in a way of its own


def _hidden(value: Any, hide: Callable[[str], str], seen: set[int]) -> Any:
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, list) and value and all(isinstance(line, str) for line in value):
        return _hidden_lines(value, hide)
    if isinstance(value, (list, tuple)):
        return type(value)([_hidden(part, hide, seen) for part in value])
    if type(value).__module__.startswith("_pytest.") and hasattr(value, "__dict__") and id(value) not in seen:
        seen.add(id(value))
        for name, part in list(vars(value).items()):
            setattr(value, name, _hidden(part, hide, seen))
    return value


def _hidden_lines(lines: list[str], hide: Callable[[str], str]) -> list[str]:
    """Lines are looked at together: a private key has several."""
    between = "" if any(line.endswith("\n") for line in lines) else "\n"
    text = between.join(lines)
    clean = hide(text)
    if clean == text:
        return lines
    return clean.split("\n") if between else [clean]
