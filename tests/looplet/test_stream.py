"""`LoopConfig(stream=True)`: watchers see replies as they are generated, and nothing else changes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_async, run_sync

from looplet import Capabilities, LoopConfig, MockLLMBackend, Prompt, Reply, ToolCall
from looplet.events import ModelChunk
from looplet.messages import RawCall

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.support.drive import Drive

    from looplet.events import Event

STREAM = LoopConfig(stream=True)


class Chunks:
    """Keeps the pieces it is shown."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, str, bool]] = []

    def on_event(self, event: Event) -> None:
        if isinstance(event, ModelChunk):
            self.seen.append((event.call, event.text, event.reasoning))


class Streaming:
    """A model that thinks, then answers in two pieces."""

    name = "streaming"
    capabilities = Capabilities()

    def chat(self, prompt: Prompt) -> Reply:
        return Reply("forty-two", reasoning="hm")

    def stream(self, prompt: Prompt, on_chunk: Callable[..., None]) -> Reply:
        on_chunk("hm", reasoning=True)
        on_chunk("forty")
        on_chunk("-two")
        return self.chat(prompt)


class AsyncStreaming(Streaming):
    is_async = True

    async def chat(self, prompt: Prompt) -> Reply:  # type: ignore[override]
        return Reply("forty-two")

    async def stream(self, prompt: Prompt, on_chunk: Callable[..., None]) -> Reply:  # type: ignore[override]
        on_chunk("forty-two")
        return Reply("forty-two")


PIECES = [(1, "hm", True), (1, "forty", False), (1, "-two", False)]


def test_pieces_are_shown_in_order_and_the_result_is_the_same(drive: Drive) -> None:
    watcher = Chunks()
    assert drive(Streaming(), hooks=[watcher], config=STREAM).output == "forty-two"
    assert watcher.seen[:3] == PIECES
    assert drive(Streaming()).output == "forty-two"


def test_nothing_is_streamed_unless_asked_for() -> None:
    watcher = Chunks()
    run_sync(Streaming(), hooks=[watcher])
    assert watcher.seen == []


def test_an_async_model_streams_too() -> None:
    watcher = Chunks()
    assert run_async(AsyncStreaming(), hooks=[watcher], config=STREAM).output == "forty-two"
    assert watcher.seen == [(1, "forty-two", False)]


def test_a_model_that_cannot_stream_gives_one_piece(drive: Drive) -> None:
    watcher = Chunks()
    script: list[Any] = [Reply("forty-two")]
    drive(MockLLMBackend(script), hooks=[watcher], config=STREAM)
    assert watcher.seen[0] == (1, "forty-two", False)


def test_replies_with_calls_have_no_text_to_show_but_the_run_goes_on(drive: Drive) -> None:
    assert drive([ToolCall("done", {"answer": "x"})], config=STREAM).output == "x"


class Whole:
    """A model that cannot stream, and gives this reply."""

    name = "whole"
    capabilities = Capabilities()

    def __init__(self, reply: Any) -> None:
        self.reply = reply

    def chat(self, prompt: Prompt) -> Any:
        return self.reply


class AsyncWhole(Whole):
    is_async = True

    async def chat(self, prompt: Prompt) -> Any:
        return self.reply


WHOLE = pytest.mark.parametrize(("run", "model"), [(run_sync, Whole), (run_async, Whole), (run_async, AsyncWhole)])


@WHOLE
def test_one_piece_is_shown_as_thinking_and_text_and_nothing_of_a_reply_of_calls(run: Any, model: Any) -> None:
    for reply, shown in [
        (Reply("so", reasoning="hm"), [(1, "hm", True), (1, "so", False)]),
        (Reply("", (RawCall("done", {"answer": "x"}, "c1"),)), []),
    ]:
        watcher = Chunks()
        run(model(reply), hooks=[watcher], config=STREAM)
        assert watcher.seen == shown


@WHOLE
def test_what_is_no_reply_is_refused_as_without_streaming(run: Any, model: Any) -> None:
    with pytest.raises(TypeError, match=r"chat\(\) returned str; a backend answers with a looplet Reply"):
        run(model("text"), config=STREAM)
