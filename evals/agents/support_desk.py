"""A support desk: looks orders up in a SQLite database, refunds within the rules, escalates beyond them."""

from __future__ import annotations

import json
import re
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from looplet import Prompt, Run, ToolCall, ToolValidationError, composable_loop, tool

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from looplet import ToolSpec

REFUND_LIMIT = 100.0
REFUND_DAYS = 30

RULES = f"""You are a support desk. Look every order up before you act.
Refund an order in full when the customer owns it, it was delivered at most {REFUND_DAYS} days ago, it is not refunded
yet and it costs at most {REFUND_LIMIT:.0f}. Escalate it when only the price is too high. Otherwise explain why not.
Then call done with a short answer to the customer."""

# id, customer, item, amount, days since delivery, refunded
ORDERS = [
    (17, "ann", "kettle", 25.0, 5, 0),
    (18, "bob", "laptop", 480.0, 3, 0),
    (19, "ann", "lamp", 40.0, 90, 0),
    (20, "cem", "mug", 9.5, 2, 1),
    (21, "ann", "toaster", 60.0, 30, 0),
    (22, "dot", "desk", 100.0, 12, 0),
]


def agent(task: Any, llm: Any, workdir: Path) -> Run:
    database = workdir / "shop.db"
    create(database)
    return composable_loop(llm=llm, task=task, tools=tools(database), system_prompt=RULES, max_steps=8)


def create(database: Path) -> None:
    with closing(sqlite3.connect(database)) as connection, connection:
        connection.execute("CREATE TABLE orders (id, customer, item, amount, days, refunded)")
        connection.execute("CREATE TABLE refunds (order_id, amount)")
        connection.execute("CREATE TABLE escalations (order_id, reason)")
        connection.executemany("INSERT INTO orders VALUES (?, ?, ?, ?, ?, ?)", ORDERS)


def rows(database: Path, query: str, *values: object) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(database)) as connection, connection:
        return connection.execute(query, values).fetchall()


def tools(database: Path) -> list[ToolSpec]:
    @tool
    def get_order(order_id: int) -> dict[str, Any]:
        """Look an order up: customer, item, amount, days since delivery, whether it is refunded."""
        found = rows(database, "SELECT * FROM orders WHERE id = ?", order_id)
        if not found:
            raise ToolValidationError(f"there is no order {order_id}")
        names = ("id", "customer", "item", "amount", "days_since_delivery", "refunded")
        return dict(zip(names, found[0], strict=True))

    @tool
    def refund(order_id: int, amount: float) -> str:
        """Pay `amount` back for an order."""
        rows(database, "INSERT INTO refunds VALUES (?, ?)", order_id, amount)
        rows(database, "UPDATE orders SET refunded = 1 WHERE id = ?", order_id)
        return f"refunded {amount} for order {order_id}"

    @tool
    def escalate(order_id: int, reason: str) -> str:
        """Hand an order to a person."""
        rows(database, "INSERT INTO escalations VALUES (?, ?)", order_id, reason)
        return f"order {order_id} was handed to a person"

    return [get_order, refund, escalate]


def scripted_model(prompt: Prompt) -> ToolCall:
    """Follow the rules from what the tools answered: another database gives another course."""
    task = prompt.messages[0].content
    customer = re.search(r"customer: (\w+)", task)
    results = dict(answers(prompt))
    notes = []
    for order_id in map(int, re.findall(r"\border (\d+)", task)):
        looked_up = results.get(("get_order", order_id))
        if looked_up is None:
            return ToolCall("get_order", {"order_id": order_id})
        action, note = judged(order_id, looked_up, customer[1] if customer else "")
        if action is not None and (action.tool, order_id) not in results:
            return action
        notes.append(note)
    return ToolCall("done", {"answer": " ".join(notes)})


def answers(prompt: Prompt) -> Iterator[tuple[tuple[str, int], str]]:
    """What each call so far was answered: ((tool, order id), result text)."""
    calls = {call.call_id: call for message in prompt.messages for call in message.tool_calls}
    for message in prompt.messages:
        if message.role == "tool":
            call = calls[message.call_id]
            yield (call.tool, call.args["order_id"]), message.content


def judged(order_id: int, looked_up: str, customer: str) -> tuple[ToolCall | None, str]:
    """The action the rules ask for (None: none), and the sentence for the customer."""
    if looked_up.startswith("ERROR"):
        return None, f"I cannot find order {order_id}."
    order = json.loads(looked_up)
    if order["customer"] != customer:
        return None, f"Order {order_id} is not yours."
    if order["refunded"]:
        return None, f"Order {order_id} was refunded already."
    if order["days_since_delivery"] > REFUND_DAYS:
        return None, f"Order {order_id} is past the {REFUND_DAYS} days for refunds."
    if order["amount"] > REFUND_LIMIT:
        reason = f"{order['amount']} is over the limit of {REFUND_LIMIT:.0f}"
        return ToolCall(
            "escalate", {"order_id": order_id, "reason": reason}
        ), f"A colleague takes over order {order_id}."
    return (
        ToolCall("refund", {"order_id": order_id, "amount": order["amount"]}),
        f"I refunded {order['amount']} for order {order_id}.",
    )
