"""Suites with trace snapshots, for the tests of `trace_snapshot` and of the guard over syrupy's clean-up."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.support.plugin_files import LIVE, SHOP, write_suite

if TYPE_CHECKING:
    from pathlib import Path

WORKERS = pytest.mark.parametrize("workers", [(), ("-n", "2")], ids=["plain", "n2"])

# What BREAK names happens in the eval of refund-18, before it compares.
EVALS = """
    import os
    import pytest
    from shop import agent, script

    CASES = [
        {"id": f"refund-{order}", "task": f"Refund order {order}", "script": script(order)}
        for order in (17, 18, 19)
    ]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    def eval_trace(run, case, trace_snapshot):
        broken = os.environ.get("BREAK") if case.id == "refund-18" else None
        if broken == "raise":
            raise ValueError("before comparing")
        if broken == "skip":
            pytest.skip("before comparing")
        if broken == "return":
            return True
        if broken == "exit":
            os._exit(3)
        if broken == "interrupt":
            raise KeyboardInterrupt
        assert run == trace_snapshot
"""

# As a file of its own that is not imported, or not selected.
OTHER_EVALS = """
    import os
    import pytest
    from shop import agent, script

    if os.environ.get("BREAK") == "import":
        raise ImportError("not today")
    if os.environ.get("BREAK") == "skip file":
        pytest.skip("not today", allow_module_level=True)

    CASES = [{"id": "refund-20", "task": "Refund order 20", "script": script(20)}]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    @pytest.mark.slow
    def eval_other(run, trace_snapshot):
        assert run == trace_snapshot
"""

_INI = "markers = slow\n"
_WITHOUT_GUARD = """
    import os

    @pytest.hookimpl(trylast=True)
    def pytest_configure(config):
        if os.environ.get("NO_GUARD"):
            config.pluginmanager.unregister(config.pluginmanager.get_plugin("looplet-snapshots"))
"""


def snapshot_suite(pytester: pytest.Pytester, evals: str = EVALS, *, shop: str = SHOP, ini: str = "") -> None:
    """Write the suite. Where NO_GUARD is set, syrupy cleans up as it would by itself."""
    write_suite(pytester, evals, shop=shop, conftest=LIVE + _WITHOUT_GUARD, ini=_INI + ini)
    pytester.makepyfile(**{"evals/eval_other": OTHER_EVALS})


def session(pytester: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """In this process, but with workers in one of its own: a session with workers leaves threads behind."""
    run = pytester.runpytest_subprocess if "-n" in arguments else pytester.runpytest
    return run(*arguments)


def traces(pytester: pytest.Pytester) -> dict[str, str]:
    """The snapshots by `<eval file>/<name>`."""
    folder: Path = pytester.path / "evals/__snapshots__"
    return {path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8") for path in folder.rglob("*.trace")}
