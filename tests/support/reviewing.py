"""Projects with something to review: pending snapshots and recordings of a small refund agent."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from looplet import MockLLMBackend, ProvenanceSink, ToolCall, composable_loop, tool
from looplet.trace.normalize import Normalizer, normal_text
from looplet.trace.read import read_journal
from pytest_looplet.golden import pending

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

FILE = "evals/eval_shop.py"
LOOK_UP = ToolCall("look_up", {"order": 17})
REFUND = ToolCall("refund", {"order": 17, "amount": 25})
ESCALATE = ToolCall("escalate", {"order": 17})
DONE = ToolCall("done", {"answer": "Paid back."})
REFUNDED, ESCALATED = (LOOK_UP, REFUND, DONE), (LOOK_UP, ESCALATE, DONE)
COMMAND = "pytest evals/eval_shop.py -k '[refund]' --looplet-backend=ollama --looplet-record"


@tool
def look_up(order: int) -> dict[str, int]:
    """Find an order."""
    return {"order": order, "paid": 25}


@tool
def refund(order: int, amount: int) -> str:
    """Pay back."""
    return f"refunded {amount}"


@tool
def escalate(order: int) -> str:
    """Tell a person."""
    return "told"


class Project:
    """A project directory; every method leaves one pending entry and returns its id."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def trace(self, calls: Sequence[Any] = REFUNDED, system: str = "Be brief.") -> Path:
        folder = self.root / "runs" / "latest"
        shutil.rmtree(folder, ignore_errors=True)
        model = MockLLMBackend(list(calls))
        tools: list[Any] = [look_up, refund, escalate]
        sink = ProvenanceSink(folder)
        list(composable_loop(model, "Refund order 17.", tools, hooks=[sink], system_prompt=system))
        return folder

    def text(self, calls: Sequence[Any] = REFUNDED, system: str = "Be brief.") -> str:
        return normal_text(read_journal(self.trace(calls, system)), Normalizer())

    def snapshot_path(self, case: str) -> Path:
        return self.root / "evals" / "__snapshots__" / "eval_shop" / f"eval_refund[{case}].trace"

    def snapshot(self, case: str, before: str | None, after: str, why: str = "it changed") -> str:
        path = self.snapshot_path(case)
        path.parent.mkdir(parents=True, exist_ok=True)
        if before is not None:
            path.write_text(before, encoding="utf-8")
        name = f"{FILE}::eval_refund[{case}]"
        assert pending.write_snapshot(self.root, name, path, after, why)
        return name

    def recording_path(self, case: str) -> Path:
        return self.root / "evals" / "__recordings__" / "eval_shop" / "agent" / case

    def recording(self, case: str, calls: Sequence[Any] = REFUNDED) -> str:
        """Recorded with "Be brief.", now played with another prompt, and perhaps other calls."""
        shutil.copytree(self.trace(), self.recording_path(case))
        name = f"{FILE}::recording[agent/{case}]"
        new = self.trace(calls, "Be brief and polite.")
        assert pending.write_recording(self.root, name, self.recording_path(case), new, "request 1", COMMAND)
        return name

    def pending(self) -> list[str]:
        return [entry.id for entry in pending.load_all(self.root)]
