"""A real terminal: tmux, with its screen to read and its keys to press."""

from __future__ import annotations

import os
import shlex
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path
    from typing import Self

_DEADLINE_S = 60  # a busy machine; what is waited for usually comes at once


class Terminal:
    """Runs one command in a tmux of its own: other sessions of the user are on another socket."""

    def __init__(self, command: str, folder: Path, socket: Path, size: tuple[int, int] = (110, 36)) -> None:
        self.socket = socket
        variables = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
        environment = " ".join(f"{name}={shlex.quote(value)}" for name, value in variables.items())
        self._tmux(
            *("-f", "/dev/null", "new-session", "-d", "-x", str(size[0]), "-y", str(size[1])),
            *("-c", str(folder), f"env -u COLUMNS -u LINES {environment} {command}; echo exit status $?; read -r _"),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._tmux("kill-server")

    @property
    def screen(self) -> str:
        return self._tmux("capture-pane", "-p", "-t", ":0")

    def press(self, *keys: str) -> None:
        self._tmux("send-keys", "-t", ":0", *keys)

    def shows(self, text: str) -> str:
        """Wait until the screen holds `text`; the whole screen, or an AssertionError with it."""
        deadline = time.monotonic() + _DEADLINE_S
        while text not in (screen := self.screen):
            assert time.monotonic() < deadline, f"not on the screen after {_DEADLINE_S} s: {text!r}\n{screen}"
        return screen

    def _tmux(self, *arguments: str) -> str:
        command = ["tmux", "-u", "-S", str(self.socket), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        return done.stdout
