from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from looplet.backends import FallbackBackend, MockLLMBackend, adapt
from looplet.messages import Capabilities, Message, Prompt, Reply, Settings
from looplet.types import Usage

HELLO = Prompt("Be brief.", (Message("user", "Hello"),))


class Recorder:
    """A `generate` object that keeps what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def record(self, prompt: str, **keywords: Any) -> str:
        self.calls.append((prompt, keywords))
        return "reply"


class Full(Recorder):
    def generate(
        self, prompt: str, *, max_tokens: int = 9, system_prompt: str = "", temperature: float | None = 0.2
    ) -> str:
        return self.record(prompt, max_tokens=max_tokens, system_prompt=system_prompt, temperature=temperature)


class Bare(Recorder):
    def generate(self, prompt: str) -> str:
        return self.record(prompt)


class Greedy(Recorder):
    def generate(self, prompt: str, **keywords: Any) -> str:
        return self.record(prompt, **keywords)


def test_a_complete_backend_stays_what_it_is() -> None:
    mock = MockLLMBackend(["x"])
    assert adapt(mock) is mock


def test_a_bare_chat_object_gets_a_name_and_capabilities() -> None:
    class Mine:
        model = "mine-7b"
        extra = "kept"

        def chat(self, prompt: Prompt) -> Reply:
            return Reply("hi")

    model: Any = adapt(Mine())
    assert model.name == "mine-7b"
    assert model.capabilities == Capabilities()
    assert model.chat(HELLO).text == "hi"
    assert not model.is_async
    assert model.extra == "kept"


def test_a_chat_object_without_any_name_is_called_by_its_class() -> None:
    class Mine:
        def chat(self, prompt: Prompt) -> Reply:
            return Reply("hi")

    assert adapt(Mine()).name == "Mine"


def test_an_async_chat_is_marked() -> None:
    class Mine:
        name = "mine"
        capabilities = Capabilities(native_tools=False)

        async def chat(self, prompt: Prompt) -> Reply:
            return Reply("hi")

    model: Any = adapt(Mine())
    assert model.is_async
    assert model.capabilities is Mine.capabilities


def test_a_generate_object_is_a_text_model() -> None:
    llm = Full()
    model = adapt(llm)
    assert not model.capabilities.native_tools
    assert model.chat(HELLO.replace(settings=Settings(temperature=0.0, max_tokens=5))).text == "reply"
    assert llm.calls == [("Hello", {"max_tokens": 5, "system_prompt": "Be brief.", "temperature": 0.0})]


def test_what_is_not_set_is_left_to_generate() -> None:
    llm = Full()
    adapt(llm).chat(HELLO.replace(system=""))
    assert llm.calls == [("Hello", {"max_tokens": 9, "system_prompt": "", "temperature": 0.2})]


def test_what_generate_cannot_take_is_not_passed_and_the_system_prompt_goes_in_front() -> None:
    llm = Bare()
    adapt(llm).chat(HELLO.replace(settings=Settings(max_tokens=5)))
    assert llm.calls == [("[system]\nBe brief.\n\n[user]\nHello", {})]


def test_extra_settings_reach_a_generate_that_takes_them() -> None:
    llm = Greedy()
    adapt(llm).chat(HELLO.replace(settings=Settings(extra={"seed": 7})))
    assert llm.calls == [("Hello", {"system_prompt": "Be brief.", "seed": 7})]


def test_several_messages_become_one_text_with_roles() -> None:
    llm = Greedy()
    adapt(llm).chat(HELLO.replace(messages=(*HELLO.messages, Message("assistant", "Hi"), Message("user", "Go on"))))
    assert llm.calls[0][0] == "[user]\nHello\n\n[assistant]\nHi\n\n[user]\nGo on"


def test_required_settings_are_supplied() -> None:
    class Strict(Recorder):
        def generate(self, prompt: str, *, max_tokens: int, temperature: float) -> str:
            return self.record(prompt, max_tokens=max_tokens, temperature=temperature)

    llm = Strict()
    adapt(llm).chat(HELLO)
    assert llm.calls[0][1] == {"max_tokens": 2048, "temperature": 0.0}


def test_a_required_argument_nobody_knows_is_refused() -> None:
    class Odd:
        def generate(self, prompt: str, flavour: str) -> str:
            return prompt + flavour

    with pytest.raises(TypeError, match=r"Odd.generate\(\) requires flavour.*give them defaults"):
        adapt(Odd())


def test_a_generate_that_returns_no_text_is_told_so() -> None:
    class Mute:
        def generate(self, prompt: str) -> None:
            return None

    with pytest.raises(TypeError, match=r"Mute.generate\(\) returned an instance of NoneType; it must return"):
        adapt(Mute()).chat(HELLO)


def test_an_async_generate_is_marked_and_awaited() -> None:
    class Slow:
        async def generate(self, prompt: str) -> str:
            return prompt

    model: Any = adapt(Slow())
    assert model.is_async
    assert asyncio.run(model.chat(HELLO.replace(system=""))).text == "Hello"


@pytest.mark.parametrize(
    ("llm", "says"),
    [
        (None, r"llm is None; pass a backend such as OpenAIBackend\.from_env"),
        ("gpt-4o", r"llm is 'gpt-4o', which has neither chat\(prompt\) nor generate\(prompt\)"),
        (object(), "llm is an instance of object, which has neither"),
        (MockLLMBackend, "llm is the class MockLLMBackend; pass an instance"),
        (
            SimpleNamespace(chat=SimpleNamespace(completions=None)),
            r"raw SimpleNamespace client; wrap it: OpenAIBackend\(client, model=\.\.\.\)",
        ),
    ],
)
def test_anything_else_is_refused_with_what_to_pass(llm: object, says: str) -> None:
    with pytest.raises(TypeError, match=says):
        adapt(llm)


def test_a_raw_openai_client_is_refused() -> None:
    openai = pytest.importorskip("openai")
    for client in (openai.OpenAI(api_key="k"), openai.AsyncOpenAI(api_key="k")):
        with pytest.raises(TypeError, match=rf"raw {type(client).__name__} client; wrap it"):
            adapt(client)


def test_a_stream_of_ours_is_kept_and_a_stream_of_texts_is_hidden() -> None:
    class Chat:
        def chat(self, prompt: Prompt) -> Reply:
            return Reply(text="hi")

        def stream(self, prompt: Prompt, on_chunk: Any) -> Reply:
            return Reply(text="streamed")

    class Generate(Bare):
        def stream(self, text: str) -> list[str]:
            return [text]

    streamed: Any = adapt(Chat())
    assert streamed.stream(HELLO, print).text == "streamed"
    hidden: Any = adapt(Generate())
    with pytest.raises(AttributeError, match=r"Generate has no stream\(prompt, on_chunk\)"):
        hidden.stream  # noqa: B018  # the look-up is the point


def test_a_chat_object_may_say_that_it_is_async() -> None:
    class Wrapped:
        is_async = True

        def chat(self, prompt: Prompt) -> Any:
            return asyncio.sleep(0, Reply(text="later"))

    assert getattr(adapt(Wrapped()), "is_async", False) is True


@pytest.mark.parametrize("wrap", [adapt, lambda llm: FallbackBackend([llm])], ids=["adapt", "fallback"])
@pytest.mark.parametrize("streamed", [False, True])
def test_no_wrapper_drops_usage_or_settings(wrap: Any, streamed: bool) -> None:
    whole = Reply("hi", usage=Usage(11, 7, 3), finish_reason="length", request_id="r1", model="m")

    class Bare:  # neither name nor capabilities: it has to be wrapped
        seen: list[Prompt] = []

        def chat(self, prompt: Prompt) -> Reply:
            self.seen.append(prompt)
            return whole

        def stream(self, prompt: Prompt, on_chunk: Any) -> Reply:
            return self.chat(prompt)

    prompt = HELLO.replace(settings=Settings(0.5, 9, 3.0, {"type": "object"}, {"seed": 7}))
    model = wrap(Bare())
    assert (model.stream(prompt, lambda *piece: None) if streamed else model.chat(prompt)) == whole
    assert Bare.seen == [prompt]
