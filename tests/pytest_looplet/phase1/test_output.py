"""Keeping apart what concurrent runs print and log."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading

import pytest
from tests.support.plugin_files import SHOP, write_suite

from pytest_looplet.phase1.output import Output, belonging_to, separated


def _run(output: Output, name: str, turn: threading.Barrier) -> None:
    with belonging_to(output):
        for number in range(3):
            turn.wait(10)
            print(name, number)  # noqa: T201  # what is tested
            print(name, number, file=sys.stderr)  # noqa: T201  # what is tested
            logging.getLogger(name).warning("%s %s", name, number)


def test_threads_that_print_in_turns_each_keep_their_own(capsys: pytest.CaptureFixture[str]) -> None:
    outputs, turn = {name: Output() for name in "ab"}, threading.Barrier(2)
    before = sys.stdout, sys.stderr, list(logging.getLogger().handlers)
    with separated():
        threads = [threading.Thread(target=_run, args=(output, name, turn)) for name, output in outputs.items()]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        print("nobody's")  # noqa: T201  # what is tested
    assert (sys.stdout, sys.stderr, list(logging.getLogger().handlers)) == before
    for name, output in outputs.items():
        assert output.stdout.getvalue() == output.stderr.getvalue() == f"{name} 0\n{name} 1\n{name} 2\n"
        assert output.log.getvalue().splitlines()[0] == f"WARNING {name}: {name} 0"
    assert capsys.readouterr().out == "nobody's\n"


def test_a_thread_with_the_context_of_a_run_belongs_to_it() -> None:
    output = Output()
    with separated(), belonging_to(output):
        context = contextvars.copy_context()
        thread = threading.Thread(target=context.run, args=(print, "inner"))
        thread.start()
        thread.join()
        sys.stdout.writelines(["a", "b"])
        sys.stdout.flush()
    assert output.stdout.getvalue() == "inner\nab"


CHATTY = """
    import subprocess, sys
    from looplet import MockLLMBackend, ToolCall, composable_loop

    def agent(task, llm):
        print("printed")
        subprocess.run([sys.executable, "-c", "print('from a subprocess with sk-Zq8vLw3nRt6yUx1mKp5s')"])
        return composable_loop(llm=llm, task=task, tools=[])
"""

QUIET = """
    import pytest
    from looplet import ToolCall
    from shop import agent

    CASE = {"task": "x", "script": [ToolCall("done", {"answer": "y"})]}

    @pytest.mark.looplet(agent=agent, cases=[CASE])
    def eval_it(run):
        assert run.output == "y"
"""


@pytest.mark.parametrize("capture", ["fd", "sys"])
def test_what_a_subprocess_of_an_agent_writes_is_shown_without_secrets(pytester: pytest.Pytester, capture: str) -> None:
    """It belongs to no run that we could name. pytest's `sys` capture does not see it, so there it stays as it is."""
    write_suite(pytester, QUIET, shop=CHATTY)
    result = pytester.runpytest_subprocess(f"--capture={capture}")
    assert result.ret == 0
    secret = "[redacted]" if capture == "fd" else "sk-Zq8vLw3nRt6yUx1mKp5s"
    assert f"from a subprocess with {secret}" in result.stdout.str()
    assert "printed" not in result.stdout.str()


def test_output_that_was_asked_for_as_it_comes_is_left_alone(pytester: pytest.Pytester) -> None:
    write_suite(pytester, QUIET, shop=CHATTY)
    result = pytester.runpytest_subprocess("-s")
    assert "from a subprocess with sk-Zq8vLw3nRt6yUx1mKp5s" in result.stdout.str()


def test_progress_reaches_the_terminal_although_output_is_caught(pytester: pytest.Pytester) -> None:
    """A plugin says that the terminal is one."""
    conftest = """
        def pytest_sessionstart(session):
            reporter = session.config.pluginmanager.get_plugin("terminalreporter")
            reporter.isatty = type(reporter.isatty)(True)
    """
    write_suite(pytester, QUIET, shop=CHATTY, conftest=conftest)
    shown = pytester.runpytest_subprocess().stdout.str()
    assert 0 < shown.index("looplet: 1/1 runs") < shown.index("from a subprocess")


def test_what_agents_log_reaches_pytests_log_file(pytester: pytest.Pytester) -> None:
    """pytest opens it around the loop in which the agents run."""
    shop = SHOP.replace(
        "note(task)", "note(task)\n        import logging; logging.getLogger('shop').info('on %s', task)"
    )
    write_suite(pytester, shop=shop)
    pytester.runpytest("-k", "amount and refund-17", "--log-file=agents.log", "--log-file-level=INFO")
    assert "on Refund order 17" in (pytester.path / "agents.log").read_text()
