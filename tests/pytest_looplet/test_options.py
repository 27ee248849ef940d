"""Options: command line > LOOPLET_* > ini > default, and usage errors for the rest."""

from __future__ import annotations

import pytest
from tests.support.plugin_files import INI, LIVE, write_suite

from pytest_looplet.choices import read_choices

SHOW = """
    import pytest
    from pytest_looplet.options import OPTIONS

    def pytest_report_header(config):
        found = config.stash[OPTIONS]
        return f"options {found.backends} {found.model} {found.concurrency} {found.run_timeout}"
"""


def _header(pytester: pytest.Pytester, *arguments: str) -> str:
    result = pytester.runpytest("--collect-only", *arguments)
    return next(line for line in result.outlines if line.startswith("options "))


def test_the_command_line_beats_the_environment_which_beats_the_ini_file(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytester.makeconftest(SHOW)
    assert _header(pytester) == "options ('replay',) None None None"
    pytester.makeini(INI + "looplet_backend = mock\nlooplet_model = a\nlooplet_concurrency = 2\n")
    assert _header(pytester) == "options ('mock',) a 2 None"
    monkeypatch.setenv("LOOPLET_MODEL", "b")
    monkeypatch.setenv("LOOPLET_RUN_TIMEOUT", "1.5")
    assert _header(pytester) == "options ('mock',) b 2 1.5"
    assert _header(pytester, "--looplet-model=c", "--looplet-backend=mock,ollama", "--looplet-concurrency=4") == (
        "options ('mock', 'ollama') c 4 1.5"
    )


@pytest.mark.parametrize(
    ("argument", "said"),
    [
        ("--looplet-backend=olama", "--looplet-backend: unknown backend 'olama'; use one of replay, mock, openai"),
        ("--looplet-backend=,", "--looplet-backend=',': give one or more different backends"),
        ("--looplet-backend=mock,mock", "give one or more different backends, separated by commas"),
        ("--looplet-concurrency=0", "--looplet-concurrency='0': use a whole number of at least 1"),
        ("--looplet-concurrency=many", "use a whole number of at least 1"),
        ("--looplet-trials=0", "--looplet-trials='0': use a whole number from 1 to 1000"),
        ("--looplet-trials=-1", "--looplet-trials='-1': use a whole number from 1 to 1000"),
        ("--looplet-trials=1001", "use a whole number from 1 to 1000"),
        ("--looplet-trials=2.5", "use a whole number from 1 to 1000"),
        ("-o looplet_trials=0", "looplet_trials=0: use a whole number from 1 to 1000"),
        ("-o looplet_trials=many", "looplet_trials"),
        ("-o looplet_margin=-0.1", "looplet_margin=-0.1: use a number from 0 to 1"),
        ("-o looplet_margin=nan", "looplet_margin=nan: use a number from 0 to 1"),
        ("-o looplet_margin=wide", "looplet_margin"),
        ("-o looplet_judge_ahead=maybe", "looplet_judge_ahead: invalid truth value 'maybe'"),
        ("-o looplet_undecided=maybe", "looplet_undecided='maybe': use 'fail' or 'warn'"),
        ("--looplet-backend=replay:x", "replay asks no model; write 'replay' and not 'replay:x'"),
        ("--looplet-backend=ollama:", "'ollama:' is not NAME:MODEL, such as ollama:qwen3:4b"),
        ("--looplet-backend=ollama:a,ollama:a", "give one or more different backends"),
        ("--looplet-run-timeout=soon", "--looplet-run-timeout='soon': use a number of seconds above 0"),
        ("--looplet-run-timeout=-1", "use a number of seconds above 0"),
        ("--looplet-report=out.txt", "--looplet-report='out.txt': a report is JSON, HTML or Markdown"),
        ("-o looplet_report=a.json,b.pdf", "looplet_report='b.pdf': a report is JSON, HTML or Markdown; give a file"),
        ("--looplet-record", "--looplet-record needs a live model and the backend is 'replay'"),
        ("--looplet-record --looplet-backend=mock", "--looplet-record needs a live model and the backend is 'mock'"),
        ("--looplet-record --looplet-backend=ollama,openai", "--looplet-record takes one backend, not ollama, openai"),
        ("-o looplet_stale=maybe", "looplet_stale='maybe': use 'fail' or 'warn'"),
        ("-o looplet_threshold=2", "looplet_threshold='2': use a number from 0 to 1"),
        ("-o looplet_backend=nope", "looplet_backend: unknown backend 'nope'"),
    ],
)
def test_a_value_that_is_not_understood_is_a_usage_error(pytester: pytest.Pytester, argument: str, said: str) -> None:
    result = pytester.runpytest(*argument.split())
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert said in result.stderr.str()


def test_a_wrong_environment_value_is_named_by_its_variable(
    pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOOPLET_RECORD", "perhaps")
    result = pytester.runpytest()
    assert "LOOPLET_RECORD='perhaps': use 1 or 0" in result.stderr.str()


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_name_no_hook_knows_is_a_usage_error_before_any_run(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    write_suite(pytester, conftest=LIVE)
    result = pytester.runpytest_subprocess("--looplet-backend=liv", *workers)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    assert "--looplet-backend: unknown backend 'liv'" in result.stderr.str()
    assert not (pytester.path / "executions.log").exists()


@pytest.mark.parametrize(
    ("value", "choices"),
    [
        ("ollama", [("ollama", "ollama", "default")]),
        ("ollama:qwen3:4b", [("ollama", "ollama", "qwen3:4b")]),
        (
            "ollama:qwen3:4b,ollama:Llama 3",
            [("ollama-qwen3-4b", "ollama", "qwen3:4b"), ("ollama-llama-3", "ollama", "Llama 3")],
        ),
        ("mock,openai:gpt", [("mock", "mock", None), ("openai", "openai", "gpt")]),
        ("openai,openai:b", [("openai-default", "openai", "default"), ("openai-b", "openai", "b")]),
    ],
)
def test_backends_may_name_their_models(value: str, choices: list[tuple[str, str, str | None]]) -> None:
    assert list(map(tuple, read_choices(value, "here", "default", any_name=False))) == choices


def test_typed_keys_are_numbers_in_toml(pytester: pytest.Pytester) -> None:
    (pytester.path / "tox.ini").unlink()
    pytester.makepyprojecttoml(
        "[tool.pytest]\nasyncio_default_fixture_loop_scope = 'function'\nlooplet_trials = 3\nlooplet_margin = 0.1\n"
    )
    pytester.makeconftest(SHOW.replace("{found.run_timeout}", "{found.default_trials} {found.margin} {found.trials}"))
    assert _header(pytester).endswith(" 3 0.1 None")
