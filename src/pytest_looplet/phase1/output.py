"""What each run prints and logs, kept apart while many run at once in one process."""

from __future__ import annotations

import io
import logging
import os
import sys
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, TextIO

from pytest_looplet.reporting.known_secrets import Secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import pytest


class Output:
    """The streams of one run."""

    def __init__(self) -> None:
        self.stdout = io.StringIO()
        self.stderr = io.StringIO()
        self.log = io.StringIO()


_current: ContextVar[Output | None] = ContextVar("pytest_looplet_output", default=None)


@contextmanager
def belonging_to(output: Output) -> Iterator[None]:
    """Attribute what this context prints and logs to `output`."""
    token = _current.set(output)
    try:
        yield
    finally:
        _current.reset(token)


class _Router:
    """Stands in for sys.stdout: text goes to the run of the writing context, else to the real stream.

    Threads an agent starts without copying its context, and subprocesses, have no run: they reach the real stream.
    """

    def __init__(self, real: TextIO, name: str) -> None:
        self._real = real
        self._name = name

    def write(self, text: str) -> int:
        output = _current.get()
        stream: TextIO = getattr(output, self._name) if output else self._real
        return stream.write(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, attribute: str) -> Any:
        return getattr(self._real, attribute)


class _LogHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if output := _current.get():
            output.log.write(self.format(record) + "\n")


@contextmanager
def separated() -> Iterator[None]:
    """Route stdout, stderr and logging by run while the block lasts."""
    handler = _LogHandler()
    handler.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
    real_out, real_err = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = _Router(real_out, "stdout"), _Router(real_err, "stderr")
    logging.getLogger().addHandler(handler)
    try:
        yield
    finally:
        logging.getLogger().removeHandler(handler)
        sys.stdout, sys.stderr = real_out, real_err


@contextmanager
def unattributed(config: pytest.Config) -> Iterator[None]:
    """Catch what agents' threads and subprocesses write while no test runs, and write it without secrets.

    pytest captures while tests run only. Where it was told to show output as it comes (-s), it does.
    """
    capture = config.pluginmanager.getplugin("capturemanager")
    if capture is None or config.option.capture not in ("fd", "sys"):
        yield
        return
    with _terminal_apart(config):
        capture.resume_global_capture()
        try:
            yield
        finally:
            capture.suspend_global_capture()
    secrets = Secrets()
    for stream, text in zip((sys.stdout, sys.stderr), capture.read_global_capture(), strict=True):
        stream.write(secrets(text))


@contextmanager
def _terminal_apart(config: pytest.Config) -> Iterator[None]:
    """Give what pytest draws a way to the terminal beside descriptor 1, which is about to be caught. To let go of that
    for each line would let through what subprocesses write in the meantime, secrets too.
    """
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    inside = vars(reporter._tw) if reporter is not None else {}  # noqa: SLF001  # its file has no public name
    file: Any = inside.get("_file")
    try:
        is_caught = file is not None and file.fileno() == 1
    except (OSError, ValueError):  # a file that is none, as in tests of plugins
        is_caught = False
    if not is_caught:
        yield
        return
    file.flush()
    with open(os.dup(1), "w", encoding=file.encoding, errors=file.errors, buffering=1) as apart:  # noqa: PTH123  # a descriptor
        inside["_file"] = apart
        try:
            yield
        finally:
            inside["_file"] = file


def shown(write: Callable[[], None]) -> None:
    """Let `write` reach the terminal from within `unattributed`."""
    write()
