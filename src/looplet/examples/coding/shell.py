"""`run_bash`: one command in a process group of its own, with a deadline and an end to its output."""

from __future__ import annotations

import os
import re
import selectors
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S = 60.0
_MOST_BYTES = 200_000
_CHUNK_BYTES = 1 << 16

RUNNABLE = ("python -m unittest", "python3 -m unittest", "ls", "cat", "head", "tail", "wc", "pwd")
_PLAIN = re.compile(r"[\w@%+=:,./-]+")  # nothing in it means anything to a shell


class Output(NamedTuple):
    """What a command printed, and its exit status; None when it was killed for taking or printing too much."""

    status: int | None
    text: str

    def __str__(self) -> str:
        ended = f"exit status {self.status}" if self.status is not None else "killed: it took or printed too much"
        return f"{ended}\n{self.text}"


def is_runnable(command: object) -> bool:
    """Say whether `command` is one of RUNNABLE with plain words after it: one command, and paths in the workspace.

    A list of globs would not do: `python -m unittest*` also matches `python -m unittest; rm -rf ~`.
    """
    if not isinstance(command, str):
        return False
    words = command.split(" ")
    allowed = any(words[: len(start.split())] == start.split() for start in RUNNABLE)
    return allowed and all(_PLAIN.fullmatch(word) and _stays_inside(word) for word in words)


def _stays_inside(word: str) -> bool:
    outside = word.startswith("/") or ".." in word or (word.startswith("-") and "/" in word)
    return not outside


def run_bash(command: str, folder: Path, timeout_s: float = TIMEOUT_S) -> Output:
    """Run `command` in `folder`. When it returns, so far as they stayed in their group, its processes are gone."""
    # `python` is this very interpreter, also where there is none of that name
    python = f'python() {{ {shlex.quote(sys.executable)} "$@"; }}; python3() {{ python "$@"; }}\n'
    process = subprocess.Popen(  # noqa: S603  # the model's command: PermissionHook has let it through
        ["bash", "-c", python + command],  # noqa: S607  # wherever bash is
        cwd=folder,
        env=_environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        start_new_session=True,
    )
    text, status, deadline = b"", None, time.monotonic() + timeout_s
    try:
        text, whole = _read(process, deadline)
        if whole:
            status = process.wait(max(0.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:  # it closed its output and went on
        pass
    finally:
        with suppress(ProcessLookupError, PermissionError):  # PermissionError: macOS, of a group of zombies
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        process.stdout.close()  # type: ignore[union-attr]  # PIPE above
    return Output(status, text.decode(errors="replace"))


def _environment(folder: Path) -> dict[str, str]:
    """No keys for code a model wrote, and no compiled files: an edit within the same second would not be noticed."""
    path = os.environ.get("PATH", os.defpath)
    return {"PATH": path, "HOME": str(folder), "LC_ALL": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _read(process: subprocess.Popen[bytes], deadline: float) -> tuple[bytes, bool]:
    """What the process prints, and whether that is all of it."""
    assert process.stdout is not None, "a pipe"  # noqa: S101  # for the type checker
    text = bytearray()
    with selectors.DefaultSelector() as selector:
        selector.register(process.stdout, selectors.EVENT_READ)
        while len(text) <= _MOST_BYTES and selector.select(max(0.0, deadline - time.monotonic())):
            chunk = os.read(process.stdout.fileno(), _CHUNK_BYTES)
            if not chunk:
                return bytes(text), True
            text += chunk
    return bytes(text[:_MOST_BYTES]), False
