"""Models that are listened to: sync, async, streamed; what is written of their calls."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from looplet import Capabilities, Message, MockLLMBackend, Prompt, Reply, Usage
from looplet.backends.adapter import adapt
from looplet.errors import RateLimited, TraceError
from looplet.events import RunStarted
from looplet.trace.read import load_trace, read_journal
from looplet.trace.redact import Redaction, Redactor
from looplet.trace.replay import ReplayBackend
from pytest_looplet.judges.taps import JournalTap, tapped

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.errors import BackendError

PROMPT = Prompt("", (Message("user", "hello"),))
HEADER = RunStarted("calls", "calls of an eval", "", (), 0, {}, "mock", Capabilities())


class Listener:
    """Notes what passes, and changes it."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def sent(self, prompt: Prompt) -> Prompt:
        self.heard.append("sent")
        return prompt.map_text(str.upper)

    def took(self, prompt: Prompt, reply: Reply, duration_ms: float) -> Reply:
        self.heard.append(f"took {prompt.messages[0].content}")
        return reply.replace(text=reply.text.title())

    def failed(self, prompt: Prompt, error: BackendError) -> None:
        self.heard.append(f"failed {type(error).__name__}")


class Async:
    name = "slow"
    capabilities = Capabilities()

    async def chat(self, prompt: Prompt) -> Reply:
        if prompt.messages[0].content == "FAIL":
            raise RateLimited("wait")
        return Reply(text=f"so {prompt.messages[0].content}")

    async def stream(self, prompt: Prompt, on_chunk: Any) -> Reply:
        on_chunk("a")
        return await self.chat(prompt)


def journal_tap(path: Path, **options: Any) -> JournalTap:
    return JournalTap(path, lambda: HEADER, Redaction(Redactor()), **options)


def test_a_tap_hears_and_changes_what_passes() -> None:
    tap, llm = Listener(), MockLLMBackend(["good day"], name="butler")
    model = tapped(llm, tap)
    assert model.chat(PROMPT).text == "Good Day"
    assert llm.prompts[0].messages[0].content == "HELLO"
    assert tap.heard == ["sent", "took HELLO"]
    assert (model.name, model.capabilities, model.no_sleep) == ("butler", llm.capabilities, True)  # type: ignore[attr-defined]  # the mock's


def test_a_streamed_reply_passes_too() -> None:
    tap, chunks = Listener(), list[str]()
    model: Any = tapped(MockLLMBackend(["good day"]), tap)
    assert model.stream(PROMPT, lambda text, reasoning=False: chunks.append(text)).text == "Good Day"
    assert chunks == ["good", " day"]


def test_a_model_that_cannot_stream_still_cannot() -> None:
    class Plain:
        def chat(self, prompt: Prompt) -> Reply:
            return Reply(text="x")

    assert not hasattr(tapped(adapt(Plain()), Listener()), "stream")


def test_failures_of_a_provider_are_heard_and_others_are_not() -> None:
    tap = Listener()
    model = tapped(MockLLMBackend([RateLimited("wait"), TimeoutError("late"), ZeroDivisionError()]), tap)
    for error in (RateLimited, TimeoutError, ZeroDivisionError):
        with pytest.raises(error):
            model.chat(PROMPT)
    assert tap.heard == ["sent", "failed RateLimited", "sent", "failed BackendTimeout", "sent"]


def test_an_async_model_stays_one() -> None:
    tap = Listener()
    model: Any = tapped(adapt(Async()), tap)

    async def ask() -> None:
        assert (await model.chat(PROMPT)).text == "So Hello"
        assert (await model.stream(PROMPT, lambda text: None)).text == "So Hello"
        with pytest.raises(RateLimited):
            await model.chat(Prompt("", (Message("user", "fail"),)))

    assert model.is_async
    asyncio.run(ask())
    assert tap.heard == ["sent", "took HELLO"] * 2 + ["sent", "failed RateLimited"]


def test_calls_are_written_as_a_trace_that_can_be_played(tmp_path: Path) -> None:
    tap = journal_tap(tmp_path / "calls")
    model = tapped(MockLLMBackend([RateLimited("wait"), Reply(text="one", usage=Usage(5, 1)), "two"]), tap)
    with pytest.raises(RateLimited):
        model.chat(PROMPT)
    assert tap.failed_last
    assert [model.chat(PROMPT).text for _ in range(2)] == ["one", "two"]
    assert not tap.failed_last
    tap.close()
    assert load_trace(tmp_path / "calls").usage.input_tokens > 5
    replay = ReplayBackend(tmp_path / "calls")
    with pytest.raises(RateLimited):
        replay.chat(PROMPT)
    assert [replay.chat(PROMPT).text for _ in range(2)] == ["one", "two"]


def test_without_calls_there_is_no_trace(tmp_path: Path) -> None:
    tap = journal_tap(tmp_path / "calls")
    tapped(MockLLMBackend([]), tap)
    tap.close()
    assert not (tmp_path / "calls").exists()


def test_what_is_written_is_redacted(tmp_path: Path) -> None:
    tap = journal_tap(tmp_path / "calls")
    key = "sk-" + "a1" * 20
    tapped(MockLLMBackend([f"the key is {key}"]), tap).chat(Prompt("", (Message("user", f"use {key}"),)))
    tap.close()
    assert key not in (tmp_path / "calls" / "journal.jsonl").read_text()
    assert len(read_journal(tmp_path / "calls").exchanges) == 1


def test_a_trace_that_cannot_be_begun_is_an_error_only_where_it_is_wanted(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    model = tapped(MockLLMBackend(["one"]), journal_tap(tmp_path / "file" / "calls"))
    assert model.chat(PROMPT).text == "one"
    with pytest.raises(TraceError):
        tapped(MockLLMBackend(["one"]), journal_tap(tmp_path / "file" / "calls", strict=True)).chat(PROMPT)
