from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from looplet.backends.mock import MockLLMBackend
from looplet.config import LoopConfig
from looplet.errors import (
    AuthError,
    ContextOverflow,
    MalformedReply,
    RateLimited,
    ReplayMismatch,
    ToolsUnsupported,
    TraceError,
)
from looplet.hooks.provenance import ProvenanceSink
from looplet.loop import composable_loop
from looplet.messages import RawCall, Reply
from looplet.replay import recorded_config, replay_loop
from looplet.tools.spec import ToolSpec
from looplet.trace.read import load_trace
from looplet.types import ToolCall

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.result import RunResult

EXECUTED: list[str] = []


def book(hotel: str, nights: int = 1) -> dict[str, Any]:
    """Book a hotel."""
    EXECUTED.append(hotel)
    return {"hotel": hotel, "nights": nights, "booking": len(EXECUTED)}


def look(around: bool = True) -> str:
    """Look around."""
    return "nothing"


TOOLS: list[Any] = [book, ToolSpec("look", "Look around.", {"around": "bool?"}, look, free=True)]
SCRIPT: list[Any] = [
    RateLimited("slow down", retry_after=60.0),
    [ToolCall("book", {"hotel": "Ritz", "nights": "2"}), ToolCall("book", {"hotel": "Ritz"})],
    ToolCall("look", {}),
    ToolCall("book", {"hotel": "Ritz"}),
    ToolCall("bok", {}),
    "Both are booked.",
]


@pytest.fixture(autouse=True)
def _forget() -> None:
    EXECUTED.clear()


def record(path: Path, **options: Any) -> RunResult:
    llm = MockLLMBackend([RateLimited("slow down", retry_after=0.001), *SCRIPT[1:]])
    config = LoopConfig(temperature=0.5, max_tokens=99, max_steps=5, extra={"seed": 1})
    run = composable_loop(
        llm, task={"city": "Paris"}, tools=TOOLS, config=config, hooks=[ProvenanceSink(path, **options)]
    )
    for _ in run:
        pass
    return run.result


def play(path: Path, **options: Any) -> RunResult:
    run = replay_loop(path, **options)
    for _ in run:
        pass
    return run.result


def essence(result: RunResult) -> Any:
    steps = [
        (
            step.tool_call.tool,
            step.tool_call.args,
            step.tool_result.data,
            step.tool_result.error,
            step.tool_result.warnings,
        )
        for step in result.steps
    ]
    return result.stop_reason, result.task, result.output, result.errors, result.usage, steps


def test_a_recording_plays_to_the_same_end_without_touching_the_world(tmp_path: Path) -> None:
    live = record(tmp_path / "t")
    assert live.stop_reason == "done"
    assert len(live.steps) == 6  # one of them free of charge
    EXECUTED.clear()
    assert essence(play(tmp_path / "t")) == essence(live)
    assert essence(play(tmp_path / "t", tools="recorded")) == essence(live)
    assert EXECUTED == []


BOOK = ToolCall("book", {"hotel": "Ritz"})
TEXT_BOOK = '{"tool": "book", "args": {"hotel": "Ritz"}}'
TEXT_DONE = '{"tool": "done", "args": {"answer": "booked"}}'


@pytest.mark.parametrize(
    ("script", "settings"),
    [
        ([TEXT_BOOK, "I am not sure", TEXT_DONE], {"tool_mode": "text"}),
        ([ToolsUnsupported("no tools"), TEXT_BOOK, TEXT_DONE], {}),
        ([BOOK, ToolsUnsupported("no tools"), TEXT_DONE], {}),
        ([BOOK, BOOK, BOOK, ContextOverflow("too long"), "booked"], {}),
        ([BOOK, BOOK, "two, I think"], {"max_steps": 2, "final_answer": True}),
        ([BOOK, MalformedReply("half a call"), "booked"], {}),
        ([BOOK, AuthError("wrong key")], {}),
        ([Reply("cut", finish_reason="length"), "", "", ""], {}),
        ([Reply("", (RawCall("book", '{"hotel": ', "x"), RawCall("book", '{"hotel": "Ritz"}', "x"))), "booked"], {}),
    ],
    ids=["text", "no-tools", "no-tools-later", "overflow", "final", "malformed", "auth", "parse", "broken-arguments"],
)
@pytest.mark.filterwarnings("ignore:the run ended before its first step")
def test_whatever_happened_happens_again(tmp_path: Path, script: list[Any], settings: dict[str, Any]) -> None:
    config = LoopConfig(**settings)
    run = composable_loop(
        MockLLMBackend(script), "book a room", [book], config=config, hooks=[ProvenanceSink(tmp_path / "t")]
    )
    for _ in run:
        pass
    assert load_trace(tmp_path / "t") == run.result
    assert essence(play(tmp_path / "t")) == essence(run.result)


def test_tools_of_your_own_really_run(tmp_path: Path) -> None:
    live = record(tmp_path / "t")
    EXECUTED.clear()
    assert essence(play(tmp_path / "t", tools=TOOLS)) == essence(live)
    assert EXECUTED == ["Ritz"] * 3


def test_a_replay_can_be_traced_and_replayed(tmp_path: Path) -> None:
    live = record(tmp_path / "t")
    play(tmp_path / "t", hooks=[ProvenanceSink(tmp_path / "again")])
    assert essence(play(tmp_path / "again")) == essence(live)


def test_a_redacted_recording_plays(tmp_path: Path) -> None:
    record(tmp_path / "t", redact=lambda text: text.replace("Ritz", "[hotel]").replace("Paris", "[city]"))
    result = play(tmp_path / "t")
    assert result.steps[0].tool_result.data == {"hotel": "[hotel]", "nights": 2, "booking": 1}


def test_changed_behaviour_is_a_mismatch_with_its_place(tmp_path: Path) -> None:
    record(tmp_path / "t")

    def book(hotel: str, nights: int = 1) -> str:
        """Book a hotel."""
        return "sold out"

    with pytest.raises(
        ReplayMismatch, match=r"messages\[2\].content differs at char 0: recorded .*hotel.* now 'sold out"
    ):
        play(tmp_path / "t", tools=[book, TOOLS[1]])
    stale = play(tmp_path / "t", tools=[book, TOOLS[1]], on_miss="stale")
    assert stale.stop_reason == "done"


def test_a_call_without_a_recorded_result_says_so(tmp_path: Path) -> None:
    record(tmp_path / "t")

    class OtherHotel:
        def pre_dispatch(self, state: Any, log: Any, tool_call: ToolCall, step: int) -> Any:
            from looplet.decisions import Allow

            return Allow(args={"hotel": "Savoy"}) if tool_call.tool == "book" else None

    result = play(tmp_path / "t", hooks=[OtherHotel()], on_miss="stale")
    assert result.steps[0].tool_result.error == "the recording holds no (further) result of book with these arguments"


def test_a_config_of_your_own_wins(tmp_path: Path) -> None:
    record(tmp_path / "t")
    config = LoopConfig(temperature=0.5, max_tokens=99, extra={"seed": 1})
    assert play(tmp_path / "t", config=config).stop_reason == "done"
    with pytest.raises(ReplayMismatch, match=r"settings\.temperature differs: recorded 0.5 now null"):
        play(tmp_path / "t", config=LoopConfig())


def test_the_recorded_settings_come_back() -> None:
    config = recorded_config({"system": "s", "settings": {"temperature": 0.1, "timeout_s": 9, "later": 1}})
    assert config == LoopConfig(system_prompt="s", temperature=0.1, llm_timeout_s=9)


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="is not a trace"):
        replay_loop(tmp_path / "nowhere")
    record(tmp_path / "run_1")
    with pytest.raises(TraceError, match=r"holds several traces \(run_1\); name one of them"):
        replay_loop(tmp_path)
    with pytest.raises(ValueError, match='give a registry, a list of tools, or "recorded"'):
        replay_loop(tmp_path / "run_1", tools="mine")  # type: ignore[arg-type]  # the mistake under test
