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
from looplet.trace.blobs import LINE_LIMIT, move_out
from looplet.trace.directory import TEXT, TraceDirectory
from looplet.trace.files import write_all
from looplet.trace.jsonable import dump_line
from looplet.trace.pack import Packer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from looplet.trace.read import Trace
    from looplet.trace.redact import Redaction


class Times:
    """When the lines of a journal are written: in seconds since the first, which has the time of day, to the
    millisecond. A line without a time was written in the same millisecond as the one before.
    """

    def __init__(self, clock: Callable[[], float], began: float | None = None) -> None:
        self._clock, self._began = clock, began
        self._last: float | None = None

    def of_line(self) -> dict[str, float]:
        now = self._clock()
        if self._began is None:
            self._began, self._last = round(now, 3), 0.0
            return {"t": self._began}
        seconds = round(now - self._began, 3)
        if seconds == self._last:
            return {}
        self._last = seconds
        return {"t": seconds}


class JournalWriter:
    """The journal in directory `path`, opened by the first event.

    fsync     also wait for the disk, so that the trace survives a power failure and not only `kill -9`
    shared    the trace is to be committed: normal permissions, no `.gitignore`
    bare      write nothing but the journal, which `looplet show` prints as well: two fifths less work for a short run
    strict    a failure to write stops the run; otherwise the trace is marked incomplete and the run goes on
    checkpoints   keep what a run is resumed from
    owner     the class that errors speak of
    once      refuse a second run, also after the first has ended
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        redaction: Redaction | None = None,
        fsync: bool = False,
        shared: bool = False,
        bare: bool = False,
        strict: bool = False,
        checkpoints: bool = False,
        owner: str = "JournalWriter",
        once: bool = False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.path = Path(path)
        self.complete = False
        self.failure: str | None = None
        self._redaction = redaction
        self._checkpoints = checkpoints
        self._packer = Packer(redaction, checkpoints=checkpoints)
        self._past: Trace | None = None
        self._fsync, self._shared, self._bare = fsync, shared, bare
        self._strict, self._clock = strict, clock
        self._owner, self._once, self._used = owner, once, False
        self._refused: list[str] = []  # what is still to come from a run that was refused
        self._times = Times(clock)
        self._directory: TraceDirectory | None = None

    @property
    def started(self) -> bool:
        return self._directory is not None

    def resume_from(self, past: Trace | None) -> None:
        """The next run resumes what was read from this very journal, so it is appended to. None: from elsewhere."""
        self._past = past

    def write(self, event: Event) -> None:
        """Append one event. Redaction errors always leave: what could not be redacted must not be written."""
        if isinstance(event, (RunStarted, RunResumed)):
            self._begin(event)
        if isinstance(event, RunFinished) and "end" in self._refused:
            self._refused.remove("end")
            return
        if self.failure is not None or isinstance(event, RunStarted):  # told once already; written as the header
            return
        record = self._packed(event)
        if record is None:
            return
        try:
            self._append(record)
        except OSError as error:
            self._fail(error)
            return
        if isinstance(event, RunFinished):
            self._finish()

    def close(self) -> None:
        """Release the directory. A run that never finished gets its readable form here."""
        if "close" in self._refused:
            self._refused.remove("close")
            return
        if self._directory is None:
            return
        try:
            if not self.complete and not self._bare:
                self._directory.write_text(TEXT, self._as_text(self._directory))
        except (OSError, TraceError):
            pass  # the journal is the trace; `looplet show` makes its readable form again
        finally:
            self._directory.close()
            self._directory = None

    def _begin(self, event: RunStarted | RunResumed) -> None:
        """Get the directory. What fails here is an error also when the journal is not strict."""
        if self._directory is not None or (self._once and self._used):
            self._refused += ["end", "close"]  # which the refused run will still say, and the other one not yet
            raise TraceError(
                f"this {self._owner}({str(self.path)!r}) already belongs to a run; give every run a new one, "
                "with a directory of its own"
            )
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
        self._used = True

    def _write_new(self, events: Iterable[Event]) -> None:
        """Begin a journal. What was there is moved aside, also when it is of the same run: it may lack the last line
        of the one that the run is resumed from, because the journals of a run are written one after the other.
        """
        records = [self._packed(event) for event in events]  # before anything is touched: redaction may fail
        self._directory = self._opened()
        self._times = Times(self._clock)
        try:
            for record in filter(None, records):
                self._append(record)
        except OSError:
            self._directory.abandon()
            self._directory = None
            raise

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
        self._times = Times(self._clock, past.header.get("t"))
        for event in history:
            self._packer.pack(event)

    def _packed(self, event: Event) -> dict[str, Any] | None:
        record = self._packer.pack(event)
        if record is not None and isinstance(event, RunStarted):
            record["redactor"] = self._redaction and self._redaction.id
        return record

    def _opened(self, *, resume: bool = False) -> TraceDirectory:
        return TraceDirectory(self.path, shared=self._shared, bare=self._bare, resume=resume, fsync=self._fsync)

    def _append(self, record: dict[str, Any]) -> None:
        directory = self._directory
        if directory is None:
            raise TraceError(
                f"the trace {str(self.path)!r} is not open: a run starts with RunStarted and ends with close()"
            )
        record = {"event": record["event"], **self._times.of_line(), **record}
        line = dump_line(record)
        if len(line) > LINE_LIMIT:
            line = dump_line(move_out(record, directory.write_blob))
        write_all(directory.journal, line)
        if self._fsync:
            os.fsync(directory.journal)

    def _finish(self) -> None:
        """The run has ended. The journal is the trace, so what fails beyond it is said and loses nothing."""
        directory = self._directory
        if directory is None:
            return
        try:
            text = None if self._bare else self._as_text(directory)
        except (OSError, TraceError) as error:  # somebody removed or changed it while it was written
            self._fail(error)
            return
        self.complete = True
        try:
            if text is not None:
                directory.write_text(TEXT, text)
        except OSError as error:
            self._say(f"{TEXT} of the trace {str(self.path)!r} is missing: {error}; `looplet show` prints it")
        try:
            directory.remove_previous()
        except OSError as error:
            self._say(f"the trace that was in {str(self.path)!r} before could not be removed: {error}")

    def _as_text(self, directory: TraceDirectory) -> str:
        from looplet.trace.read import read_journal  # only needed at the end of a run
        from looplet.trace.render import render_trace

        return render_trace(read_journal(directory.path))

    def _fail(self, error: OSError | TraceError) -> None:
        self.failure = f"the trace {str(self.path)!r} is incomplete from here on: {error}"
        if self._strict:  # nothing more happens, so nothing is missing
            self.failure = (
                f"the run stops here, because its checkpoint in {str(self.path)!r} cannot be written: {error}. "
                "When it can be, go on with resume="
            )
            raise TraceError(self.failure) from error
        if self._directory is not None:
            self._directory.mark_incomplete(f"from here on nothing could be written: {error}")
        self._say(self.failure)

    def _say(self, message: str) -> None:
        warnings.warn(message, RuntimeWarning, stacklevel=2)
