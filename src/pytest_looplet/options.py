"""Options, environment variables and ini keys, resolved in one place: command line > LOOPLET_* > ini > default."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pytest

from pytest_looplet import stored_session

if TYPE_CHECKING:
    from collections.abc import Callable

REPORT_SUFFIXES = (".json", ".html")
BUILT_IN_BACKENDS = ("replay", "mock", "openai", "anthropic", "ollama", "local")
_PRICES = "what models cost, a line each: MODEL INPUT OUTPUT [CACHED], per million tokens; MODEL may be a glob"
_TRUE, _FALSE = ("1", "true", "yes", "on"), ("0", "false", "no", "off", "")


class Options(NamedTuple):
    """What the session was asked to do. `asked` lists the looplet options of the command line."""

    backends: tuple[str, ...]
    model: str | None
    base_url: str | None
    record: bool
    concurrency: int | None
    run_timeout: float | None
    max_cost: float | None
    prices: tuple[str, ...]
    traces: Path | None
    reports: tuple[Path, ...]
    stale: Literal["fail", "warn"]
    threshold: float | None
    agent: str | None
    asked: tuple[str, ...]


OPTIONS = pytest.StashKey[Options]()


def add_options(parser: pytest.Parser) -> None:
    group = parser.getgroup("looplet", "looplet evals")
    add: Callable[..., None] = group.addoption
    add("--looplet-backend", metavar="NAME[,NAME]", help=f"model for evals: {', '.join(BUILT_IN_BACKENDS)} or a hook's")
    add("--looplet-model", metavar="MODEL", help="model name (default: the only one the server offers)")
    add("--looplet-base-url", metavar="URL", help="address of the server, for openai, anthropic and ollama")
    add("--looplet-record", action="store_true", default=None, help="run live and replace the cases' recordings")
    add("--looplet-concurrency", metavar="N", help="runs at once (default: 8 for remote models, else 1)")
    add("--looplet-run-timeout", metavar="SECONDS", help="give up on a run after this time")
    add("--looplet-max-cost", metavar="AMOUNT", help="start no more runs once this much is spent (see looplet_prices)")
    add("--looplet-traces", metavar="DIR", help="score the runs an earlier session left in DIR, run nothing")
    add(
        "--looplet-report",
        metavar="FILE",
        action="append",
        help="write scores and runs: x.html is a page to look at, x.json is for programs; may be given several times",
    )
    for key, text in (
        ("backend", "default of --looplet-backend (replay)"),
        ("model", "default of --looplet-model"),
        ("base_url", "default of --looplet-base-url"),
        ("concurrency", "default of --looplet-concurrency"),
        ("run_timeout", "default of --looplet-run-timeout"),
        ("max_cost", "default of --looplet-max-cost"),
        ("report", "default of --looplet-report; several files are separated by commas"),
        ("agent", "default agent of evals, 'module:function'"),
        ("threshold", "least score an eval passes with, 0 to 1"),
        ("stale", "stale recordings: 'fail' the session (default) or 'warn'"),
    ):
        parser.addini(f"looplet_{key}", text, type="string", default=None)
    parser.addini("looplet_files", "eval files besides evals/**/eval_*.py (globs, from rootdir)", "args", default=[])
    parser.addini("looplet_prices", _PRICES, type="linelist", default=[])
    parser.addini("looplet_volatile", "JSON keys and arguments that trace_snapshot leaves out", "args", default=[])
    parser.addini("looplet_functions", "names of evals (globs)", "args", default=["eval_*"])


def resolve(config: pytest.Config) -> Options:
    """Read every option once, and refuse what is not understood."""
    record = _flag(_given(config, "record"))
    options = Options(
        backends=_backends(config, _given(config, "backend")),
        model=_text(config, "model"),
        base_url=_text(config, "base_url"),
        record=record,
        concurrency=_concurrency(_given(config, "concurrency")),
        run_timeout=_positive(_given(config, "run_timeout"), "a number of seconds above 0"),
        max_cost=_positive(_given(config, "max_cost"), "an amount above 0, such as 0.50"),
        prices=tuple(config.getini("looplet_prices")),
        traces=_traces(config),
        reports=_reports(config, _given(config, "report")),
        stale=_stale(config.getini("looplet_stale")),
        threshold=_threshold(config.getini("looplet_threshold")),
        agent=config.getini("looplet_agent") or None,
        asked=tuple(
            name
            for name in ("backend", "record", "traces", "report")
            if config.getoption(f"looplet_{name}") is not None
        ),
    )
    if record:
        _check_record(options)
    return stored_session.adopt(options, options.traces) if options.traces else options


def _given(config: pytest.Config, name: str) -> tuple[str, Any]:
    """Return (where it was said, value or None); the name of the place stands in every message."""
    option = f"--looplet-{name.replace('_', '-')}"
    value = config.getoption(f"looplet_{name}")
    if value is not None:
        return option, value
    variable = f"LOOPLET_{name.upper()}"
    if variable in os.environ:
        return variable, os.environ[variable]
    if name in ("record", "traces"):  # no ini keys: one session is asked to, not each
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


def _backends(config: pytest.Config, given: tuple[str, Any]) -> tuple[str, ...]:
    where, value = given
    names = tuple(name.strip() for name in (value or "replay").split(",") if name.strip())
    if not names or len(set(names)) != len(names):
        raise pytest.UsageError(f"{where}={value!r}: give one or more different backends, separated by commas")
    for name in names:
        hooked = config.hook.pytest_looplet_make_backend.get_hookimpls()
        if name not in BUILT_IN_BACKENDS and not hooked:
            raise pytest.UsageError(unknown_backend(where, name))
    return names


def unknown_backend(where: str, name: str) -> str:
    return (
        f"{where}: unknown backend {name!r}; use one of {', '.join(BUILT_IN_BACKENDS)}, "
        "or implement the hook pytest_looplet_make_backend"
    )


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
                f"{where}={name!r}: a report is JSON or HTML; give a file name that ends in .json or .html"
            )
        if Path(name).suffix == ".html" and find_spec("jinja2") is None:
            raise pytest.UsageError(f"{where}={name!r}: HTML needs jinja2; install looplet[pytest]")
    return tuple(dict.fromkeys(Path(config.invocation_params.dir, name) for name in names if name))


def _stale(value: str | None) -> Literal["fail", "warn"]:
    if value in (None, "", "fail"):
        return "fail"
    if value == "warn":
        return "warn"
    raise pytest.UsageError(f"looplet_stale={value!r}: use 'fail' or 'warn'")


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
