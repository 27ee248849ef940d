"""Write the journal of one run: append-only, one JSON object a line, each flushed to the operating system.

Line 1 is the header: schema version, run id, task, system prompt, settings, budget, tools, model, capabilities,
redactor, labels. `docs/provenance.md` describes the format; `pack.py` says what a line holds.
"""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from looplet.errors import TraceError
from looplet.events import Event, RunFinished, RunResumed, RunStarted
from looplet.trace.directory import TEXT, TraceDirectory
from looplet.trace.jsonable import dump_line
from looplet.trace.pack import Packer

if TYPE_CHECKING:
    from collections.abc import Callable

    from looplet.trace.redact import Redaction


class JournalWriter:
    """The journal in directory `path`, opened by the first event.

    fsync     also wait for the disk, so that the trace survives a power failure and not only `kill -9`
    shared    the trace is to be committed: normal permissions, no `.gitignore`
    strict    a failure to write stops the run; otherwise the trace is marked incomplete and the run goes on
    checkpoints   keep what a run is resumed from
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        redaction: Redaction | None = None,
        fsync: bool = False,
        shared: bool = False,
        strict: bool = False,
        checkpoints: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.complete = False
        self.failure: str | None = None
        self._redaction = redaction
        self._packer = Packer(redaction, checkpoints=checkpoints)
        self._fsync, self._shared, self._strict, self._clock = fsync, shared, strict, clock
        self._directory: TraceDirectory | None = None

    @property
    def started(self) -> bool:
        return self._directory is not None

    def write(self, event: Event) -> None:
        """Append one event. Redaction errors always leave: what could not be redacted must not be written."""
        if isinstance(event, RunStarted):
            self._start(event)
            return
        if isinstance(event, RunResumed) and not self.started:
            self._go_on(event)
        if self.failure is not None:  # told once already
            return
        record = self._packer.pack(event)
        if record is None:
            return
        try:
            self._append(record)
            if isinstance(event, RunFinished):
                self._finish()
        except OSError as error:
            self._fail(error)

    def close(self) -> None:
        """Release the directory. A run that never finished gets its readable form here."""
        if self._directory is None:
            return
        try:
            if not self.complete:
                self._write_text(self._directory)
        except (OSError, TraceError):
            pass  # the journal is the trace; `looplet show` makes its readable form again
        finally:
            self._directory.close()
            self._directory = None

    def _start(self, event: RunStarted) -> None:
        header = self._packer.pack(event) or {}
        header["redactor"] = self._redaction and self._redaction.id
        try:
            self._directory = self._opened()
            self._append(header)
        except (OSError, TraceError) as error:
            self.failure = str(error)  # the end of a run that could not begin is not written either
            if isinstance(error, TraceError):
                raise
            raise TraceError(f"cannot write a trace to {str(self.path)!r}: {error}") from error

    def _go_on(self, event: RunResumed) -> None:
        """Append to the journal of this very run; a journal elsewhere is given the run's history first."""
        if self._holds(event.run_id):
            self._directory = self._opened(resume=True)
            for past in event.history:
                self._packer.pack(past)
        else:
            for past in event.history:
                self.write(past)

    def _holds(self, run_id: str) -> bool:
        from looplet.trace.read import read_journal  # only a resumed run asks

        try:
            return bool(read_journal(self.path).header.get("run_id") == run_id)
        except TraceError:
            return False

    def _opened(self, *, resume: bool = False) -> TraceDirectory:
        return TraceDirectory(self.path, shared=self._shared, resume=resume)

    def _append(self, record: dict[str, Any]) -> None:
        if self._directory is None:
            raise TraceError(
                f"the trace {str(self.path)!r} is not open: a run starts with RunStarted and ends with close()"
            )
        line = dump_line({"event": record["event"], "t": round(self._clock(), 3), **record})
        descriptor = self._directory.journal
        while line:  # a nearly full disk takes a part
            line = line[os.write(descriptor, line) :]
        if self._fsync:
            os.fsync(descriptor)

    def _finish(self) -> None:
        if self._directory is None:
            return
        self._write_text(self._directory)
        self._directory.remove_previous()
        self.complete = True

    def _write_text(self, directory: TraceDirectory) -> None:
        from looplet.trace.read import read_journal  # only needed at the end of a run
        from looplet.trace.render import render_trace

        directory.write_text(TEXT, render_trace(read_journal(directory.path)))

    def _fail(self, error: OSError) -> None:
        self.failure = f"the trace {str(self.path)!r} is incomplete from here on: {error}"
        if self._strict:
            raise TraceError(self.failure) from error
        warnings.warn(self.failure, RuntimeWarning, stacklevel=2)
