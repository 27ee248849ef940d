"""The support desk is judged by the rows it leaves in the database, not by what it says it did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from evals.agents.support_desk import agent, rows, scripted_model

if TYPE_CHECKING:
    from pathlib import Path

    from looplet import RunResult
    from looplet.evals import EvalCase


def ask(id: str, customer: str, request: str, **expected: Any) -> dict[str, Any]:  # noqa: A002  # the case's own word
    expectation = {"refunds": [], "escalated": [], "says": ""} | expected
    task = {"customer": customer, "request": request}
    return {"id": id, "task": task, "expected": expectation, "script": scripted_model}


pytestmark = pytest.mark.looplet(
    agent=agent,
    cases=[
        ask("small-refund", "ann", "order 17 arrived broken", refunds=[[17, 25.0]], says="25"),
        ask("over-the-limit", "bob", "refund order 18", escalated=[18], says="colleague"),
        ask("too-old", "ann", "I want my money back for order 19", says="30 days"),
        ask("refunded-already", "cem", "refund order 20", says="already"),
        ask("last-day", "ann", "order 21 does not toast", refunds=[[21, 60.0]], says="60"),
        ask("exactly-the-limit", "dot", "order 22 wobbles", refunds=[[22, 100.0]], says="100"),
        ask("unknown-order", "ann", "refund order 999", says="cannot find"),
        ask("somebody-elses-order", "bob", "refund order 17", says="not yours"),
        ask("two-orders", "ann", "refund order 17 and order 21", refunds=[[17, 25.0], [21, 60.0]], says="60"),
        ask("mixed-orders", "ann", "refund order 17 and order 19", refunds=[[17, 25.0]], says="30 days"),
    ],
)


def eval_refunds_exactly_what_the_rules_allow(run: RunResult, case: EvalCase, workdir: Path) -> None:
    assert run.status == "completed"
    refunds = rows(workdir / "shop.db", "SELECT order_id, amount FROM refunds ORDER BY order_id")
    assert [list(row) for row in refunds] == case.expected["refunds"]


def eval_escalates_only_what_is_too_expensive(run: RunResult, case: EvalCase, workdir: Path) -> None:
    escalated = rows(workdir / "shop.db", "SELECT order_id FROM escalations ORDER BY order_id")
    assert [row[0] for row in escalated] == case.expected["escalated"]


def eval_looks_before_it_acts(run: RunResult) -> bool:
    """Every order that is acted on was looked up before."""
    looked_up: set[int] = set()
    for step in run.steps:
        if step.tool_call.tool == "get_order":
            looked_up.add(step.tool_call.args["order_id"])
        elif step.tool_call.tool in {"refund", "escalate"} and step.tool_call.args["order_id"] not in looked_up:
            return False
    return True


def eval_tells_the_customer(run: RunResult, case: EvalCase) -> bool:
    return case.expected["says"] in str(run.output)


def eval_wastes_no_steps(run: RunResult) -> dict[str, float]:
    """1.0 when no call is repeated; each repetition costs its share."""
    calls = [(step.tool_call.tool, str(step.tool_call.args)) for step in run.steps]
    return {"score": len(set(calls)) / len(calls), "steps": len(calls)}
