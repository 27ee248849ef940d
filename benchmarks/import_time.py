"""What importing looplet adds to starting Python: median of fresh processes, in turn with bare Python and others.

    python -m benchmarks.import_time [--quick]
"""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import looplet
from benchmarks.timing import interleaved, rounds_from_command_line

if TYPE_CHECKING:
    from collections.abc import Callable

NAMES = "composable_loop, LoopConfig, DefaultState, BaseToolRegistry, ToolSpec, MockLLMBackend"
TARGET_MS = 30
PROGRAMS = {
    "bare Python": "pass",
    "the six names": f"from looplet import {NAMES}",
    "import looplet": "import looplet",
    "import dataclasses": "import dataclasses",
    "import asyncio": "import asyncio",
}


def starting(program: str) -> Callable[[], float]:
    """Milliseconds of a fresh process. -S, because `.pth` files of other packages would load modules beforehand."""
    source = str(Path(looplet.__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {source!r}); {program}"]

    def measure() -> float:
        began = time.perf_counter()
        subprocess.run(command, check=True)
        return (time.perf_counter() - began) * 1000

    return measure


def main() -> None:
    rounds = rounds_from_command_line(__doc__ or "", full=41, quick=9)
    medians = interleaved({name: starting(program) for name, program in PROGRAMS.items()}, rounds)
    bare = medians.pop("bare Python")
    print(f"bare Python: {bare:.1f} ms (median of {rounds} fresh processes, in turn)")
    for name, median in medians.items():
        print(f"{name}: {median - bare:+.1f} ms, {median / bare:.2f} x bare Python")
    print(f"target for the six names: at most {TARGET_MS} ms over bare Python")


if __name__ == "__main__":
    main()
