"""The size of a trace: its journal over the JSON of what the model was sent, each message once, and bytes a step.

python -m benchmarks.trace_size [--quick]

The model answers and the tools return at once, which no real run does; "with waiting" is the same run as if the model
had taken 0.8 s and each tool 12 ms, so that lines have times and durations have digits.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.loop_step import STEPS, TASK, Model, specs
from benchmarks.timing import rounds_from_command_line

from looplet import CheckpointHook, ProvenanceSink, composable_loop
from looplet.backends.openai_wire import openai_message, openai_tool
from looplet.events import CallFinished, Event, ModelReplied, StepFinished
from looplet.trace.journal import JournalWriter
from looplet.trace.read import read_journal

if TYPE_CHECKING:
    from looplet.messages import Prompt

SIZES = {"200 B": 180, "5 KB": 4_980}
SYSTEM = "You look things up. Use the tools, one call at a time, and finish with the answer."


class Waiting:
    """Gives the events of a run the times of one that had to wait, and is the clock that goes with them."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now

    def slowed(self, event: Event) -> Event:
        if isinstance(event, ModelReplied):
            self.now += 0.812345
            return event.replace(duration_ms=812.3)
        if isinstance(event, CallFinished):
            self.now += 0.012345
            return event.replace(result=event.result.replace(duration_ms=12.3))
        if isinstance(event, StepFinished):
            result = event.step.tool_result.replace(duration_ms=12.3)
            return event.replace(step=event.step.replace(tool_result=result))
        return event


def run(hook: object, chars: int) -> Prompt:
    """A run of `STEPS` steps with results of about `chars` characters; the last request has all its messages."""
    result = {"text": "x" * chars}

    def search(query: str) -> dict[str, str]:  # noqa: ARG001  # the work is not what is measured
        return result

    model = Model()
    for _ in composable_loop(
        llm=model, tools=specs(search), task=TASK, hooks=[hook], max_steps=STEPS + 1, system_prompt=SYSTEM
    ):
        pass
    assert model.last is not None
    return model.last


def sent_once(prompt: Prompt) -> int:
    """Characters of the JSON of the whole conversation: system prompt, tools, and each message."""
    parts: list[Any] = [{"role": "system", "content": prompt.system}]
    parts += [openai_message(message) for message in prompt.messages]
    parts += [openai_tool(tool) for tool in prompt.tools]
    return sum(len(json.dumps(part)) for part in parts)


def size(trace: Path) -> int:
    return sum(path.stat().st_size for path in trace.rglob("*") if path.is_file())


def journal_size(trace: Path) -> int:
    return (trace / "journal.jsonl").stat().st_size


def slowed(trace: Path, target: Path) -> Path:
    """The trace of the same run with waiting."""
    waiting = Waiting()
    writer = JournalWriter(target, clock=waiting)
    for event in read_journal(trace).events:
        writer.write(waiting.slowed(event))
    writer.close()
    return target


def bytes_of_step(trace: Path, number: int) -> int:
    """The lines from the reply that made the call of step `number` to the step itself."""
    lines = (trace / "journal.jsonl").read_bytes().splitlines(keepends=True)
    ends = [index for index, line in enumerate(lines) if b'"step_finished"' in line[:30]]
    return sum(map(len, lines[ends[number - 2] + 1 : ends[number - 1] + 1]))


def main() -> None:
    rounds_from_command_line(__doc__ or "", full=1, quick=1)  # sizes do not vary
    with tempfile.TemporaryDirectory() as folder:
        for name, chars in SIZES.items():
            trace, kept = Path(folder) / f"trace {name}", Path(folder) / f"checkpoint {name}"
            messages = sent_once(run(ProvenanceSink(trace), chars))
            run(CheckpointHook(kept), chars)
            waited = slowed(trace, Path(folder) / f"waited {name}")
            print(
                f"results of {name}: journal / JSON sent {journal_size(trace) / messages:.2f}, "
                f"with waiting {journal_size(waited) / messages:.2f}; "
                f"whole trace {size(trace) / messages:.2f}; with checkpoints {journal_size(kept) / messages:.2f}"
            )
            for what, path in (("trace", waited), ("checkpoints", kept)):
                print(f"  {what}: step 50 {bytes_of_step(path, 50):,} bytes, step 500 {bytes_of_step(path, 500):,}")
    print("targets: journal 1.3, whole trace 2.5, step 500 as large as step 50")


if __name__ == "__main__":
    main()
