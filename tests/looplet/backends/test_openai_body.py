from __future__ import annotations

import json
from typing import TYPE_CHECKING

from hypothesis import given
from hypothesis import strategies as st

from looplet.backends import openai_body
from looplet.backends.openai_body import BodyEncoder
from looplet.backends.openai_wire import openai_messages
from looplet.messages import Message, Prompt
from looplet.types import ToolCall

if TYPE_CHECKING:
    import pytest

MESSAGES = st.lists(
    st.builds(Message, st.sampled_from(["user", "assistant"]), st.text(max_size=6))
    | st.builds(
        Message,
        st.just("assistant"),
        st.text(max_size=3),
        st.tuples(st.builds(ToolCall, st.just("t"), st.dictionaries(st.text(max_size=3), st.text(max_size=3)))),
    ),
    min_size=1,
    max_size=8,
)


def decoded(encoder: BodyEncoder, prompt: Prompt) -> object:
    with encoder.body({"model": "m"}, prompt) as pieces:
        return json.loads(b"".join(pieces))


@given(
    messages=MESSAGES,
    other=MESSAGES,
    lengths=st.lists(st.integers(1, 8), max_size=6),
    system=st.sampled_from(["", "Be brief."]),
)
def test_a_body_is_the_same_whatever_was_encoded_before(
    messages: list[Message], other: list[Message], lengths: list[int], system: str
) -> None:
    encoder = BodyEncoder()
    prompts = [Prompt(system, tuple(messages[:length])) for length in lengths]
    prompts += [Prompt(system, (messages[0], *other)), Prompt(system + "!", tuple(messages))]
    for prompt in prompts:
        assert decoded(encoder, prompt) == {"messages": openai_messages(prompt), "model": "m"}


def test_each_message_is_encoded_once(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Message] = []

    def counting(message: Message) -> dict[str, object]:
        encoded.append(message)
        return {"role": message.role, "content": message.content}

    monkeypatch.setattr(openai_body, "openai_message", counting)
    encoder, messages = BodyEncoder(), tuple(Message("user", str(number)) for number in range(50))
    for length in range(1, 51):
        note = Message("user", "injected, gone from the next request")
        decoded(encoder, Prompt("", (*messages[:length], note)))
    assert [message for message in encoded if message in messages] == list(messages)


def test_conversations_that_take_turns_keep_their_own_buffers() -> None:
    encoder = BodyEncoder()
    tasks = [Message("user", f"task {number}") for number in range(100)]
    for _ in range(2):
        for task in tasks:
            prompt = Prompt("", (task, Message("assistant", "ok")))
            assert decoded(encoder, prompt) == {"messages": openai_messages(prompt), "model": "m"}
    assert len(encoder._known) == 64


def test_a_conversation_in_use_is_not_shared() -> None:
    encoder, task = BodyEncoder(), Message("user", "task")
    first, second = Prompt("", (task, Message("assistant", "a"))), Prompt("", (task, Message("assistant", "b")))
    decoded(encoder, first)
    with encoder.body({"model": "m"}, first) as pieces:
        decoded(encoder, second)
        assert json.loads(b"".join(pieces)) == {"messages": openai_messages(first), "model": "m"}


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_body, "_KEPT_BYTES", 1000)
    encoder = BodyEncoder()
    tasks = [Message("user", "x" * 400) for _ in range(10)]
    for task in tasks:
        decoded(encoder, Prompt("", (task,)))
    assert len(encoder._known) == 2
