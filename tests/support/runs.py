"""Agents and conftest files for tests of phase 1."""

from __future__ import annotations

# the reporter believes that it writes to a terminal
ON_A_TERMINAL = """
    def pytest_sessionstart(session):
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        reporter.isatty = type(reporter.isatty)(True)
"""

# as soon as the run of refund-17 has ended, the session gets the signal {name}
INTERRUPTED = """
    import os, signal
    import pytest

    def pytest_configure(config):
        global main_process
        main_process = os.getppid() if hasattr(config, "workerinput") else os.getpid()

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_run_finished(case, result, error):
        if case.id == "refund-17":
            os.kill(main_process, signal.{name})
"""

# every run but the first never comes back
BLOCKED = """
    import asyncio, threading
    free = agent

    def block():
        threading.Event().wait()

    def agent(task, llm):
        note(task)
        if not task.endswith("17"):
            {block}
        return free(task, llm)

    async def agent_in_thread(task, llm):
        note(task)
        if not task.endswith("17"):
            await asyncio.to_thread(block)
        return free(task, llm)
"""
