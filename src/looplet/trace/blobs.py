"""Results too large for a line of the journal: each is a file of its own, named after the digest of its bytes.

A blob is written before the line that refers to it, so that a line never promises what is not there. Equal results
share a file. A reader checks the digest: a blob that was changed would be a run that never happened.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from looplet.errors import TraceError
from looplet.trace.jsonable import dump_line

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

BLOBS = "blobs"
# Bytes of JSON. A model is shown 20,000 characters of a result unless LoopConfig(result_chars=) says more, so what is
# larger by far is for tools and evals; a line of 100 kB is about what pagers, editors and diffs still cope with.
LINE_LIMIT = 100_000

_NAME = r"[0-9a-f]{64}\.json"


def is_blob_name(name: object) -> bool:
    """Only such a name is opened or removed: a recording may come from somebody else."""
    return isinstance(name, str) and re.fullmatch(_NAME, name) is not None


def blob_name(data: bytes) -> str:
    return f"{_digest(data)}.json"


def move_out(record: dict[str, Any], keep: Callable[[bytes], str]) -> dict[str, Any]:
    """The record without the values that are too large for a line; `keep` writes one and answers its name."""
    result = record.get("result")
    if isinstance(result, dict) and (name := _moved(result.get("data"), keep)):
        rest = {key: value for key, value in result.items() if key != "data"}
        record = record | {"result": rest | {"blob": name}}
    if name := _moved(record.get("output"), keep):
        record = {key: value for key, value in record.items() if key != "output"} | {"output_blob": name}
    return record


class Blobs:
    """Puts back what `move_out` took out of the records of the trace in directory `path`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read: dict[str, Any] = {}  # the result of the last step is often the output, too
        self._step: Any = None  # that the latest line about a step was about

    def put_back(self, record: dict[str, Any]) -> dict[str, Any]:
        result, self._step = record.get("result"), record.get("step", self._step)
        if isinstance(result, dict) and "blob" in result:
            value = self._load(result["blob"], f"the result of step {self._step}")
            record = record | {"result": {**result, "data": value}}
        if "output_blob" in record:
            record = record | {"output": self._load(record["output_blob"], "the output")}
        return record

    def _load(self, name: Any, what: str) -> Any:
        where = f"{str(self._path)!r}: {what} is in {f'{BLOBS}/{name}'!r}"
        if not is_blob_name(name):
            raise TraceError(f"{where}, which is no name of a blob; the journal is damaged, record the run again")
        if name not in self._read:
            self._read[name] = self._value(name, where)
        return self._read[name]

    def _value(self, name: str, where: str) -> Any:
        try:
            data = (self._path / BLOBS / name).read_bytes()
        except FileNotFoundError:
            raise TraceError(
                f"{where}, which is missing; copy a trace with its {BLOBS} folder, or record the run again"
            ) from None
        except OSError as error:
            raise TraceError(f"{where}, which cannot be read: {error}") from error
        if blob_name(data) != name:
            raise TraceError(
                f"{where}, which was changed after it was written; put the file back, or record the run again"
            )
        return json.loads(data)


def _moved(value: object, keep: Callable[[bytes], str]) -> str | None:
    """The name of the blob that `value` went to, None when it may stay."""
    if not isinstance(value, (str, list, dict)):  # a number or less
        return None
    data = dump_line(value)
    return keep(data) if len(data) > LINE_LIMIT else None


def _digest(data: bytes) -> str:
    import hashlib  # loads OpenSSL, which a run without such results does not need

    return hashlib.sha256(data).hexdigest()
