"""One way to run an agent in a test, whichever driver the test was asked to use."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from looplet import MockLLMBackend, RunResult, async_composable_loop, composable_loop

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


def _complete(llm: Any, arguments: dict[str, Any]) -> dict[str, Any]:
    return {"llm": MockLLMBackend(llm) if isinstance(llm, list) else llm, "task": "do it", "tools": []} | arguments


DRIVERS: dict[str, Callable[..., RunResult]] = {"sync": run_sync, "async": run_async}
