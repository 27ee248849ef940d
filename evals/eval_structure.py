"""Recorded from a real 135-million-parameter model: what must hold whatever a model answers.

Recorded anew with `pytest evals/eval_structure.py --looplet-backend=local --looplet-record`. A model this small is not
judged for wisdom: these evals ask that the loop ends, that its calls are calls, and that everything was counted.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from evals.agents.concierge import agent

if TYPE_CHECKING:
    from looplet import RunResult

TOOLS = {"room_price", "greet", "done"}

pytestmark = pytest.mark.looplet(
    agent=agent,
    cases=[
        {"id": "greet", "task": "Greet Alice, then finish."},
        {"id": "price", "task": "What does a double room cost for one night?"},
        {"id": "both", "task": {"guest": "Bob", "wish": "Greet the guest and tell the price of the suite."}},
    ],
)


def eval_the_loop_ends(run: RunResult) -> bool:
    return run.stop_reason in {"done", "max_steps", "parse_error"} and len(run.steps) <= 4


def eval_every_call_is_a_call(run: RunResult) -> None:
    for step in run.steps:
        assert step.tool_call.tool in TOOLS
        assert isinstance(step.tool_call.args, dict)


def eval_usage_is_recorded(run: RunResult) -> None:
    assert run.usage.input_tokens > 0
    assert run.usage.output_tokens > 0
    assert sum(step.usage.total_tokens for step in run.steps) <= run.usage.total_tokens


def eval_a_completed_run_has_an_output(run: RunResult) -> bool:
    return (run.status == "completed") == (run.output is not None)
