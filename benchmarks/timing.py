"""What the benchmarks share: measuring alternatives in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
from typing import TYPE_CHECKING

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "xdist.plugin", "-p", "syrupy")
PLUGIN = ("-p", "pytest_looplet.plugin")

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def environment() -> dict[str, str]:
    """That of a user: bytecode is kept between the rounds, and pytest loads the plugins that are named (those that
    `looplet[pytest]` installs), and not all that a developer has.
    """
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return {**kept, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}


def rounds_from_command_line(description: str, *, full: int, quick: int) -> int:
    """How often to measure: `full` times, or `quick` times with `--quick`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{quick} rounds instead of {full}")
    return quick if parser.parse_args().quick else full


def interleaved(measures: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each measure: see `in_turn`."""
    return {name: statistics.median(values) for name, values in in_turn(measures, rounds).items()}


def in_turn(measures: dict[str, Callable[[], float]], rounds: int) -> dict[str, list[float]]:
    """Run every measure once a round, after one round that is thrown away; return what each gave."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for round_number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if round_number:
                samples[name].append(value)
    return samples


def process_ms(command: Sequence[str], folder: Path | None = None) -> float:
    """CPU milliseconds of a fresh process: on an idle machine its wall time, on a busy one still the same."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000
