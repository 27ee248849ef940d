"""The cost of a step: looplet against a bare loop, both making the request body with the full history.

python -m benchmarks.loop_step [--quick]
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.bare_loop import bare_loop
from benchmarks.timing import interleaved, rounds_from_command_line

from looplet import Capabilities, ProvenanceSink, Reply, ToolSpec, Usage, composable_loop
from looplet.backends.openai_body import BodyEncoder
from looplet.backends.openai_wire import openai_tool
from looplet.messages import Prompt, RawCall

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

STEPS = 500
TOOLS = ("search", "read", "write", "list")
RESULT = {"text": "x" * 180}
TASK = "Look everything up."


def search(query: str) -> dict[str, str]:  # noqa: ARG001  # the work is not what is measured
    return RESULT


def specs(execute: Callable[[str], object]) -> list[ToolSpec]:
    return [ToolSpec(name, f"The tool {name}.", {"query": "str"}, execute) for name in TOOLS]


SPECS = specs(search)


class Model:
    """Makes the request body, as a real backend does, and answers with the next call."""

    name = "m"
    capabilities = Capabilities()

    def __init__(self) -> None:
        self.number = 0
        self.encoder = BodyEncoder()
        self.tools: list[dict[str, Any]] = []
        self.last: Prompt | None = None

    def chat(self, prompt: Prompt) -> Reply:
        self.last = prompt
        self.tools = self.tools or [openai_tool(tool) for tool in prompt.tools]
        with self.encoder.body({"model": "m", "tools": self.tools}, prompt):
            pass  # here the pieces would be sent
        self.number += 1
        if self.number > STEPS:
            return Reply(calls=(RawCall("done", '{"answer": "found"}', "call_last"),))
        arguments = f'{{"query": "number {self.number}"}}'
        return Reply(calls=(RawCall(TOOLS[self.number % 4], arguments, f"call_{self.number}"),), usage=Usage(100, 10))


class Gate:
    """A hook with one method that decides nothing."""

    def pre_dispatch(self, state: object, log: object, tool_call: object, step: int) -> None: ...


class Watching:
    """A hook with all four methods that decides nothing."""

    def pre_prompt(self, state: object, log: object, ctx: object, step: int) -> None: ...

    def pre_dispatch(self, state: object, log: object, tool_call: object, step: int) -> None: ...

    def post_dispatch(self, state: object, log: object, tool_call: object, tool_result: object, step: int) -> None: ...

    def check_done(self, state: object, log: object, ctx: object, step: int) -> None: ...


def bare() -> Iterator[object]:
    schemas = json.dumps([openai_tool(spec.schema) for spec in SPECS]).encode()
    numbers = iter(range(1, STEPS + 2))

    def model(_body: list[bytes | bytearray]) -> dict[str, Any]:
        number = next(numbers)
        name = TOOLS[number % 4] if number <= STEPS else "done"
        function = {"name": name, "arguments": f'{{"query": "number {number}"}}'}
        call = {"id": f"call_{number}", "type": "function", "function": function}
        return {"role": "assistant", "content": "", "tool_calls": [call]}

    return bare_loop(model, dict.fromkeys(TOOLS, search), schemas, TASK)


def looplet(hooks: Sequence[object] = ()) -> Iterator[object]:
    return composable_loop(llm=Model(), tools=SPECS, task=TASK, hooks=hooks, max_steps=STEPS + 1)


def stamps(steps: Iterator[object]) -> list[float]:
    """CPU microseconds of each step: the same on a busy machine."""
    times, began = [], time.thread_time()
    for _ in steps:
        now = time.thread_time()
        times.append((now - began) * 1e6)
        began = now
    return times


def mean_step(steps: Iterator[object]) -> float:
    return statistics.mean(stamps(steps)[:STEPS])


def growth(rounds: int) -> float:
    """Step 500 over step 50: the median of twenty steps around each, the least disturbed of several runs."""
    ratios = []
    for _ in range(rounds):
        times = stamps(looplet())
        ratios.append(statistics.median(times[480:500]) / statistics.median(times[40:60]))
    return statistics.median(ratios)


def traced() -> float:
    with tempfile.TemporaryDirectory() as folder:
        return mean_step(looplet([ProvenanceSink(Path(folder) / "trace")]))


def main() -> None:
    rounds = rounds_from_command_line(__doc__ or "", full=21, quick=3)
    cost = interleaved(
        {
            "bare loop": lambda: mean_step(bare()),
            "looplet": lambda: mean_step(looplet()),
            "looplet, ten hooks of one method": lambda: mean_step(looplet([Gate() for _ in range(10)])),
            "looplet, ten hooks of four methods": lambda: mean_step(looplet([Watching() for _ in range(10)])),
            "looplet, trace": traced,
        },
        rounds,
    )
    bare_cost, own_cost = cost["bare loop"], cost["looplet"]
    for name, microseconds in cost.items():
        print(f"{name}: {microseconds:.1f} us of CPU a step, {microseconds / bare_cost:.2f} x the bare loop")
    for methods in ("one method", "four methods"):
        print(f"ten hooks of {methods}: {cost[f'looplet, ten hooks of {methods}'] - own_cost:+.1f} us a step")
    print(f"step 500 / step 50: {growth(rounds):.2f}")
    print("targets: 3 x the bare loop, +5 us for ten hooks, 1.1 for step 500 / 50")


if __name__ == "__main__":
    main()
