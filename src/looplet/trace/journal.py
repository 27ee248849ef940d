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
    from collections.abc import Callable, Iterable

    from looplet.trace.read import Trace
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
        self._checkpoints = checkpoints
        self._packer = Packer(redaction, checkpoints=checkpoints)
        self._past: Trace | None = None
        self._fsync, self._shared, self._strict, self._clock = fsync, shared, strict, clock
        self._directory: TraceDirectory | None = None

    @property
    def started(self) -> bool:
        return self._directory is not None

    def resume_from(self, past: Trace | None) -> None:
        """The next run resumes what was read from this very journal, so it is appended to. None: from elsewhere."""
        self._past = past

    def write(self, event: Event) -> None:
        """Append one event. Redaction errors always leave: what could not be redacted must not be written."""
        if isinstance(event, RunStarted):
            self._begin(event)
            return
        if isinstance(event, RunResumed):
            self._begin(event)
        if self.failure is not None:  # told once already
            return
        record = self._packed(event)
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

    def _begin(self, event: RunStarted | RunResumed) -> None:
        """Get the directory. What fails here is an error also when the journal is not strict."""
        self.complete, self.failure = False, None
        self._packer = Packer(self._redaction, checkpoints=self._checkpoints)
        try:
            if isinstance(event, RunStarted):
                self._write_new([event])
            elif self._past is None:
                self._write_new(event.history)
            else:
                self._go_on(event.history, self._past)
        except (OSError, TraceError) as error:
            self.failure = str(error)  # the end of a run that could not begin is not written either
            if isinstance(error, TraceError):
                raise
            raise TraceError(f"cannot write a trace to {str(self.path)!r}: {error}") from error

    def _write_new(self, events: Iterable[Event]) -> None:
        """Begin a journal. What was there is moved aside, also when it is of the same run: it may lack the last line
        of the one that the run is resumed from, because the journals of a run are written one after the other.
        """
        records = [self._packed(event) for event in events]  # before anything is touched: redaction may fail
        self._directory = self._opened()
        for record in filter(None, records):
            self._append(record)

    def _go_on(self, history: Iterable[Event], past: Trace) -> None:
        """Append to the journal that the run is resumed from, if it still is what was read."""
        from looplet.trace.read import read_journal  # only a resumed run asks

        directory = self._opened(resume=True)
        try:
            if read_journal(self.path).records != past.records:
                raise TraceError(f"{str(self.path)!r}: this run has gone on in the meantime; resume it again")
        except TraceError:
            directory.close()
            raise
        self._directory = directory
        for event in history:
            self._packer.pack(event)

    def _packed(self, event: Event) -> dict[str, Any] | None:
        record = self._packer.pack(event)
        if record is not None and isinstance(event, RunStarted):
            record["redactor"] = self._redaction and self._redaction.id
        return record

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
