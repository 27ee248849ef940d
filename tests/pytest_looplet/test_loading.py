"""What the plugin costs and adds where there are no evals."""

from __future__ import annotations

import pytest
from tests.support.plugin_files import EVALS, write_suite


def test_a_suite_without_evals_loads_neither_looplet_nor_any_sdk(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(
        test_plain="""
        import sys

        def test_nothing_was_loaded():
            mine = ("looplet", "openai", "anthropic", "syrupy", "xdist", "asyncio")
            loaded = [name for name in mine if name in sys.modules]
            assert "pytest_looplet.plugin" in sys.modules
            assert loaded == []
            assert "pytest_looplet.controller" not in sys.modules
        """
    )
    others = ("syrupy", "xdist", "xdist.looponfail", "asyncio", "hypothesispytest", "anyio")
    flags = [flag for name in others for flag in ("-p", f"no:{name}")]
    result = pytester.runpytest_subprocess(*flags)
    result.assert_outcomes(passed=1)


def test_modules_of_others_are_neither_looked_up_twice_nor_rewritten(pytester: pytest.Pytester) -> None:
    """As lines of ours in python_files would do, with folders in them or without."""
    write_suite(pytester)
    pytester.makepyfile(
        **{
            "lib/eval_frame": "value = 1",
            "test_plain": """
            from lib import eval_frame

            def test_plain(pytestconfig):
                assert type(eval_frame.__loader__).__name__ == "SourceFileLoader"
                assert pytestconfig.getini("python_files") == ["test_*.py", "*_test.py"]
            """,
        }
    )
    pytester.runpytest("-k", "plain").assert_outcomes(passed=1, deselected=6)


def test_a_suite_without_evals_loads_nothing_up_to_its_last_line(pytester: pytest.Pytester) -> None:
    """The summary is the last place where something could be loaded for nothing."""
    pytester.makepyfile(test_plain="def test_plain(): pass")
    pytester.makeconftest(
        """
        import atexit, sys
        atexit.register(lambda: print("loaded:", sorted(name for name in ("looplet", "openai") if name in sys.modules)))
        """
    )
    assert "loaded: []" in pytester.runpytest_subprocess().stdout.str()


@pytest.mark.usefixtures("every_plugin")
def test_a_suite_without_evals_prints_nothing_of_ours(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_plain="def test_plain(): pass")
    result = pytester.runpytest("-p", "no:cacheprovider")
    result.assert_outcomes(passed=1)
    assert not [line for line in result.outlines if "looplet:" in line or " evals " in line]
    assert not (pytester.path / ".looplet").exists()


def test_without_the_plugin_evals_and_fixtures_are_gone(pytester: pytest.Pytester) -> None:
    write_suite(pytester)
    result = pytester.runpytest("-p", "no:looplet", "evals")
    assert result.ret == 5  # nothing collected


def test_evals_run_without_xdist_and_syrupy_with_warnings_as_errors_and_strict(pytester: pytest.Pytester) -> None:
    write_suite(pytester, ini="strict = true\n")
    result = pytester.runpytest_subprocess(
        "-p", "no:syrupy", "-p", "no:xdist", "-p", "no:xdist.looponfail", "-W", "error"
    )
    result.assert_outcomes(passed=6)


def test_the_mark_is_registered_and_described(pytester: pytest.Pytester) -> None:
    result = pytester.runpytest("--markers")
    result.stdout.fnmatch_lines(["@pytest.mark.looplet(agent=None, cases=None, trials=None, *gate=None): *"])


def test_what_reports_is_not_loaded_where_nothing_is_reported(pytester: pytest.Pytester) -> None:
    evals = (
        EVALS
        + """
    def eval_loaded(run):
        import sys
        return "pytest_looplet.controller" not in sys.modules
    """
    )
    write_suite(pytester, evals)
    pytester.runpytest_subprocess("-k", "loaded", "-n", "1").assert_outcomes(passed=3)
    pytester.runpytest_subprocess("-k", "loaded").assert_outcomes(failed=3, deselected=6)
