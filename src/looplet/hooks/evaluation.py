"""`EvalHook`: run eval functions on a run while it is still going on, and let them reject its completion."""

from __future__ import annotations

import inspect
import time
import traceback
from typing import TYPE_CHECKING, Any, Literal

from looplet._record import Record
from looplet.config import whole
from looplet.decisions import Deny
from looplet.evals.case import EvalCase
from looplet.evals.score import EvalResult, grade, uses_assert
from looplet.events import RunResumed, RunStarted
from looplet.hooks._one_run import OneRun
from looplet.hooks._spent import usage_of
from looplet.result import RunResult

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from looplet.events import Event
    from looplet.types import Step

_GIVEN = ("run", "case")
Outcome = Literal["passed", "failed", "skipped", "error"]
# how an eval ends that calls pytest.fail(), skip() or xfail(): no Exceptions, and pytest may not be installed
_OUTCOMES: dict[str, Outcome] = {"Failed": "failed", "Skipped": "skipped", "XFailed": "skipped"}


class LiveEval(Record):
    """What one eval said of the run after `step`; `final` says that the model had asked to finish.

    `outcome` is the word pytest would have for it: passed (also where it only informs), failed, skipped, or error when
    the eval could not judge. `result.reason` says why.
    """

    name: str
    step: int
    final: bool
    outcome: Outcome
    result: EvalResult


class EvalHook:
    """Run `evals` whenever the model asks to finish, and after every `every` steps; `results` holds what they said.

    An eval is a function as pytest would collect it, which may ask for `run` (a RunResult: finished as it would be, or
    with the stop reason `running`) and `case`; it passes or fails as it would there.

    reject_below  the threshold for scores. Where it is given, an eval that fails, or cannot judge, rejects the
                  completion: the model reads why, and goes on. Without it the evals only watch
    case          the EvalCase (or a dict of its fields) for evals that ask for it
    """

    def __init__(
        self,
        *evals: Callable[..., Any],
        every: int | None = None,
        reject_below: float | None = None,
        case: EvalCase | Mapping[str, Any] | None = None,
    ) -> None:
        if not evals:
            raise ValueError("EvalHook() has no eval; give it at least one function: EvalHook(eval_answer)")
        whole("EvalHook(every=...)", every, least=1, optional=True)
        if reject_below is not None and (isinstance(reject_below, bool) or not 0 <= reject_below <= 1):
            raise ValueError(f"EvalHook(reject_below={reject_below!r}): give a score from 0 to 1, or None")
        self.case = EvalCase(**case) if isinstance(case, dict) else case
        self.every = every
        self.reject_below = reject_below
        self._evals = tuple((function, self._asked(function)) for function in evals)
        self._one_run = OneRun(self)
        self._forget()

    def _forget(self) -> None:
        self.results: list[LiveEval] = []
        self._task: Any = None
        self._done_tool = "done"
        self._began = time.monotonic()

    def on_event(self, event: Event) -> None:
        self._one_run.watch(event)
        self._learn(event)

    def _learn(self, event: Event) -> None:
        match event:
            case RunStarted():
                self._forget()
                self._task = event.task
                self._done_tool = event.settings.get("done_tool", "done")
            case RunResumed():
                for past in event.history:
                    self._learn(past)

    def check_done(self, state: Any, log: Sequence[Step], ctx: Any, step: int) -> Deny | None:
        latest = log[-1]
        final = latest.tool_call.tool == self._done_tool and latest.tool_result.ok
        if not final and not (self.every and step % self.every == 0):
            return None
        self._one_run.check()
        run = self._live(state, log, final=final)
        found = [self._judged(function, asked, run, step, final=final) for function, asked in self._evals]
        self.results += found
        against = [f"{each.name}: {_reason(each.result)}" for each in found if each.outcome in ("failed", "error")]
        return Deny("; ".join(against)) if against and self.reject_below is not None else None

    def _live(self, state: Any, log: Sequence[Step], *, final: bool) -> RunResult:
        """The run as it would be if it ended here."""
        return RunResult(
            stop_reason="done" if final else "running",
            task=self._task,
            output=log[-1].tool_result.data if final else None,
            steps=tuple(log),
            errors=tuple(f"{step.tool_call.tool}: {step.tool_result.error}" for step in log if not step.tool_result.ok),
            usage=usage_of(state, log),
            duration=time.monotonic() - self._began,
        )

    def _judged(
        self, function: Callable[..., Any], asked: Sequence[str], run: RunResult, step: int, *, final: bool
    ) -> LiveEval:
        name, given = _name(function), {"run": run, "case": self.case}
        outcome: Outcome
        try:
            value = function(**{each: given[each] for each in asked})
            asserts = value is None and uses_assert(function)
            graded = grade(value, name=name, asserts=asserts, threshold=self.reject_below)
        except AssertionError as error:
            outcome, result = "failed", EvalResult(score=0.0, reason=_assertion(error))
        except Exception as error:  # noqa: BLE001  # boundary: an eval of the user's own
            outcome, result = "error", EvalResult(reason=f"{type(error).__name__}: {error}")
        except BaseException as error:
            if not _is_outcome(error):
                raise
            outcome, result = _OUTCOMES[type(error).__name__], EvalResult(reason=str(error))
        else:
            outcome, result = "failed" if graded.passed is False else "passed", graded.result
        return LiveEval(name, step, final, outcome, result)

    def _asked(self, function: Any) -> list[str]:
        """The arguments the eval wants. What only pytest can give is an error now, and not at the end of a run."""
        if not callable(function):
            raise TypeError(f"EvalHook({function!r}): give eval functions")
        if inspect.iscoroutinefunction(function):
            raise TypeError(f"EvalHook: {_name(function)} is async; give a plain function")
        parameters = inspect.signature(function).parameters.values()
        for parameter in parameters:
            needed = parameter.default is parameter.empty and parameter.kind in (
                parameter.POSITIONAL_ONLY,
                parameter.POSITIONAL_OR_KEYWORD,
                parameter.KEYWORD_ONLY,
            )
            if needed and parameter.name not in _GIVEN:
                raise TypeError(
                    f"EvalHook: {_name(function)} asks for {parameter.name!r}; during a run there are only run and case"
                )
        names = [parameter.name for parameter in parameters if parameter.name in _GIVEN]
        if "case" in names and self.case is None:
            raise TypeError(f"EvalHook: {_name(function)} asks for 'case'; give it one: EvalHook(..., case={{...}})")
        return names


def _name(function: Callable[..., Any]) -> str:
    return getattr(function, "__name__", type(function).__name__)


def _is_outcome(error: BaseException) -> bool:
    """True for what pytest.fail() and its like raise. Their classes say they are builtins; a base class does not."""
    known = any(base.__module__ == "_pytest.outcomes" for base in type(error).__mro__)
    return known and type(error).__name__ in _OUTCOMES


def _reason(result: EvalResult) -> str:
    """What the model is told."""
    if result.reason.strip():
        return result.reason
    return repr(result.label) if result.label is not None else f"a score of {result.score or 0:g}"


def _assertion(error: AssertionError) -> str:
    """The message; where there is none, the line that did not hold."""
    lines = traceback.extract_tb(error.__traceback__)
    return str(error).strip() or (lines[-1].line if lines else "") or "an assertion did not hold"
