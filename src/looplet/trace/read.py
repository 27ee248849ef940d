"""Read a trace directory: as events, or as the `RunResult` the run left."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path
from typing import Any

from looplet._pretty import visible
from looplet._record import Record
from looplet.errors import TraceError
from looplet.events import Event, ModelFailed, ModelReplied, RunFinished, StepFinished
from looplet.messages import Prompt
from looplet.result import RunResult
from looplet.trace.blobs import Blobs
from looplet.trace.checked import check_time
from looplet.trace.directory import ARTIFACTS, INCOMPLETE, JOURNAL, whole_lines
from looplet.trace.pack import SCHEMA
from looplet.trace.unpack import Unpacker
from looplet.types import Step, Usage

UNFINISHED = "unfinished"  # stop reason of a trace without an end: the process was killed, or is still running

_WRONG = (KeyError, IndexError, TypeError, AttributeError, ValueError, OverflowError, RecursionError)
_RUN_NAME = re.compile(r"run_(\d+)")


class Trace(Record):
    """What a journal holds. `header` is its first line, `records` all lines as written, `events` their meaning.

    `notice` says what is missing: a last line that was cut short when the process died, or everything after the moment
    from which on the trace could not be written, whose reason is in `incomplete`.
    """

    dir: str
    header: dict[str, Any]
    records: tuple[dict[str, Any], ...]
    events: tuple[Event, ...]
    notice: str | None = None
    incomplete: str | None = None

    @property
    def exchanges(self) -> tuple[ModelReplied | ModelFailed, ...]:
        """Every request to the model and what came of it."""
        return tuple(event for event in self.events if isinstance(event, (ModelReplied, ModelFailed)))

    @property
    def steps(self) -> tuple[Step, ...]:
        return tuple(event.step for event in self.events if isinstance(event, StepFinished))

    @property
    def finished(self) -> RunFinished | None:
        """How it ended, None for a run that was killed or is still going on."""
        last = self.events[-1] if self.events else None
        return last if isinstance(last, RunFinished) else None

    def prompt(self, call: int) -> Prompt:
        """The whole request number `call`; an unknown number is a TraceError."""
        for event in self.exchanges:
            if event.call == call:
                return event.prompt
        raise TraceError(f"{self.dir!r} has no model call {call}: it has {len(self.exchanges)}, counted from 1")


def read_journal(path: str | os.PathLike[str]) -> Trace:
    """Read the trace in directory `path`, also one that is being written or was cut short."""
    journal = Path(path) / JOURNAL
    records, notice = _parse(_read(journal), journal)
    _check_header(records, journal)
    events = _events(records, journal)
    incomplete = _incomplete(journal.parent)
    if incomplete is not None:
        notice = " ".join(filter(None, [f"the trace is incomplete: {incomplete}", notice and f"({notice})"]))
    return Trace(os.fspath(path), records[0], tuple(records), events, notice, incomplete)


def _events(records: list[dict[str, Any]], journal: Path) -> tuple[Event, ...]:
    blobs, unpacker = Blobs(journal.parent), Unpacker()
    events: list[Event] = []
    for number, record in enumerate(records, start=1):
        try:
            check_time(record.get("t"))
            event = unpacker.unpack(blobs.put_back(record))
        except _WRONG as error:
            why = visible(f"{type(error).__name__}: {error}")
            raise TraceError(f"{str(journal)!r} is damaged: line {number}: {why}") from error
        if event is not None:
            events.append(event)
    return tuple(events)


def is_begun(path: str | os.PathLike[str]) -> bool:
    """Whether directory `path` holds a trace with at least one whole line."""
    journal = Path(path) / JOURNAL
    return journal.is_file() and bool(whole_lines(_read(journal)))


def load_trace(path: str | os.PathLike[str]) -> RunResult:
    """The result of the run whose trace is in `path`, equal to the one it left where its values are JSON.

    A run without an end has the stop reason "unfinished"; when its trace could not be written to the end, the reason is
    the last of its errors.
    """
    return result_of(read_journal(path))


def result_of(trace: Trace) -> RunResult:
    finished = trace.finished or _unfinished(trace)
    return RunResult(
        stop_reason=finished.stop_reason,
        task=trace.header.get("task"),
        output=finished.output,
        steps=trace.steps,
        errors=finished.errors,
        usage=finished.usage,
        duration=finished.duration_s,
        artifacts=_artifacts(Path(trace.dir)),
        trace_dir=trace.dir,
    )


def run_dirs(path: str | os.PathLike[str]) -> list[Path]:
    """The traces `run_1`, `run_2`, ... in `path`, in the order of their numbers."""
    found = [
        (int(match[1]), entry)
        for entry in (Path(path).iterdir() if Path(path).is_dir() else ())
        if (match := _RUN_NAME.fullmatch(entry.name)) and (entry / JOURNAL).is_file()
    ]
    return [entry for _, entry in sorted(found)]


def _read(journal: Path) -> bytes:
    try:
        return journal.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        raise TraceError(_not_a_trace(journal.parent)) from None
    except OSError as error:
        raise TraceError(f"cannot read the trace {str(journal.parent)!r}: {error}") from error


def _parse(data: bytes, journal: Path) -> tuple[list[dict[str, Any]], str | None]:
    whole = whole_lines(data)
    records: list[dict[str, Any]] = []
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(line.decode())
        except (ValueError, RecursionError) as error:
            raise TraceError(f"{str(journal)!r} is damaged: line {number} is not JSON ({error})") from error
        if not isinstance(record, dict):
            raise TraceError(f"{str(journal)!r} is damaged: line {number} is not a JSON object")
        records.append(record)
    if len(whole) >= len(data):
        return records, None
    return records, f"the last line ({len(records) + 1}) was cut short when the run was interrupted; it is left out"


def _check_header(records: list[dict[str, Any]], journal: Path) -> None:
    if not records or records[0].get("event") != "run_started":
        raise TraceError(
            f"{str(journal)!r} has no header: the run was killed before it wrote its first line, or it is not a journal"
        )
    schema = records[0].get("schema")
    if schema != SCHEMA:
        raise TraceError(
            f"{str(journal)!r} has schema {schema!r}; this looplet reads {SCHEMA}; read it with a newer one"
        )


def _not_a_trace(path: Path) -> str:
    runs = ", ".join(run.name for run in run_dirs(path))
    if runs:
        return f"{str(path)!r} holds several traces ({runs}); name one of them"
    return f"{str(path)!r} is not a trace: it has no {JOURNAL}"


def _incomplete(path: Path) -> str | None:
    """Why the trace has no end, if its writer left a note."""
    try:
        why = (path / INCOMPLETE).read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise TraceError(f"cannot read {str(path / INCOMPLETE)!r}: {error}") from error
    return why or "from here on nothing could be written"  # not even the reason


def _unfinished(trace: Trace) -> RunFinished:
    """What can be said of a run whose end was never written."""
    usage, errors = Usage(), []
    for event in trace.events:
        if isinstance(event, ModelReplied) and event.reply.usage:
            usage += event.reply.usage
        if isinstance(event, StepFinished) and event.step.tool_result.error is not None:
            errors.append(f"{event.step.tool_call.tool}: {event.step.tool_result.error}")
    if trace.incomplete is not None:
        errors.append(f"the trace is incomplete: {trace.incomplete}")
    times = [record["t"] for record in trace.records[1:] if record.get("t") is not None]
    lasted = max(0.0, times[-1]) if times else 0.0  # the clock may have been set back
    return RunFinished(UNFINISHED, "stopped", None, usage, tuple(errors), lasted)


def _artifacts(path: Path) -> dict[str, Any]:
    try:
        data = json.loads((path / ARTIFACTS).read_bytes())
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TraceError(f"cannot read {str(path / ARTIFACTS)!r}: {error}") from error
    return data if isinstance(data, dict) else {"artifacts": data}
