"""Options, environment variables and ini keys, resolved in one place: command line > LOOPLET_* > ini > default."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from pytest_looplet.choices import BUILT_IN_BACKENDS, Choice, read_choices

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_SUFFIXES = (".json", ".html", ".md")
MAX_TRIALS = 1000
_BACKEND = f"model for evals: {', '.join(BUILT_IN_BACKENDS)} or a hook's; several are compared"
_PRICES = "what models cost, a line each: MODEL INPUT OUTPUT [CACHED], per million tokens; MODEL may be a glob"
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class Options(NamedTuple):
    """What the session was asked to do. `asked` lists the looplet options of the command line.

    `backends` are the labels of the `choices`. `trials` overrides marks and cases, `default_trials` does not.
    `is_judge_said`: the judge was named for this session, and not only in the ini file.
    """

    backends: tuple[str, ...]
    choices: tuple[Choice, ...]
    judge: Choice | None
    is_judge_said: bool
    judge_ahead: bool
    model: str | None
    base_url: str | None
    record: bool
    concurrency: int | None
    run_timeout: float | None
    max_cost: float | None
    prices: tuple[str, ...]
    traces: Path | None
    trials: int | None
    default_trials: int
    undecided: Literal["fail", "warn"]
    baseline: Path | None
    margin: float
    reports: tuple[Path, ...]
    stale: Literal["fail", "warn"]
    threshold: float | None
    agent: str | None
    asked: tuple[str, ...]

    @property
    def is_busy(self) -> bool:
        """Say whether there is something to do or to refuse in a session that may have no evals."""
        return bool(self.asked or self.reports or self.baseline)


OPTIONS = pytest.StashKey[Options]()


def is_worker(config: pytest.Config) -> bool:
    """Say whether this process is a worker of xdist."""
    return hasattr(config, "workerinput")


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("looplet", "looplet evals")
    add: Callable[..., None] = group.addoption
    add("--looplet-backend", metavar="NAME[:MODEL][,...]", help=_BACKEND)
    add("--looplet-model", metavar="MODEL", help="model name (default: the only one the server offers)")
    add("--looplet-base-url", metavar="URL", help="address of the server, for openai, anthropic and ollama")
    add("--looplet-judge", metavar="NAME[:MODEL]", help="model behind the fixture `judge` (default: the evals' own)")
    add("--looplet-record", action="store_true", default=None, help="run live and replace the cases' recordings")
    add("--looplet-concurrency", metavar="N", help="runs at once (default: 8 for remote models, else 1)")
    add("--looplet-run-timeout", metavar="SECONDS", help="give up on a run after this time")
    add("--looplet-trials", metavar="N", help="run every case N times, whatever marks and cases say")
    add("--looplet-baseline", metavar="FILE", help="compare with the JSON report of an earlier session; drops fail")
    add("--looplet-max-cost", metavar="AMOUNT", help="start no more runs once this much is spent (see looplet_prices)")
    add("--looplet-traces", metavar="DIR", help="score the runs an earlier session left in DIR, run nothing")
    add(
        "--looplet-report",
        metavar="FILE",
        action="append",
        help="write scores and runs: x.html to look at, x.md for pull requests, x.json for programs; may be repeated",
    )
    for key, text in (
        ("backend", "default of --looplet-backend (replay)"),
        ("model", "default of --looplet-model"),
        ("base_url", "default of --looplet-base-url"),
        ("judge", "default of --looplet-judge, in sessions with a live model"),
        ("concurrency", "default of --looplet-concurrency"),
        ("run_timeout", "default of --looplet-run-timeout"),
        ("max_cost", "default of --looplet-max-cost"),
        ("report", "default of --looplet-report; several files are separated by commas"),
        ("agent", "default agent of evals, 'module:function'"),
        ("threshold", "least score an eval passes with, 0 to 1"),
        ("baseline", "default of --looplet-baseline"),
        ("undecided", "gates that trials can neither confirm nor refute: 'fail' the session (default) or 'warn'"),
        ("stale", "stale recordings: 'fail' the session (default) or 'warn'"),
    ):
        parser.addini(f"looplet_{key}", text, type="string", default=None)
    parser.addini("looplet_files", "eval files besides evals/**/eval_*.py (globs, from rootdir)", "args", default=[])
    parser.addini("looplet_prices", _PRICES, type="linelist", default=[])
    parser.addini("looplet_volatile", "JSON keys and arguments that trace_snapshot leaves out", "args", default=[])
    parser.addini("looplet_judge_ahead", "ask the judges of many evals at once, before the evals", "bool", default=True)
    parser.addini("looplet_trials", "how often a case is run where its mark and itself say nothing", "int", default=1)
    parser.addini("looplet_margin", "drops up to this size are no regression (0.05)", "float", default=0.05)
    parser.addini("looplet_functions", "names of evals (globs)", "args", default=["eval_*"])


def resolve(config: pytest.Config) -> Options:
    """Read every option once, and refuse what is not understood."""
    record = _flag(_given(config, "record"))
    choices = _choices(config)
    options = Options(
        backends=tuple(choice.label for choice in choices),
        choices=choices,
        judge=_judge(config),
        is_judge_said=_said(config, "judge") is not None,
        judge_ahead=_typed(config, "judge_ahead"),
        model=_text(config, "model"),
        base_url=_text(config, "base_url"),
        record=record,
        concurrency=_concurrency(_given(config, "concurrency")),
        run_timeout=_positive(_given(config, "run_timeout"), "a number of seconds above 0"),
        max_cost=_positive(_given(config, "max_cost"), "an amount above 0, such as 0.50"),
        prices=tuple(config.getini("looplet_prices")),
        traces=_traces(config),
        trials=_trials(*_given(config, "trials")),
        default_trials=_trials("looplet_trials", _typed(config, "trials")) or 1,
        undecided=_fail_or_warn(config, "undecided"),
        baseline=_file(config, "baseline"),
        margin=_margin(_typed(config, "margin")),
        reports=_reports(config, _given(config, "report")),
        stale=_fail_or_warn(config, "stale"),
        threshold=_threshold(config.getini("looplet_threshold")),
        agent=config.getini("looplet_agent") or None,
        asked=tuple(
            name
            for name in ("backend", "judge", "record", "traces", "trials", "baseline", "report")
            if config.getoption(f"looplet_{name}") is not None
        ),
    )
    if record:
        _check_record(options)
    if options.traces is None:
        return options
    from pytest_looplet.phase1.stored_session import adopt  # only where stored runs are scored

    return adopt(options, options.traces)


def _given(config: pytest.Config, name: str) -> tuple[str, Any]:
    """Return (where it was said, value or None); the name of the place stands in every message."""
    option = f"--looplet-{name.replace('_', '-')}"
    value = config.getoption(f"looplet_{name}")
    if value is not None:
        return option, value
    variable = f"LOOPLET_{name.upper()}"
    if variable in os.environ:
        return variable, os.environ[variable]
    if name in ("record", "traces", "trials"):  # one session is asked to, not each; looplet_trials is another thing
        return option, None
    return f"looplet_{name}", config.getini(f"looplet_{name}") or None


def _said(config: pytest.Config, name: str) -> str | None:
    """Where this was said for this session: the option or the variable, None when at most the ini file says it."""
    where, value = _given(config, name)
    return where if value is not None and not where.startswith("looplet_") else None


def _traces(config: pytest.Config) -> Path | None:
    where, value = _given(config, "traces")
    if not value:
        return None
    for other in ("record", "backend"):
        if said := _said(config, other):
            raise pytest.UsageError(f"{where} scores stored runs and runs nothing; leave out {said}")
    folder = Path(config.invocation_params.dir, value)
    if not folder.is_dir():
        raise pytest.UsageError(
            f"{where}={value!r}: no such directory; an evals session leaves its runs in .looplet/runs"
        )
    return folder


def _text(config: pytest.Config, name: str) -> str | None:
    return _given(config, name)[1] or None


def _choices(config: pytest.Config) -> tuple[Choice, ...]:
    where, value = _given(config, "backend")
    hooked = bool(config.hook.pytest_looplet_make_backend.get_hookimpls())
    return read_choices(value or "replay", where, _text(config, "model"), any_name=hooked)


def _judge(config: pytest.Config) -> Choice | None:
    where, value = _given(config, "judge")
    if not value:
        return None
    hooked = bool(config.hook.pytest_looplet_make_backend.get_hookimpls())
    choices = read_choices(value, where, None, any_name=hooked)
    if len(choices) > 1 or choices[0].name == "mock":
        raise pytest.UsageError(
            f"{where}={value!r}: name one live model, or 'replay' for recorded verdicts; "
            "for a scripted judge write a fixture `judge` of your own"
        )
    return choices[0]


def _flag(given: tuple[str, Any]) -> bool:
    where, value = given
    if value in (None, True, False):
        return bool(value)
    if value.lower() not in _TRUE + _FALSE:
        raise pytest.UsageError(f"{where}={value!r}: use 1 or 0")
    return value.lower() in _TRUE


def _concurrency(given: tuple[str, Any]) -> int | None:
    where, value = given
    if value is None:
        return None
    if not value.isdecimal() or int(value) < 1:
        raise pytest.UsageError(f"{where}={value!r}: use a whole number of at least 1")
    return int(value)


def _positive(given: tuple[str, Any], use: str) -> float | None:
    where, value = given
    if value is None:
        return None
    number = _number(value)
    if number is None or not 0 < number < float("inf"):
        raise pytest.UsageError(f"{where}={value!r}: use {use}")
    return number


def _reports(config: pytest.Config, given: tuple[str, Any]) -> tuple[Path, ...]:
    where, value = given
    names = value if isinstance(value, list) else [name.strip() for name in (value or "").split(",")]
    for name in filter(None, names):
        if Path(name).suffix not in REPORT_SUFFIXES:
            raise pytest.UsageError(
                f"{where}={name!r}: a report is JSON, HTML or Markdown; "
                "give a file name that ends in .json, .html or .md"
            )
        if Path(name).suffix == ".html" and find_spec("jinja2") is None:
            raise pytest.UsageError(f"{where}={name!r}: HTML needs jinja2; install looplet[pytest]")
    return tuple(dict.fromkeys(Path(config.invocation_params.dir, name) for name in names if name))


def _fail_or_warn(config: pytest.Config, name: str) -> Literal["fail", "warn"]:
    value = config.getini(f"looplet_{name}")
    if value in (None, "", "fail"):
        return "fail"
    if value == "warn":
        return "warn"
    raise pytest.UsageError(f"looplet_{name}={value!r}: use 'fail' or 'warn'")


def _trials(where: str, value: Any) -> int | None:
    if value is None:
        return None
    if not str(value).isdecimal() or not 1 <= int(value) <= MAX_TRIALS:
        raise pytest.UsageError(f"{where}={value!r}: use a whole number from 1 to {MAX_TRIALS}")
    return int(value)


def _typed(config: pytest.Config, name: str) -> Any:
    """The value of a key with a type. A value that is not of it is an internal error in some versions of pytest."""
    try:
        return config.getini(f"looplet_{name}")
    except (TypeError, ValueError, pytest.UsageError) as error:
        raise pytest.UsageError(f"looplet_{name}: {error}") from None


def _margin(value: float) -> float:
    if not 0 <= value < 1:
        raise pytest.UsageError(f"looplet_margin={value!r}: use a number from 0 to 1, such as 0.05")
    return value


def _file(config: pytest.Config, name: str) -> Path | None:
    value = _text(config, name)
    return Path(config.invocation_params.dir, value) if value else None


def _threshold(value: str | None) -> float | None:
    number = _number(value) if value else None
    if value and (number is None or not 0 <= number <= 1):
        raise pytest.UsageError(f"looplet_threshold={value!r}: use a number from 0 to 1")
    return number


def _number(value: str) -> float | None:
    try:
        return float(value)
    except ValueError:
        return None


def _check_record(options: Options) -> None:
    if len(options.backends) > 1:
        raise pytest.UsageError(f"--looplet-record takes one backend, not {', '.join(options.backends)}")
    if options.backends[0] in ("replay", "mock"):
        raise pytest.UsageError(
            f"--looplet-record needs a live model and the backend is {options.backends[0]!r}; "
            "add for example --looplet-backend=ollama"
        )
