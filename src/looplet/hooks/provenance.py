"""`ProvenanceSink`: write the trace of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from looplet.trace.journal import JournalWriter
from looplet.trace.redact import redaction

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from pathlib import Path

    from looplet.events import Event
    from looplet.messages import Prompt


class ProvenanceSink:
    """Put one in `hooks=[...]`, and directory `path` becomes the trace of that run.

    redact            True for the built-in patterns (`Redactor`), or a function from str to str; it is given every
                      string there is, and must leave its own output as it is
    redact_upstream   the model, too, reads only redacted prompts; False redacts what is written and nothing else
    fsync             wait for the disk after every event
    shared            the trace is to be committed: normal permissions, no `.gitignore`
    bare              write nothing but the journal; `looplet show` prints it as well

    A trace that cannot be started is a TraceError. One that cannot be gone on with (a full disk) is marked incomplete
    with one warning, and the run goes on.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        redact: Callable[[str], str] | bool | None = None,
        redact_upstream: bool = True,
        fsync: bool = False,
        shared: bool = False,
        bare: bool = False,
    ) -> None:
        self._redaction = redaction(redact)
        self._upstream = redact_upstream
        self._journal = JournalWriter(
            path,
            redaction=self._redaction,
            fsync=fsync,
            shared=shared,
            bare=bare,
            owner=type(self).__name__,
            once=True,
        )

    @property
    def dir(self) -> Path:
        return self._journal.path

    @property
    def complete(self) -> bool:
        """True when the run has ended and its whole journal is on disk."""
        return self._journal.complete

    @property
    def failure(self) -> str | None:
        """Why the trace is incomplete, None while nothing went wrong."""
        return self._journal.failure

    def filter_prompt(self, prompt: Prompt) -> Prompt:
        """The prompt to send: redacted, when there is a redaction and it covers what leaves the process."""
        return self._redaction.prompt(prompt) if self._redaction and self._upstream else prompt

    def write(self, event: Event) -> None:
        self._journal.write(event)

    def close(self) -> None:
        self._journal.close()
