"""What the benchmarks share: measuring alternatives in turn, so that a busy machine slows all of them alike."""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path


def rounds_from_command_line(description: str, *, full: int, quick: int) -> int:
    """How often to measure: `full` times, or `quick` times with `--quick`."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help=f"{quick} rounds instead of {full}")
    return quick if parser.parse_args().quick else full


def interleaved(measures: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """Run every measure once a round, after one round that is thrown away; return the median of each."""
    samples: dict[str, list[float]] = {name: [] for name in measures}
    for round_number in range(rounds + 1):
        for name, measure in measures.items():
            value = measure()
            if round_number:
                samples[name].append(value)
    return {name: statistics.median(values) for name, values in samples.items()}


def process_ms(command: Sequence[str], folder: Path | None = None) -> float:
    """CPU milliseconds of a fresh process: on an idle machine its wall time, on a busy one still the same.

    Bytecode is kept between the rounds, as it is for users; without it every process would compile everything again.
    """
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime) * 1000
