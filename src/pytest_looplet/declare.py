"""Read `pytest.mark.looplet(agent=..., cases=...)`: the agent, its name and the cases of one eval."""

from __future__ import annotations

import importlib
from functools import partial
from typing import TYPE_CHECKING, Any

from looplet._record import Record
from looplet.evals import arguments
from looplet.evals.case import EvalCase, check_names, load_cases, slug
from pytest_looplet.options import MAX_TRIALS, OPTIONS
from pytest_looplet.uses import needs_run

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest

OFFERED = ("task", "llm", "workdir")
MARK_KEYS = ("agent", "cases", "trials", "threshold", "gate")


class Declaration(Record):
    """`agent` is None for an eval that only asks for `case` or `llm` where none was declared."""

    agent: Callable[..., Any] | None
    agent_name: str
    wanted: tuple[str, ...]
    cases: list[EvalCase]
    trials: int | None = None
    gate: float | None = None


def mark_values(item: pytest.Item) -> dict[str, Any]:
    """The keywords of all looplet marks of an item; the closest mark wins key by key."""
    values: dict[str, Any] = {}
    for mark in item.iter_markers("looplet"):
        if mark.args:
            raise TypeError(f"pytest.mark.looplet takes keywords only ({', '.join(MARK_KEYS)}), not {mark.args!r}")
        check_names("pytest.mark.looplet has", mark.kwargs, MARK_KEYS)
        for key, value in mark.kwargs.items():
            values.setdefault(key, value)
    for key in ("threshold", "gate"):
        value = values.get(key)
        if value is not None and not (_is_number(value) and 0 <= value <= 1):
            raise ValueError(f"pytest.mark.looplet({key}={value!r}): use a number from 0 to 1")
    check_trials(values.get("trials"), "pytest.mark.looplet(trials={!r})")
    return values


def check_trials(value: object, where: str) -> None:
    is_count = isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_TRIALS
    if value is not None and not is_count:
        raise ValueError(f"{where.format(value)}: use a whole number from 1 to {MAX_TRIALS}")


def trials_of(case: EvalCase, declared: Declaration, config: pytest.Config) -> int:
    """--looplet-trials > the case > the mark > the ini key."""
    options = config.stash[OPTIONS]
    check_trials(case.trials, f"case {case.id!r}: trials={{!r}}")
    return options.trials or case.trials or declared.trials or options.default_trials


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def read_declaration(definition: pytest.Function, config: pytest.Config) -> Declaration:
    values = mark_values(definition)
    if values.get("cases") is None:
        raise ValueError(
            "no cases; declare them: pytestmark = pytest.mark.looplet(agent=my_agent, cases=[{'task': '...'}])"
        )
    agent = values.get("agent") or config.stash[OPTIONS].agent
    is_run = needs_run(definition)
    if agent is None and is_run:
        raise ValueError(
            "it asks for `run` and no agent is declared; "
            "write pytest.mark.looplet(agent=my_agent, ...) or set the ini key looplet_agent = module:function"
        )
    if isinstance(agent, str):
        agent = _imported(agent)
    wanted = wanted_arguments(agent) if agent is not None else ()
    name = agent_name(agent) if agent is not None else "none"
    cases = load_cases(values["cases"], definition.path.parent)
    if agent is not None and is_run and "workdir" not in wanted:
        _check_no_files(cases, name)
    return Declaration(agent, name, wanted, cases, values.get("trials"), values.get("gate"))


def _check_no_files(cases: list[EvalCase], agent: str) -> None:
    """Refuse files for an agent that cannot know where they are."""
    for case in cases:
        if case.files:
            raise ValueError(
                f"case {case.id!r} has files, and agent {agent} has no parameter `workdir` to find them by"
            )


def check_gate(gate: float, cases: int, trials: int) -> None:
    """Refuse a gate above what the interval can reach. Without trials it is the mean that is compared."""
    from looplet.evals.stats import best_possible, passes_needed  # only where trials have a gate

    if trials == 1 or best_possible(cases, trials) >= gate:
        return
    needed = passes_needed(gate)
    enough = "no number of trials proves that none ever fails"
    if needed is not None:
        enough = f"trials={needed} would do" if cases == 1 else f"{needed} cases would do, more trials would not"
    raise ValueError(
        f"gate={gate:g} can never be met: if every trial passes, the interval of {cases} case{'s' * (cases != 1)} "
        f"still begins at {best_possible(cases, trials):.3f}; {enough}. Lower the gate, compare the mean itself "
        "(trials=1), or set the ini key looplet_undecided = warn"
    )


def _imported(reference: str) -> Any:
    module, separator, name = reference.partition(":")
    if not separator or not module or not name:
        raise ValueError(f"agent={reference!r}: write 'module:function'")
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    return found


def agent_name(agent: Any) -> str:
    while isinstance(agent, partial):
        agent = agent.func
    return slug(getattr(agent, "__name__", type(agent).__name__)) or "agent"


def wanted_arguments(agent: Any) -> tuple[str, ...]:
    """Names of the offered arguments that `agent` takes. One that cannot be called with them is refused here, before
    anything runs.
    """
    if not callable(agent):
        raise TypeError(f"agent={agent!r} is not callable; give a function of task, llm and workdir")
    return tuple(arguments.wanted_arguments(agent, OFFERED, who=f"agent {agent_name(agent)}", rule="an agent"))
