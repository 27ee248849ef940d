"""Where the traces of a run are: side by side while it goes on, afterwards in the run's directory.

On an ordinary disk a new directory takes longer than all that is written into it. So none is made in between: the trace
of an agent's only loop becomes the run's directory by a new name, and only several are moved into one.
"""

from __future__ import annotations

import glob
import shutil
from contextlib import suppress
from typing import TYPE_CHECKING

from pytest_looplet.golden.recordings import is_trace

if TYPE_CHECKING:
    from pathlib import Path

OWN_RESULT = "result"  # beside the loops' traces: the RunResult the agent made itself


class Places:
    """`trace` is the run's directory: the trace of the only loop, or the parent of `run_1`, `run_2`, ..."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def of_loop(self, number: int) -> Path:
        """Where loop `number`, counted from 1, is written."""
        return self._partial(f"-{number}" if number > 1 else "")

    def latest(self, loops: int) -> Path | None:
        """The trace of the loop that began last, of up to `loops`; None before any was written."""
        begun = (self.of_loop(number) for number in range(loops, 0, -1))
        return next(filter(is_trace, begun), None)

    @property
    def of_own_result(self) -> Path:
        return self._partial(f"-{OWN_RESULT}")

    def clear(self) -> None:
        """Remove what an attempt left that ended its process."""
        for folder in self.trace.parent.glob(f"{glob.escape(self.trace.name)}.partial*"):
            shutil.rmtree(folder, ignore_errors=True)

    def settle(self, loops: int) -> dict[str, str]:
        """Move what up to `loops` loops wrote into the run's directory; return where each was and where it is now."""
        written: list[int] = []
        for number in range(1, loops + 1):
            if is_trace(self.of_loop(number)):
                written.append(number)
            else:  # never begun
                shutil.rmtree(self.of_loop(number), ignore_errors=True)
        if not written:
            return {}
        moves = {self.of_loop(number): self.trace / f"run_{number}" for number in written}
        if len(written) == 1:
            moves = dict.fromkeys(moves, self.trace)
        else:
            self._make_room()
            self.trace.mkdir(mode=0o700)
        for old, new in moves.items():
            self._move(old, new)
        with suppress(FileNotFoundError):
            self.of_own_result.rename(self.trace / OWN_RESULT)
        return {str(old): str(new) for old, new in moves.items()}

    def _partial(self, which: str) -> Path:
        return self.trace.with_name(f"{self.trace.name}.partial{which}")

    def _move(self, old: Path, new: Path) -> None:
        try:
            old.rename(new)
        except OSError:  # there is one, of a session whose directory was not emptied
            self._make_room()
            old.rename(new)

    def _make_room(self) -> None:
        shutil.rmtree(self.trace, ignore_errors=True)
