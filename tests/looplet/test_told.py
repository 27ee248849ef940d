"""What the model is told when something goes wrong: reviewed text.

Change it with `pytest tests/looplet/test_told.py --snapshot-update`, and read the difference as a model would.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

from tests.support.drive import run_sync

from looplet import (
    Capabilities,
    Deny,
    LoopConfig,
    MockLLMBackend,
    Reply,
    ToolCall,
    ToolValidationError,
    tool,
)
from looplet.errors import MalformedReply, ToolsUnsupported
from looplet.messages import RawCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from syrupy.assertion import SnapshotAssertion

DONE = ToolCall("done", {"answer": "x"})
NEVER = threading.Event()


@tool
def find(query: str, limit: int = 10) -> list[str]:
    """Find things."""
    return [query] * limit


def raising(error: BaseException) -> Any:
    @tool
    def act() -> None:
        """Act."""
        raise error

    return act


def returning(value: Any) -> Any:
    @tool
    def act() -> Any:
        """Act."""
        return value

    return act


@tool(timeout_s=0.01)
def hang() -> None:
    """Hang."""
    NEVER.wait()


class Opaque:
    """An object nobody has heard of."""


def cyclic() -> dict[str, Any]:
    value: dict[str, Any] = {}
    value["self"] = value
    return value


class DenyOnce:
    def pre_dispatch(self, state: Any, log: Any, call: Any, step: int) -> Any:
        return Deny("not on a Friday", retry=True) if step == 1 else None


class RejectOnce:
    def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> Any:
        return Deny("cite a source") if step == 1 else None


class Note:
    def post_dispatch(self, state: Any, log: Any, call: Any, result: Any, step: int) -> str:
        return "(from a hook)"


ACT = ToolCall("act")
CASES: dict[str, Callable[[], Any]] = {
    "a tool raises": lambda: ([ACT], [raising(ValueError("no such row"))]),
    "a tool says the caller is wrong": lambda: ([ACT], [raising(ToolValidationError("dates are ISO"))]),
    "a tool exits": lambda: ([ACT], [raising(SystemExit(3))]),
    "a tool cannot connect": lambda: ([ACT], [raising(ConnectionError("refused"))]),
    "a tool hangs": lambda: ([ToolCall("hang")], [hang]),
    "a tool returns None": lambda: ([ACT], [returning(None)]),
    "a tool returns an object": lambda: ([ACT], [returning(Opaque())]),
    "a tool returns bytes": lambda: ([ACT], [returning(b"\xff\x00")]),
    "a tool returns a set": lambda: ([ACT], [returning({3, 1, 2})]),
    "a tool returns NaN": lambda: ([ACT], [returning(float("nan"))]),
    "a tool returns a cycle": lambda: ([ACT], [returning(cyclic())]),
    "a tool returns a lone surrogate": lambda: ([ACT], [returning("\ud800")]),
    "a tool returns far too much": lambda: ([ACT], [returning("x" * 400)]),
    "an unknown tool": lambda: ([ToolCall("fnid", {"query": "a"})], [find]),
    "a missing argument": lambda: ([ToolCall("find")], [find]),
    "an unexpected argument": lambda: ([ToolCall("find", {"query": "a", "limt": 2})], [find]),
    "a wrong type": lambda: ([ToolCall("find", {"query": ["a"]})], [find]),
    "a number as text": lambda: ([ToolCall("find", {"query": "a", "limit": "1"})], [find]),
    "arguments that are not JSON": lambda: ([Reply(calls=(RawCall("find", "{query: !!", "c1"),))], [find]),
    "arguments that end early": lambda: ([Reply(calls=(RawCall("find", '{"query": "a', "c1"),))], [find]),
    "a reply cut at the token limit": lambda: ([Reply("I will", finish_reason="length")], [find]),
    "an empty reply": lambda: ([Reply("")], [find]),
    "prose in text mode": lambda: (["I shall look for it."], [find], {"native": False}),
    "half a call in text mode": lambda: (['{"tool": "find", "args": {"query'], [find], {"native": False}),
    "a reply the server could not read": lambda: ([MalformedReply("tool_use_failed: bad call")], [find]),
    "a denied call": lambda: ([ToolCall("find", {"query": "a"})], [find], {"hooks": [DenyOnce()]}),
    "a rejected completion": lambda: ([DONE], [find], {"hooks": [RejectOnce()]}),
    "a note from a hook": lambda: ([ToolCall("find", {"query": "a", "limit": 1})], [find], {"hooks": [Note()]}),
    "a model that takes no tools": lambda: ([ToolsUnsupported("no")], [find]),
    "the step cap": lambda: ([[ToolCall("find", {"query": "a", "limit": 1})] * 2], [find], {"steps": 1}),
}


def told(name: str) -> str:
    """Everything after the task in the request that follows."""
    script, tools, *rest = CASES[name]()
    options = rest[0] if rest else {}
    native = options.get("native", True)
    end: Any = "the end" if "steps" in options or not native else DONE
    if not native:
        end = '{"tool": "done", "args": {"answer": "x"}}'
    llm = MockLLMBackend([*script, end], capabilities=Capabilities(native_tools=native))
    config = LoopConfig(result_chars=200, max_steps=options.get("steps", 5), final_answer="steps" in options)
    run_sync(llm, tools=tools, hooks=options.get("hooks", []), config=config)
    messages = llm.prompts[1].messages[1:] if len(llm.prompts) > 1 else ()
    system = llm.prompts[1].system if name == "a model that takes no tools" else ""
    return "\n".join([*filter(None, [system]), *(f"[{message.role}] {message.content}" for message in messages)])


def test_what_the_model_is_told_is_reviewed_text(snapshot: SnapshotAssertion) -> None:
    text = "\n\n".join(f"# {name}\n{told(name)}" for name in CASES)
    NEVER.set()
    assert text == snapshot
