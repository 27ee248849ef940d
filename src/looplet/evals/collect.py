"""`@collector`: look at the world after a run, so that evals grade what came of it and not only what was said."""

from __future__ import annotations

import inspect
import json
import stat
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from looplet.errors import LoopletError
from looplet.evals.arguments import wanted_arguments
from looplet.trace.directory import ARTIFACTS, JOURNAL
from looplet.trace.files import write_whole
from looplet.trace.jsonable import jsonable
from looplet.trace.redact import redaction

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from looplet.evals.case import EvalCase
    from looplet.result import RunResult

OFFERED = ("workdir", "run", "case", "task")


class CollectorError(LoopletError):
    """A collector failed, or asks for what the run does not have: the run cannot be graded."""


class Collector:
    """A function that fills `run.artifacts[name]`; calling it calls the function."""

    def __init__(self, function: Callable[..., Any], name: str | None = None) -> None:
        self.function = function
        self.name = name if name is not None else getattr(function, "__name__", "")
        if not self.name:
            raise TypeError(f"@collector: {function!r} has no name; give it one: @collector(name='orders')")
        self.wanted = wanted_arguments(function, OFFERED, who=f"collector {self.name!r}", rule="a collector")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.function(*args, **kwargs)

    def __repr__(self) -> str:
        return f"<collector {self.name!r}>"


@overload
def collector(function: Callable[..., Any], /) -> Collector: ...


@overload
def collector(*, name: str) -> Callable[[Callable[..., Any]], Collector]: ...


def collector(function: Callable[..., Any] | None = None, /, *, name: str | None = None) -> Any:
    """Make a collector of a function that is given what it names of `workdir`, `run`, `case` and `task`.

    It is called once after each run, before any eval; what it returns, in the shape of JSON, is
    `run.artifacts[its name]`. It may be async. When it raises, the run is an error that names it.
    """
    if function is None:
        return lambda decorated: Collector(decorated, name)
    if not callable(function):
        raise TypeError(f"@collector({function!r}): decorate a function, or give a name: @collector(name='orders')")
    return Collector(function, name)


def collectors_in(namespace: Mapping[str, Any]) -> list[Collector]:
    """The collectors that a module holds (`vars(module)`), imported ones too, in the order of their definition."""
    found: dict[str, Collector] = {}
    for value in namespace.values():
        if isinstance(value, Collector) and found.setdefault(value.name, value) is not value:
            raise ValueError(f"two collectors are called {value.name!r}; give one another name: @collector(name='...')")
    return list(found.values())


def collect(
    run: RunResult,
    collectors: Iterable[Collector],
    *,
    workdir: str | os.PathLike[str] | None = None,
    case: EvalCase | None = None,
    redact: Callable[[str], str] | bool | None = None,
) -> RunResult:
    """Call `collectors` on a finished run; return it with their answers in `artifacts`.

    A run that has a trace keeps them there, in `artifacts.json`, so that `load_trace` gives an equal result. `redact`
    is that of the trace; the result holds what is written.
    """
    answers = {each.name: _answer(each, run, workdir, case) for each in collectors}
    if not answers:
        return run
    hide = redaction(redact)
    artifacts = {**run.artifacts, **answers}
    run = run.replace(artifacts=hide.value(artifacts) if hide else jsonable(artifacts))
    if run.trace_dir is not None:
        _write(run.artifacts, Path(run.trace_dir))
    return run


def _answer(each: Collector, run: RunResult, workdir: str | os.PathLike[str] | None, case: EvalCase | None) -> Any:
    offered: dict[str, Any] = {
        "workdir": None if workdir is None else Path(workdir),
        "run": run,
        "case": case,
        "task": run.task if case is None else case.task,
    }
    for name, fix in (("workdir", "give the agent a parameter `workdir`"), ("case", "give collect() the case")):
        if name in each.wanted and offered[name] is None:
            raise CollectorError(f"collector {each.name!r} asks for {name!r}, and this run has none; {fix}")
    try:
        answer = each.function(**{name: offered[name] for name in each.wanted})
        return _awaited(answer) if inspect.isawaitable(answer) else answer
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # pytest.fail() and sys.exit() too: nobody above would know whose they were
        raise CollectorError(f"collector {each.name!r} failed: {type(error).__name__}: {error}") from error


def _awaited(answer: Any) -> Any:
    """On an event loop of its own: the caller may be inside one."""
    from looplet._drivers.portal import Portal  # only for async collectors

    portal = Portal()
    try:
        return portal.run(answer)
    finally:
        portal.close()


def _write(artifacts: dict[str, Any], trace: Path) -> None:
    """With the permissions of the journal. A lone surrogate becomes its JSON escape, which is read back as it was."""
    journal = trace / JOURNAL
    mode = stat.S_IMODE(journal.stat().st_mode) if journal.exists() else 0o600
    text = json.dumps(artifacts, indent=2, ensure_ascii=False) + "\n"
    write_whole(trace / ARTIFACTS, text.encode("utf-8", "backslashreplace"), mode=mode)
