"""Take the pictures of the report in docs/evals.md: `python -m docs.make_report_images`. Needs Chromium.

A small suite is run with two models that are functions, its report is opened, and the page photographed.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import textwrap
from pathlib import Path

from tests.support.chromium import PHONE, Size, chromium

IMAGES = Path(__file__).parent / "images"
DESKTOP = Size(1100, 1010)

FILES = {
    "pytest.ini": """
        [pytest]
        pythonpath = .
        asyncio_default_fixture_loop_scope = function
    """,
    "shop.py": """
        import time
        from looplet import composable_loop, tool

        ORDERS = {17: 25, 18: 140, 19: 9, 20: 60}
        RULES = "You are the refund desk of a cheese shop. Be polite.\\nNever promise what the policy forbids."

        @tool
        def lookup(order: int) -> dict:
            "Find an order."
            time.sleep(0.03)
            if order not in ORDERS:
                raise LookupError(f"no order {order}; did you mean {order - 4}?")
            return {"order": order, "amount": ORDERS[order], "paid": "by card"}

        @tool
        def policy() -> str:
            "Read the refund policy."
            time.sleep(0.01)
            return "Refunds are paid within 14 days.\\nAbove 100 euros a person approves them first."

        @tool
        def escalate(order: int, reason: str) -> str:
            "Ask a person."
            return f"noted: a person looks at order {order}"

        @tool
        def done(amount: int, message: str) -> dict:
            "Finish."
            return {"amount": amount, "message": message}

        def agent(task, llm):
            tools = [lookup, policy, escalate, done]
            return composable_loop(llm=llm, task=task, tools=tools, system_prompt=RULES)
    """,
    "conftest.py": """
        import time
        import pytest
        from looplet import MockLLMBackend, ToolCall
        from shop import ORDERS

        class Model:
            def __init__(self, name, careful, seconds):
                self.name, self.careful, self.seconds = name, careful, seconds

            def chat(self, prompt):
                time.sleep(self.seconds)
                order = int(prompt.messages[0].content.split("order ")[1].split(" ")[0].rstrip("."))
                turn = sum(message.role == "assistant" for message in prompt.messages)
                return MockLLMBackend([self.plan(order)[turn]]).chat(prompt)

            def plan(self, order):
                known = order if order in ORDERS else order - 4
                amount = ORDERS[known]
                calls = [ToolCall("lookup", {"order": order})]
                calls += [ToolCall("lookup", {"order": known})] * (known != order)
                calls += [ToolCall("policy", {})] * self.careful
                if amount > 100 and self.careful:
                    calls.append(ToolCall("escalate", {"order": known, "reason": "above 100 euros"}))
                    return [*calls, ToolCall("done", {"amount": 0, "message": "A colleague will call you today."})]
                return [*calls, ToolCall("done", {"amount": amount, "message": f"We refund {amount} euros."})]

        @pytest.hookimpl(optionalhook=True)
        def pytest_looplet_make_backend(name, config):
            return {"small": Model("7b", False, 0.05), "large": Model("70b", True, 0.12)}.get(name)
    """,
    "evals/eval_refunds.py": """
        import pytest
        from shop import agent

        CASES = [
            {"id": "paid-by-card", "task": "Please refund order 17.", "expected": 25},
            {"id": "above-the-limit", "task": "I want my money back for order 18 at once!", "expected": 0},
            {"id": "wrong-number", "task": "Refund order 24. It was mouldy.", "expected": 60},
            {"id": "small-sum", "task": "Refund order 19 please, it is only 9 euros.", "expected": 9},
        ]
        pytestmark = pytest.mark.looplet(agent=agent, cases=CASES)

        def eval_right_amount(run, case):
            assert run.output["amount"] == case.expected

        def eval_reads_the_policy(run):
            return "policy" in run.tool_sequence

        def eval_brief(run):
            return {"score": min(1, 2 / len(run.steps)), "reason": f"{len(run.steps)} steps"}
    """,
}


def main() -> None:
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, chromium() as page:
        shop = Path(folder, "cheese-shop")
        for name, text in FILES.items():
            path = shop / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "pytest",
            "-q",
            "--looplet-backend=large,small",
            "--looplet-report=report.html",
        ]
        subprocess.run(command, cwd=shop, check=False, stdout=subprocess.DEVNULL)  # noqa: S603  # our own words
        address = (shop / "report.html").as_uri()
        page.look(DESKTOP)
        page.open(f"{address}#run-above-the-limit-small")
        page.run("scrollTo(0, 0)")
        page.picture(IMAGES / "report.png")
        page.look(PHONE, dark=True)
        page.open(f"{address}#run-wrong-number-large-step1")
        page.run("document.getElementById('run-wrong-number-large').scrollIntoView()")
        page.picture(IMAGES / "report-phone.png")


if __name__ == "__main__":
    main()
