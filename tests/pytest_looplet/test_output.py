"""Keeping apart what concurrent runs print and log."""

from __future__ import annotations

import contextvars
import logging
import sys
import threading
from typing import TYPE_CHECKING

from pytest_looplet.output import Output, belonging_to, separated

if TYPE_CHECKING:
    import pytest


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
