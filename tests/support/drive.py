"""One way to run an agent in a test, whichever driver the test was asked to use."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from looplet import MockLLMBackend, ProvenanceSink, RunResult, async_composable_loop, composable_loop, load_trace
from looplet.trace.replay import ReplayBackend

if TYPE_CHECKING:
    from collections.abc import Callable


class Drive(Protocol):
    """Run the loop to its end and return the result; arguments are `composable_loop`'s, `llm` may be a script."""

    def __call__(self, llm: Any, **arguments: Any) -> RunResult: ...


def run_sync(llm: Any, **arguments: Any) -> RunResult:
    run = composable_loop(**_complete(llm, arguments))
    for _ in run:
        pass
    return run.result


def run_async(llm: Any, **arguments: Any) -> RunResult:
    async def main() -> RunResult:
        async with async_composable_loop(**_complete(llm, arguments)) as run:
            async for _ in run:
                pass
        return run.result

    return asyncio.run(main())


def run_replayed(llm: Any, **arguments: Any) -> RunResult:
    """Run it live with a trace, then again from that trace: hooks and tools must not remember the first time."""
    complete = _complete(llm, arguments)
    with tempfile.TemporaryDirectory() as folder:
        sink = ProvenanceSink(Path(folder) / "trace")
        live = run_sync(**complete | {"hooks": [*complete.get("hooks", []), sink]})
        replay = run_sync(**complete | {"llm": ReplayBackend(sink.dir)})
    assert [step.tool_call for step in replay.steps] == [step.tool_call for step in live.steps]
    return replay


def run_traced(llm: Any, **arguments: Any) -> RunResult:
    """Run it live, and return what its trace says of it."""
    complete = _complete(llm, arguments)
    with tempfile.TemporaryDirectory() as folder:
        sink = ProvenanceSink(Path(folder) / "trace")
        run_sync(**complete | {"hooks": [*complete.get("hooks", []), sink]})
        return load_trace(sink.dir)


def _complete(llm: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"llm": MockLLMBackend(llm) if isinstance(llm, list) else llm, "task": "do it", "tools": []} | arguments


DRIVERS: dict[str, Callable[..., RunResult]] = {
    "sync": run_sync,
    "async": run_async,
    "replayed": run_replayed,
    "traced": run_traced,
}
