"""Run an example as its user does: in a process of its own, in a directory of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

CLOSED_PORT = "http://127.0.0.1:9/v1"  # discard: nobody listens there


def run_example(
    name: str, *options: str, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return run_python("-m", f"looplet.examples.{name}", *options, cwd=cwd, **environment)


def run_python(*arguments: str, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without an endpoint, unless `environment` names one, and without anybody at a terminal."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("OPENAI_")}
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=cwd,
        env=clean | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
