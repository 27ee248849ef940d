"""Suites of eval files for the plugin's tests, written into a `pytester` directory."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

INI = """
[pytest]
pythonpath = .
asyncio_default_fixture_loop_scope = function
"""

# Every execution leaves one line, also when the process dies right after it.
SHOP = """
    import os
    from pathlib import Path
    from looplet import ToolCall, composable_loop, tool

    LOG = Path(__file__).parent / "executions.log"

    @tool
    def lookup(order: int) -> dict:
        "Find an order."
        return {"order": order, "amount": order + 8}

    @tool
    def done(amount: int) -> dict:
        "Finish."
        return {"amount": amount}

    def note(text):
        with LOG.open("a") as log:
            log.write(f"{text}\\n")

    def agent(task, llm):
        note(task)
        print(f"agent on {task}")
        return composable_loop(llm=llm, task=task, tools=[lookup, done])

    def script(order):
        return [ToolCall("lookup", {"order": order}), ToolCall("done", {"amount": order + 8})]
"""

EVALS = """
    import pytest
    from shop import agent, script

    CASES = [
        {"id": f"refund-{order}", "task": f"Refund order {order}", "expected": order + 8, "script": script(order)}
        for order in (17, 18, 19)
    ]
    pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

    def eval_amount(run, case):
        assert run.output["amount"] == case.expected

    def eval_length(run):
        return 1 / len(run.steps)
"""

# A live model by hook: it answers from a script, and counts its calls.
LIVE = """
    import pytest
    from looplet import MockLLMBackend
    from shop import note, script

    class Live:
        name = "live-model-1"

        def chat(self, prompt):
            note("live call")
            order = int(prompt.messages[0].content.split()[-1])
            replies = MockLLMBackend([script(order)[sum(message.role == "assistant" for message in prompt.messages)]])
            return replies.chat(prompt)

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_make_backend(name, config):
        return Live() if name == "live" else None
"""


def write_suite(
    pytester: pytest.Pytester, evals: str = EVALS, *, shop: str = SHOP, conftest: str = "", ini: str = ""
) -> None:
    """Write shop.py, evals/eval_shop.py and the ini file; `ini` lines are added to the [pytest] section."""
    pytester.makeini(INI + ini)
    pytester.makepyfile(**{"shop": shop, "evals/eval_shop": evals})
    if conftest:
        pytester.makeconftest(conftest)


def executions(pytester: pytest.Pytester) -> list[str]:
    """What agents noted, in order; the list is emptied for the next session."""
    log = Path(pytester.path, "executions.log")
    lines = log.read_text().splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return lines


def summary_of(result: pytest.RunResult) -> list[str]:
    """The lines of the evals section."""
    lines: list[str] = []
    inside = False
    for line in result.outlines:
        if line.startswith("==="):
            inside = " evals " in line
        elif inside:
            lines.append(line)
    return lines
