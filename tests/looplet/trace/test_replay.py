from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest
from tests.support.traces import Script, cheese_run, write_trace

from looplet.errors import (
    BackendError,
    MalformedReply,
    RateLimited,
    ReplayMismatch,
    ToolsUnsupported,
    TraceError,
)
from looplet.events import Event, ModelReplied
from looplet.messages import Capabilities, Message, Prompt, Reply
from looplet.trace.redact import redaction
from looplet.trace.replay import ReplayBackend
from looplet.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from pathlib import Path


def prompts(events: list[Event]) -> list[Prompt]:
    return [event.prompt for event in events if isinstance(event, ModelReplied)]


def replies(events: list[Event]) -> list[Reply]:
    return [event.reply for event in events if isinstance(event, ModelReplied)]


@pytest.fixture
def cheese(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "cheese", cheese_run())


def test_the_same_requests_get_the_same_replies(cheese: Path) -> None:
    backend = ReplayBackend(cheese)
    assert [backend.chat(prompt) for prompt in prompts(cheese_run())] == replies(cheese_run())
    assert backend.leftover == 0
    assert backend.stale is None


def test_it_declares_what_was_recorded(tmp_path: Path) -> None:
    script = Script(capabilities=Capabilities(native_tools=False, context_window=99), model="tiny")
    backend = ReplayBackend(write_trace(tmp_path / "t", [*script.finish()]))
    assert backend.capabilities == Capabilities(native_tools=False, context_window=99)
    assert backend.name == "tiny"
    assert backend.no_sleep
    assert (backend.header["task"], backend.header["max_steps"]) == ("find cheese", 15)


def test_new_call_ids_are_the_same_request(cheese: Path) -> None:
    second = prompts(cheese_run())[1]
    assistant, result = second.messages[1:]
    changed = second.replace(
        messages=(
            second.messages[0],
            assistant.replace(tool_calls=(assistant.tool_calls[0].replace(call_id="fresh"),)),
            result.replace(call_id="fresh"),
        )
    )
    assert ReplayBackend(cheese).chat(changed) == replies(cheese_run())[1]


def test_equal_requests_get_their_replies_in_order_each_once(tmp_path: Path) -> None:
    script = Script()
    for text in ("one", "two"):
        script.reply(Reply(text))
        script.conversation.pop()
    backend = ReplayBackend(write_trace(tmp_path / "t", script.events))
    assert [backend.chat(script.prompt()).text for _ in range(2)] == ["one", "two"]
    with pytest.raises(ReplayMismatch):
        backend.chat(script.prompt())


def test_a_miss_names_the_nearest_recording_and_the_first_difference(cheese: Path) -> None:
    backend = ReplayBackend(cheese)
    backend.chat(prompts(cheese_run())[0])
    second = prompts(cheese_run())[1]
    changed = second.replace(messages=(*second.messages[:2], second.messages[2].replace(content="[]")))
    with pytest.raises(ReplayMismatch) as caught:
        backend.chat(changed)
    assert str(caught.value) == (
        f"request 2 has no recorded reply. The nearest is request 2 of {str(cheese)!r}: messages[2].content differs at "
        'char 1: recorded \'[{"id":1,"name":"Gouda, old a…\' now \'[]\'. Record it again if the change is meant'
    )
    assert backend.leftover == 2


def test_stale_plays_the_next_reply_and_remembers_the_first_difference(cheese: Path) -> None:
    backend = ReplayBackend(cheese, on_miss="stale")
    changed = [prompt.replace(system="Be bold.") for prompt in prompts(cheese_run())]
    assert [backend.chat(prompt) for prompt in changed] == replies(cheese_run())
    assert backend.stale == "request 1: system differs at char 4: recorded 'Be brief.' now 'Be bold.'"


@pytest.mark.parametrize("on_miss", ["strict", "stale"])
def test_asking_for_more_than_was_recorded_is_a_mismatch_at_once(cheese: Path, on_miss: str) -> None:
    backend = ReplayBackend(cheese, on_miss=on_miss)  # type: ignore[arg-type]  # a parameter of the test
    for prompt in prompts(cheese_run()):
        backend.chat(prompt)
    with pytest.raises(ReplayMismatch, match=r"request 4 has no recorded reply: all 3 replies .* were played"):
        backend.chat(prompts(cheese_run())[2].replace(system="another"))


def test_recorded_errors_are_raised_again_as_what_they_were(tmp_path: Path) -> None:
    script = Script()
    script.fail("RateLimited", "slow down", retry_after=30.0, request_id="r7")
    script.fail("MalformedReply", "half a call", status=None, retriable=False)
    script.fail("SomethingNew", "who knows")
    script.reply(Reply("at last"))
    backend = ReplayBackend(write_trace(tmp_path / "t", script.events))
    prompt = prompts(script.events)[-1]
    with pytest.raises(RateLimited, match="slow down") as limited:
        backend.chat(prompt)
    assert (limited.value.status, limited.value.retry_after, limited.value.request_id) == (429, 30.0, "r7")
    assert limited.value.retriable
    with pytest.raises(MalformedReply):
        backend.chat(prompt)
    with pytest.raises(BackendError, match="SomethingNew: who knows"):
        backend.chat(prompt)
    assert backend.chat(prompt).text == "at last"


def test_a_backend_that_turned_out_to_take_no_tools_does_so_again(tmp_path: Path) -> None:
    script = Script()
    script.fail("ToolsUnsupported", "no tools here", retriable=False)
    backend = ReplayBackend(write_trace(tmp_path / "t", script.events))
    assert backend.capabilities.native_tools
    with pytest.raises(ToolsUnsupported):
        backend.chat(script.prompt())
    assert not backend.capabilities.native_tools


def two_runs(tmp_path: Path) -> tuple[Path, list[Prompt], list[Prompt]]:
    other = Script("find wine")
    other.turn(ToolCall("search", {"query": "red"}, call_id="c1"), ToolResult("search", "merlot"))
    other.turn(ToolCall("done", {"answer": "merlot"}, call_id="c2"), ToolResult("done", "merlot"), "Cheers.")
    write_trace(tmp_path / "case" / "run_1", cheese_run())
    write_trace(tmp_path / "case" / "run_2", other.finish())
    return tmp_path / "case", prompts(cheese_run()), prompts(other.events)


def test_a_directory_of_several_runs_answers_each_of_them_in_any_order(tmp_path: Path) -> None:
    path, cheese, wine = two_runs(tmp_path)
    backend = ReplayBackend(path)
    texts = [backend.chat(prompt).text for prompt in (cheese[0], wine[0], cheese[1], wine[1], cheese[2])]
    assert texts == ["", "", "", "Cheers.", "That is all."]
    assert backend.leftover == 0


def test_a_stale_request_is_answered_from_the_run_it_resembles(tmp_path: Path) -> None:
    path, cheese, wine = two_runs(tmp_path)
    backend = ReplayBackend(path, on_miss="stale")
    assert backend.chat(wine[0].replace(system="x")).calls[0].arguments == '{"query": "red"}'
    assert backend.chat(cheese[0].replace(system="x")).calls[0].arguments == '{"query": "käse"}'
    assert backend.chat(wine[1].replace(system="x")).text == "Cheers."
    with pytest.raises(ReplayMismatch, match="run_2' were played"):
        backend.chat(wine[1].replace(system="x"))


def test_several_directories_may_be_given(tmp_path: Path) -> None:
    path, cheese, wine = two_runs(tmp_path)
    backend = ReplayBackend(path / "run_2", path / "run_1")
    assert backend.header["task"] == "find wine"
    assert backend.chat(cheese[0])
    assert backend.chat(wine[0])


def test_a_redacted_recording_answers_unredacted_requests(tmp_path: Path) -> None:
    secret = "sk-" + "z" * 30
    script = Script(f"use {secret}")
    script.reply(Reply("fine"))
    path = write_trace(tmp_path / "t", script.events, redaction=redaction(True))
    assert ReplayBackend(path).chat(prompts(script.events)[0]).text == "fine"


def test_a_recording_with_a_redaction_of_your_own_needs_it_again(tmp_path: Path) -> None:
    def hide(text: str) -> str:
        return text.replace("brie", "[cheese]")

    script = Script("eat brie")
    script.reply(Reply("fine"))
    path = write_trace(tmp_path / "t", script.events, redaction=redaction(hide))
    prompt = prompts(script.events)[0]
    assert ReplayBackend(path, redact=hide).chat(prompt).text == "fine"
    with pytest.raises(ReplayMismatch, match=r"written with redact=.*hide; give ReplayBackend the same redact=\)"):
        ReplayBackend(path).chat(prompt)


def test_threads_may_share_it(tmp_path: Path) -> None:
    for number in range(8):
        script = Script(f"task {number}")
        for turn in range(20):
            script.reply(Reply(f"{number}/{turn}"))
            script.say("go on")
        write_trace(tmp_path / "t" / f"run_{number}", script.finish())
    backend = ReplayBackend(tmp_path / "t")
    wrong: list[str] = []

    def play(number: int) -> None:
        conversation = [Message("user", f"task {number}")]
        recorded = Script(f"task {number}").prompt()
        for turn in range(20):
            reply = backend.chat(recorded.replace(messages=tuple(conversation)))
            if reply.text != f"{number}/{turn}":
                wrong.append(reply.text)
            conversation += [Message("assistant", reply.text), Message("user", "go on")]

    threads = [threading.Thread(target=play, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    assert backend.leftover == 0


def test_wrong_arguments_are_named(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="needs the directory of a trace"):
        ReplayBackend()
    with pytest.raises(ValueError, match="on_miss='lenient': use 'strict' or 'stale'"):
        ReplayBackend(tmp_path, on_miss="lenient")  # type: ignore[arg-type]  # the mistake under test
    with pytest.raises(TraceError, match="is neither a trace nor a directory of traces run_1, run_2"):
        ReplayBackend(tmp_path)
