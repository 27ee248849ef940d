"""Who answers the fixtures `judge` and `llm` of an eval: a live model, which is recorded, or a recording of one."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import pytest

from looplet.backends.adapter import adapt
from looplet.errors import LoopletError
from looplet.evals.judge import Judge
from looplet.evals.judge_cache import CachedModel, VerdictCache
from looplet.evals.script import scripted
from looplet.trace.redact import Redaction, Redactor
from pytest_looplet.backends import choice_of, connected, connected_judge, is_named_live
from pytest_looplet.cells import cell_of
from pytest_looplet.golden.recordings import replace_recording
from pytest_looplet.judges.eval_calls import Calls
from pytest_looplet.judges.taps import JournalTap, tapped
from pytest_looplet.options import OPTIONS
from pytest_looplet.phase1.costs import check_prices, is_spent, note_spent, price_table, provider_of
from pytest_looplet.phase1.pool import cost_reached
from pytest_looplet.uses import uses

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from looplet.errors import BackendError
    from looplet.events import RunStarted
    from looplet.messages import Prompt, Reply
    from looplet.protocols import Model
    from pytest_looplet.backends import Backend
    from pytest_looplet.cells import Cell
    from pytest_looplet.choices import Choice
    from pytest_looplet.options import Options

_JUDGE = pytest.StashKey[Judge]()
_LIVE = pytest.StashKey["LiveJudge"]()


def judge_choice(options: Options, backend: str) -> Choice | None:
    """The live judge of runs with `backend`; None where verdicts are recorded ones.

    Offline sessions stay offline: only a judge that was named for this very session is asked then.
    """
    if options.judge is not None and options.is_judge_said:
        return options.judge if is_named_live(options.judge.name) else None
    if options.traces is not None or not is_named_live(choice_of(backend, options).name):
        return None
    if options.judge is not None:
        return options.judge if is_named_live(options.judge.name) else None
    # one judge for all, where several models are compared
    return next(choice for choice in options.choices if is_named_live(choice.name))


def prepare(items: Iterable[pytest.Item], config: pytest.Config) -> None:
    """Connect the judge before anything is paid. One that cannot be used is a UsageError."""
    for item in items:
        cell = cell_of(item)
        if cell is not None and uses(item, "judge") and (choice := judge_choice(config.stash[OPTIONS], cell.backend)):
            check_prices(config, [live_judge(choice, config).backend])
            return


class LiveJudge:
    """The judge's model in this process, with the verdicts of this and earlier sessions."""

    def __init__(self, backend: Backend, config: pytest.Config) -> None:
        self.backend = backend
        self._model = _Steady(tapped(adapt(backend.llm), _Price(backend, config)))
        self._cache = VerdictCache(config.rootpath / ".looplet" / "judge")

    def model(self, *, ahead: bool = False) -> CachedModel:
        """For one eval: repeated questions are counted from the first."""
        url = "" if self.backend.name == "local" else self.backend.base_url or ""  # a local server has another port
        return CachedModel(self._model, self._cache, server=f"{self.backend.name} {url}", ahead=ahead)


def live_judge(choice: Choice, config: pytest.Config) -> LiveJudge:
    if _LIVE not in config.stash:  # one a session: see judge_choice
        config.stash[_LIVE] = LiveJudge(connected_judge(choice, config), config)
    return config.stash[_LIVE]


@contextmanager
def judge_for(item: pytest.Function, cell: Cell) -> Iterator[Judge]:
    calls = Calls("judge", item, cell)
    choice = judge_choice(item.config.stash[OPTIONS], cell.backend)
    model: Any = live_judge(choice, item.config).model() if choice else calls.played()
    redactor = _OfRun(calls)
    tap = _journal_tap(calls, model, redactor)
    judge = item.stash[_JUDGE] = Judge(tapped(model, tap), redact=redactor)
    yield judge
    tap.close()
    if not judge.failures:
        _record(calls, tap)


@contextmanager
def llm_for(item: pytest.Function, cell: Cell) -> Iterator[Any]:
    """The selected model, for calls an eval makes itself."""
    calls, config = Calls("llm", item, cell), item.config
    backend = None if config.stash[OPTIONS].traces is not None else connected(cell.backend, config)
    if backend is not None and backend.live:
        model: Any = tapped(adapt(backend.llm), _Price(backend, config))
    elif cell.case.script is not None and (cell.backend == "mock" or not calls.are_there):
        yield scripted(cell.case.script)
        return
    else:
        model = calls.played()
    tap = _journal_tap(calls, model, _OfRun(calls), upstream=Redaction(Redactor()))
    yield tapped(model, tap)
    tap.close()
    _record(calls, tap)


def judge_entry(item: pytest.Item) -> dict[str, Any] | None:
    """What the report tells of the judge: None for an eval that asked none."""
    judge = item.stash.get(_JUDGE, None)
    if judge is None or not judge.calls:
        return None
    return {"model": judge.model, "usage": judge.usage.to_dict()}


def _journal_tap(calls: Calls, model: Model, redactor: Redactor, upstream: Redaction | None = None) -> JournalTap:
    def header() -> RunStarted:
        return calls.header.replace(model=model.name, capabilities=model.capabilities)

    options = calls.item.config.stash[OPTIONS]
    folder = None if options.traces is not None else calls.kept  # what is read is not written
    return JournalTap(folder, header, Redaction(redactor), upstream=upstream, strict=options.record)


def _record(calls: Calls, tap: JournalTap) -> None:
    """Keep what was asked in a recording session, unless it came to nothing."""
    if calls.item.config.stash[OPTIONS].record and tap.folder is not None and tap.calls and not tap.failed_last:
        replace_recording(calls.recording, tap.folder)


class _OfRun(Redactor):
    """The redactor of the run, whose work directory is known once the run was made."""

    def __init__(self, calls: Calls) -> None:
        super().__init__()
        self._calls = calls
        self._made: Redactor | None = None

    def __call__(self, text: str) -> str:
        if self._made is None:
            self._made = self._calls.redactor
        return self._made(text)


class _Price:
    """Puts a price on each reply, counts it towards --looplet-max-cost, and asks nothing once that is reached."""

    def __init__(self, backend: Backend, config: pytest.Config) -> None:
        self._backend, self._config = backend, config

    def sent(self, prompt: Prompt) -> Prompt:
        limit = self._config.stash[OPTIONS].max_cost
        if limit is not None and is_spent(self._config):
            raise LoopletError(f"not asked: {cost_reached(limit)}")
        return prompt

    def took(self, prompt: Prompt, reply: Reply, duration_ms: float) -> Reply:  # noqa: ARG002  # the form of a tap
        usage = reply.usage
        if usage is not None and usage.cost is None:
            table, provider = price_table(self._config), provider_of(self._backend)
            usage = usage.replace(cost=table.cost(reply.model or self._backend.model, usage, provider=provider))
            reply = reply.replace(usage=usage)
        if usage is not None:
            note_spent(self._config, usage.cost)
        return reply

    def failed(self, prompt: Prompt, error: BackendError) -> None:
        """Nothing is paid for what failed."""


class _Steady:
    """A model whose capabilities stay what they were first: what it learns of its server changes no request."""

    def __init__(self, llm: Model) -> None:
        self._llm = llm
        self.name = llm.name
        self.capabilities = llm.capabilities

    def chat(self, prompt: Prompt) -> Reply:
        return self._llm.chat(prompt)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._llm, attribute)
