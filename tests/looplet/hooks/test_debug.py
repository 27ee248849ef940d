"""What a run does can be read while it goes by."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

from looplet import Compact, DebugHook, Deny, MockLLMBackend, ToolCall, ToolContext, composable_loop, tool
from looplet.errors import RateLimited
from looplet.events import Event, Noticed, RunResumed
from looplet.hooks.debug import describe

if TYPE_CHECKING:
    import pytest


@tool
def fetch(url: str, ctx: ToolContext) -> list[int]:
    """Fetch."""
    ctx.progress("half way")
    return [1, 2, 3]


class Decides:
    def pre_prompt(self, state: Any, log: Any, ctx: Any, step: int) -> Compact | None:
        return Compact() if step == 3 else None

    def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Deny | None:
        return Deny("too far") if step == 2 else None


def run(hooks: list[object]) -> None:
    script: list[Any] = [
        ToolCall("fetch", {"url": "a\x1b[2J"}),
        RateLimited("slow down"),
        ToolCall("fetch", {"url": "b"}),
        ToolCall("done", {"answer": "x"}),
    ]
    for _ in composable_loop(MockLLMBackend(script), "Look\nup", [fetch], hooks=[*hooks, Decides()]):
        pass


def test_every_kind_of_event_has_its_line() -> None:
    out = io.StringIO()
    run([DebugHook(out)])
    text = out.getvalue()
    for part in (
        "with mock, 2 tools: Look\\nup\n",
        "request 1: 1 messages\n",
        "reply 1: calls fetch (",
        "call fetch(url='a\\x1b[2J')\n",
        "fetch: half way\n",
        "#1 ✓ fetch(url=",
        "request 2 failed: RateLimited: slow down; again in 0.",
        "Decides.pre_dispatch: deny fetch: too far\n",
        "compacted: 5 messages became 3\n",
        "ended: done (completed), output: x (",
    ):
        assert part in text, f"{part!r} is missing in\n{text}"


def test_no_control_character_reaches_the_terminal() -> None:
    out = io.StringIO()
    run([DebugHook(out)])
    assert "\x1b" not in out.getvalue()


def test_it_prints_to_standard_error_by_default(capsys: pytest.CaptureFixture[str]) -> None:
    run([DebugHook()])
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") > 10


def test_a_resumed_run_says_where_it_goes_on() -> None:
    assert describe(RunResumed("id", 3)) == "run id goes on after step 3"


def test_notices_are_shown_and_unknown_events_are_not() -> None:
    assert describe(Noticed("using the text protocol")) == "note: using the text protocol"
    assert describe(Event()) is None
