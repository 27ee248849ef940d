from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from looplet import composable_loop
from looplet.backends import MockLLMBackend, openai_wire
from looplet.errors import RateLimited, ScriptError
from looplet.messages import Capabilities, Message, Prompt, RawCall, Reply
from looplet.types import ToolCall

HELLO = Prompt("", (Message("user", "Hello"),))


def after(prompt: Prompt, reply: Reply) -> Prompt:
    """The next request of a conversation: the reply, and a result for each of its calls."""
    calls = tuple(ToolCall(call.name, dict(call.arguments), call_id=call.call_id) for call in reply.calls)  # type: ignore[arg-type]  # a mock's arguments are dicts
    results = tuple(Message("tool", "ok", call_id=call.call_id) for call in calls)
    return prompt.replace(messages=(*prompt.messages, Message("assistant", reply.text, calls), *results))


def test_strings_are_text_replies_in_order() -> None:
    mock = MockLLMBackend(["one", "two"])
    assert [mock.chat(HELLO).text, mock.chat(HELLO).text] == ["one", "two"]
    assert mock.prompts == [HELLO, HELLO]


def test_calls_are_native_turns_with_unique_ids() -> None:
    mock = MockLLMBackend([ToolCall("greet", {"name": "Bo"}), [ToolCall("a"), ToolCall("b", call_id="mine")]])
    first = mock.chat(HELLO)
    second = mock.chat(after(HELLO, first))
    assert first.calls == (RawCall("greet", {"name": "Bo"}, "call_1"),)
    assert [call.call_id for call in second.calls] == ["call_2", "mine"]
    assert first.finish_reason == "tool_calls"


def test_a_call_s_reasoning_is_the_text_of_the_turn() -> None:
    assert MockLLMBackend([ToolCall("a", reasoning="because")]).chat(HELLO).text == "because"


def test_ids_depend_on_the_conversation_and_not_on_who_else_is_served() -> None:
    mock = MockLLMBackend(lambda _prompt: ToolCall("a"))
    assert [mock.chat(HELLO).calls[0].call_id for _ in range(3)] == ["call_1"] * 3


def test_replies_pass_unchanged_and_exceptions_are_raised() -> None:
    reply = Reply("cut", finish_reason="length")
    mock = MockLLMBackend([reply, RateLimited("wait", retry_after=1), KeyboardInterrupt])
    assert mock.chat(HELLO) is reply
    with pytest.raises(RateLimited, match="wait"):
        mock.chat(HELLO)
    with pytest.raises(KeyboardInterrupt):
        mock.chat(HELLO)


def test_callables_see_the_prompt_and_may_answer_anything() -> None:
    mock = MockLLMBackend([lambda prompt: prompt.messages[0].content.upper(), lambda _: [ToolCall("a")]])
    assert mock.chat(HELLO).text == "HELLO"
    assert mock.chat(HELLO).calls[0].name == "a"


def test_one_callable_answers_every_request() -> None:
    mock = MockLLMBackend(lambda prompt: f"{len(prompt.messages)} messages")
    assert [mock.chat(HELLO).text for _ in range(3)] == ["1 messages"] * 3
    mock.assert_complete()


@pytest.mark.parametrize(
    ("responses", "native"),
    [(["text"], False), ([ToolCall("a"), "text"], True), ([], True), (lambda _: "text", True)],
)
def test_only_a_script_of_nothing_but_strings_has_no_native_tools(responses: object, native: bool) -> None:
    assert MockLLMBackend(responses).capabilities.native_tools is native  # type: ignore[arg-type]  # several forms


def test_capabilities_can_be_given() -> None:
    assert MockLLMBackend(["x"], capabilities=Capabilities()).capabilities == Capabilities()


def test_running_dry_says_how_many_there_were_and_what_was_asked() -> None:
    mock = MockLLMBackend(["only"])
    mock.chat(HELLO)
    with pytest.raises(ScriptError, match=r"has 1 response and this is request 2.*'user: Hello'.*cycle=True"):
        mock.chat(HELLO)


def test_the_last_message_is_shortened_and_harmless() -> None:
    with pytest.raises(ScriptError) as caught:
        MockLLMBackend([]).chat(Prompt("", (Message("user", "\x1b[2J" + "x" * 9000),)))
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_cycle_starts_over() -> None:
    mock = MockLLMBackend(["a", "b"], cycle=True)
    assert [mock.chat(HELLO).text for _ in range(5)] == ["a", "b", "a", "b", "a"]


def test_assert_complete_counts_what_is_left() -> None:
    mock = MockLLMBackend(["a", "b", "c"])
    mock.chat(HELLO)
    with pytest.raises(ScriptError, match="asked once, 2 of 3 responses are left"):
        mock.assert_complete()
    mock.chat(HELLO)
    mock.chat(HELLO)
    mock.assert_complete()


@pytest.mark.parametrize("answer", [None, 7, [], ["text"], lambda _: None])
def test_an_impossible_answer_is_named(answer: object) -> None:
    with pytest.raises(ScriptError, match="cannot answer with"):
        MockLLMBackend([answer]).chat(HELLO)  # type: ignore[list-item]  # the point


@pytest.mark.parametrize("responses", ["text", ToolCall("a"), Reply("x"), ValueError("x")])
def test_a_bare_response_is_refused_with_the_list_to_write(responses: object) -> None:
    with pytest.raises(TypeError, match=r"write MockLLMBackend\(\["):
        MockLLMBackend(responses)  # type: ignore[arg-type]  # the point


def test_a_request_a_server_would_refuse_is_an_error() -> None:
    orphan = HELLO.replace(messages=(*HELLO.messages, Message("tool", "ok", call_id="c9")))
    with pytest.raises(ScriptError, match=r"request 1 to 'mock' would be refused.*'c9'"):
        MockLLMBackend(["x"]).chat(orphan)


def test_every_request_of_a_growing_conversation_is_checked() -> None:
    mock = MockLLMBackend(lambda _prompt: ToolCall("a"))
    prompt = HELLO
    for _ in range(5):
        prompt = after(prompt, mock.chat(prompt))
    assert [call.call_id for message in prompt.messages for call in message.tool_calls] == [
        f"call_{number}" for number in range(1, 6)
    ]
    broken = prompt.replace(messages=prompt.messages[:-1])
    with pytest.raises(ScriptError, match="call_5"):
        mock.chat(broken)


def test_a_history_that_changed_is_checked_again() -> None:
    mock = MockLLMBackend(lambda _prompt: ToolCall("a"))
    prompt = HELLO
    for _ in range(5):
        prompt = after(prompt, mock.chat(prompt))
    spoilt = prompt.replace(messages=(*prompt.messages[:2], Message("user", "no result"), *prompt.messages[3:]))
    with pytest.raises(ScriptError, match="call_1"):
        mock.chat(spoilt)


def test_each_message_is_read_a_bounded_number_of_times(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[Message] = []
    original = openai_wire.openai_message

    def counting(message: Message) -> dict[str, Any]:
        read.append(message)
        return original(message)

    monkeypatch.setattr(openai_wire, "openai_message", counting)
    mock, messages = MockLLMBackend(lambda _prompt: "x"), [Message("user", str(number)) for number in range(60)]
    for length in range(1, 61):
        mock.chat(Prompt("", (*messages[:length], Message("user", "injected, gone from the next request"))))
    assert len(read) <= 3 * 60


def test_text_injected_at_the_end_is_not_remembered() -> None:
    mock = MockLLMBackend(lambda _prompt: ToolCall("a"))
    prompt = after(HELLO, mock.chat(HELLO))
    mock.chat(prompt.replace(messages=(*prompt.messages, Message("user", "note"))))
    assert mock.chat(prompt).calls[0].call_id == "call_2"


def test_usage_is_a_fixed_estimate() -> None:
    mock = MockLLMBackend(["y" * 40] * 2, capabilities=Capabilities())
    prompt = Prompt("s" * 40, (Message("user", "x" * 80),))
    usage = mock.chat(prompt).usage
    assert usage is not None
    assert (usage.input_tokens, usage.output_tokens, usage.cost) == (30, 10, None)
    assert mock.chat(prompt).usage == usage


def test_threads_get_each_response_once() -> None:
    mock = MockLLMBackend([str(number) for number in range(200)])
    with ThreadPoolExecutor(8) as pool:
        texts = list(pool.map(lambda _: mock.chat(HELLO).text, range(200)))
    assert sorted(texts, key=int) == [str(number) for number in range(200)]
    mock.assert_complete()


def test_a_scripted_provider_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    naps: list[float] = []
    monkeypatch.setattr("looplet._drivers.sync.time.sleep", naps.append)
    script = MockLLMBackend([RateLimited("wait", retry_after=7), ToolCall("done", {"answer": "ok"})])
    assert len(list(composable_loop(llm=script, tools=[], task="go"))) == 1
    assert naps == []


def test_a_stream_is_the_same_reply_in_pieces() -> None:
    heard: list[tuple[str, bool]] = []
    mock = MockLLMBackend([Reply(text=" one two  three", reasoning="hm"), ToolCall("a")])
    reply = mock.stream(HELLO, lambda text, reasoning=False: heard.append((text, reasoning)))
    assert reply.text == " one two  three"
    assert heard[0] == ("hm", True)
    assert "".join(text for text, reasoning in heard if not reasoning) == reply.text
    assert len(heard) > 3
    heard.clear()
    assert mock.stream(after(HELLO, reply), lambda text, reasoning=False: heard.append((text, reasoning))).calls
    assert heard == []
    mock.assert_complete()
