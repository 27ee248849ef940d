"""What importing looplet adds to starting Python: median of fresh processes, in turn with bare Python and others.

python -m benchmarks.import_time [--quick]
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path

from benchmarks.timing import interleaved, process_ms, rounds_from_command_line

import looplet

NAMES = "composable_loop, LoopConfig, DefaultState, BaseToolRegistry, ToolSpec, MockLLMBackend"
RUN = """list(composable_loop(MockLLMBackend(['{"tool": "done", "args": {"answer": "x"}}']), "x", []))"""
TARGET_MS = 30
PROGRAMS = {
    "bare Python": "pass",
    "the six names": f"from looplet import {NAMES}",
    "the six names, and a first run": f"from looplet import {NAMES}; {RUN}",
    "import looplet": "import looplet",
    "import dataclasses": "import dataclasses",
    "import asyncio": "import asyncio",
}


def starting(program: str) -> float:
    """-S, because `.pth` files of other packages would load modules beforehand."""
    source = str(Path(looplet.__file__).parents[1])
    return process_ms([sys.executable, "-I", "-S", "-c", f"import sys; sys.path.insert(0, {source!r}); {program}"])


def main() -> None:
    rounds = rounds_from_command_line(__doc__ or "", full=41, quick=9)
    medians = interleaved({name: partial(starting, program) for name, program in PROGRAMS.items()}, rounds)
    bare = medians.pop("bare Python")
    print(f"bare Python: {bare:.1f} ms of CPU (median of {rounds} fresh processes, in turn)")
    for name, median in medians.items():
        print(f"{name}: {median - bare:+.1f} ms, {median / bare:.2f} x bare Python")
    print(f"target for the six names: at most {TARGET_MS} ms over bare Python")


if __name__ == "__main__":
    main()
