"""Write `<workdir>` for the path of a run's work directory, so that a recording fits every checkout and backend.

The model that is asked live reads the real path, and so do the tools of a replayed run.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from looplet.hooks.provenance import ProvenanceSink
from looplet.trace.paths import Paths
from looplet.trace.redact import Redaction, Redactor
from looplet.trace.replay import ReplayBackend
from pytest_looplet.phase1.sinks import turn

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.events import Event
    from looplet.messages import Prompt, RawCall, Reply
    from looplet.trace.replay import OnMiss

PLACEHOLDER = "<workdir>"


class WorkdirRedactor(Redactor):
    """The built-in patterns, and the work directory's path. Its id is theirs: secrets are treated in the same way."""

    def __init__(self, workdir: Path) -> None:
        super().__init__()
        self._name = workdir.name  # looked for first, as it is cheaper than a pattern
        self._paths = Paths(dict.fromkeys((str(workdir), str(workdir.resolve())), PLACEHOLDER))

    def __call__(self, text: str) -> str:
        if self._name in text:
            text = self._paths(text)
        return super().__call__(text)


class WorkdirSink(ProvenanceSink):
    """The provenance of a run with a work directory. What goes to the model loses its secrets and keeps its paths."""

    def __init__(self, path: Path, workdir: Path) -> None:
        super().__init__(path, redact=WorkdirRedactor(workdir), bare=True)
        self._secrets = Redaction(Redactor())

    def filter_prompt(self, prompt: Prompt) -> Prompt:
        return self._secrets.prompt(prompt)

    def write(self, event: Event) -> None:
        with turn(event):
            super().write(event)


class WorkdirReplay(ReplayBackend):
    """A recording of a run with a work directory, played in another one."""

    def __init__(self, recording: Path, workdir: Path, on_miss: OnMiss = "stale") -> None:
        super().__init__(recording, on_miss=on_miss, redact=WorkdirRedactor(workdir))
        self._workdir = str(workdir)

    def chat(self, prompt: Prompt) -> Reply:
        reply = super().chat(prompt)
        calls = tuple(self._placed(call) for call in reply.calls)
        return reply.replace(text=reply.text.replace(PLACEHOLDER, self._workdir), calls=calls)

    def _placed(self, call: RawCall) -> RawCall:
        """Arguments are changed in their JSON form, where a path may need escapes."""
        path = json.dumps(self._workdir, ensure_ascii=False)[1:-1]
        if isinstance(call.arguments, str):
            return call.replace(arguments=call.arguments.replace(PLACEHOLDER, path))
        text = json.dumps(call.arguments, ensure_ascii=False)
        return call.replace(arguments=json.loads(text.replace(PLACEHOLDER, path))) if PLACEHOLDER in text else call
