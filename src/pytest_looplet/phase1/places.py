"""Where the traces of a run are: in a directory of their own while it goes on, afterwards in the run's."""

from __future__ import annotations

import shutil
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING

from pytest_looplet.golden.recordings import is_trace

if TYPE_CHECKING:
    from pathlib import Path

OWN_RESULT = "result"  # beside the loops' traces: the RunResult the agent made itself


class Places:
    """`trace` is the run's directory: the trace of the only loop, or the parent of `run_1`, `run_2`, ..."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace
        self._loops: dict[int, Path] = {}

    @cached_property
    def partial(self) -> Path:
        """What a run has that is cut short."""
        return self.trace.with_name(f"{self.trace.name}.partial")

    def of_loop(self, number: int) -> Path:
        """Where loop `number`, counted from 1, is written."""
        if number not in self._loops:
            self._loops[number] = self.partial / f"run_{number}"
        return self._loops[number]

    @property
    def of_own_result(self) -> Path:
        return self.partial / OWN_RESULT

    def clear(self) -> None:
        """Remove what an attempt left that ended its process."""
        shutil.rmtree(self.partial, ignore_errors=True)

    def settle(self, loops: int) -> dict[str, str]:
        """Move what up to `loops` loops wrote into the run's directory; return where each was and where it is now."""
        written = [number for number in range(1, loops + 1) if is_trace(self.of_loop(number))]
        if not written:
            self.clear()  # nothing was begun
            return {}
        if len(written) > 1:
            self._move(self.partial, self.trace)
            return {str(self.of_loop(number)): str(self.trace / f"run_{number}") for number in written}
        only = self.of_loop(written[0])
        self._move(only, self.trace)
        try:
            self.partial.rmdir()
        except OSError:  # something else is in it: the agent's own result, loops that were never begun
            with suppress(FileNotFoundError):
                self.of_own_result.rename(self.trace / OWN_RESULT)
            self.clear()
        return {str(only): str(self.trace)}

    def _move(self, old: Path, new: Path) -> None:
        try:
            old.rename(new)
        except OSError:  # there is one, of a session whose directory was not emptied
            shutil.rmtree(new, ignore_errors=True)
            old.rename(new)
