"""One turn of the model: what is retried, repaired, compacted, and what ends the run."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_async

from looplet import (
    Capabilities,
    Compact,
    DefaultState,
    InjectContext,
    LoopConfig,
    MockLLMBackend,
    Prompt,
    Reply,
    Stop,
    ToolCall,
    composable_loop,
    preview_prompt,
    tool,
)
from looplet.errors import (
    AuthError,
    ConnectionFailed,
    ContextOverflow,
    HookError,
    MalformedReply,
    RateLimited,
    ServerError,
    ToolsUnsupported,
)
from looplet.events import Compacted, ModelFailed
from looplet.messages import RawCall

if TYPE_CHECKING:
    from tests.support.drive import Drive

    from looplet.events import Event

DONE = ToolCall("done", {"answer": "42"})
NATIVE = Capabilities(native_tools=True)


@pytest.fixture(autouse=True)
def slept(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Record the waiting instead of doing it."""
    naps: list[float] = []

    async def nap(seconds: float) -> None:
        naps.append(seconds)

    monkeypatch.setattr("looplet._drivers.sync.time.sleep", naps.append)
    monkeypatch.setattr("looplet._drivers.aio.asyncio.sleep", nap)
    return naps


class Waiting(MockLLMBackend):
    """A scripted model whose retries wait as a live one's do."""

    no_sleep = False


@tool
def echo(text: str) -> str:
    """Say it back."""
    return text


def test_a_transient_error_is_retried_with_growing_delays(drive: Drive, slept: list[float]) -> None:
    result = drive(Waiting([ServerError("busy"), ServerError("busy"), DONE]))
    assert result.output == "42"
    assert 0.25 <= slept[0] <= 0.5 <= slept[1] <= 1.0


def test_retry_after_is_obeyed(drive: Drive, slept: list[float]) -> None:
    assert drive(Waiting([RateLimited("slow down", retry_after=7.0), DONE])).stop_reason == "done"
    assert slept == [7.0]


def test_a_retry_after_nobody_would_wait_for_ends_the_run(drive: Drive, slept: list[float]) -> None:
    result = drive(Waiting([RateLimited("come back tomorrow", retry_after=86_400.0), DONE]))
    assert (result.stop_reason, slept) == ("llm_error", [])


def test_retries_are_bounded_and_then_the_provider_is_at_fault(drive: Drive) -> None:
    result = drive(MockLLMBackend([ServerError("busy")], cycle=True), config=LoopConfig(retries=2))
    assert (result.status, result.stop_reason) == ("failed", "llm_error")
    assert result.errors == ("ServerError: busy",)


def test_a_wrong_key_is_not_retried(drive: Drive) -> None:
    llm = MockLLMBackend([AuthError("401"), DONE])
    assert drive(llm).stop_reason == "llm_error"
    assert len(llm.prompts) == 1


def test_transient_errors_do_not_eat_the_repairs(drive: Drive) -> None:
    script: list[str | Exception] = [
        ServerError("busy"),
        "prose",
        ServerError("busy"),
        "prose",
        ServerError("busy"),
        '{"tool": "done", "args": {"answer": "x"}}',
    ]
    result = drive(MockLLMBackend([*script], capabilities=Capabilities(native_tools=False)))
    assert result.output == "x"


def test_pythons_own_connection_errors_are_transient(drive: Drive) -> None:
    assert drive([ConnectionError("reset"), TimeoutError("slow"), DONE]).output == "42"


@pytest.mark.parametrize("error", [TypeError("bad argument"), AttributeError("no such"), KeyError("k")])
def test_a_programming_error_in_a_backend_is_raised_with_a_note_and_not_retried(error: Exception) -> None:
    llm = MockLLMBackend([error, DONE])
    run = composable_loop(llm=llm, tools=[], task="go")
    with pytest.raises(type(error)) as caught:
        list(run)
    assert caught.value.__notes__ == ["raised by the model 'mock' at call 1; it was not retried"]
    assert (run.result.stop_reason, len(llm.prompts)) == ("error", 1)


def test_stop_iteration_out_of_a_backend_does_not_end_the_run_silently(drive: Drive) -> None:
    result = drive([StopIteration("oops"), DONE])
    assert result.stop_reason == "llm_error"
    assert "StopIteration" in result.errors[0]


def test_a_reply_without_a_call_is_told_what_is_missing(drive: Drive) -> None:
    llm = MockLLMBackend(["I will think about it.", '{"tool": "done", "args": {"answer": "ok"}}'])
    assert drive(llm, tools=[echo]).output == "ok"
    complaint = llm.prompts[1].messages[-1]
    assert complaint.role == "user"
    assert "echo" in complaint.content
    assert '"tool"' in complaint.content
    assert llm.prompts[1].messages[-2].content == "I will think about it."


def test_a_model_that_never_gives_a_call_is_a_parse_error(drive: Drive) -> None:
    llm = MockLLMBackend(["no", "no", "no", "no"])
    result = drive(llm, config=LoopConfig(repairs=2))
    assert (result.stop_reason, result.status, len(llm.prompts)) == ("parse_error", "failed", 3)


def test_in_native_mode_plain_text_is_the_final_answer_and_passes_the_gates(drive: Drive) -> None:
    class Picky:
        def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> str | None:
            return "say please" if state.finishing and "please" not in log[-1].tool_result.data else None

    llm = MockLLMBackend(["It is 42.", "It is 42, please."], capabilities=NATIVE)
    result = drive(llm, hooks=[Picky()])
    assert result.output == "It is 42, please."
    assert result.tool_sequence == ["done", "done"]
    assert "say please" in llm.prompts[1].messages[-1].content


@pytest.mark.parametrize(
    "cut",
    [
        Reply(calls=(RawCall("done", '{"answer": "4', "c1"),), finish_reason="length"),
        Reply(calls=(RawCall("done", '{"answer": "4"}', "c1"),), finish_reason="length"),  # a second call may be lost
        Reply("The answer is 4", finish_reason="length"),
    ],
)
def test_a_truncated_reply_never_becomes_a_call(drive: Drive, cut: Reply) -> None:
    llm = MockLLMBackend([cut, DONE])
    assert drive(llm).output == "42"
    assert "cut off" in llm.prompts[1].messages[-1].content


def test_a_malformed_reply_is_repaired_and_keeps_roles_alternating(drive: Drive) -> None:
    llm = MockLLMBackend([MalformedReply("tool_use_failed: bad JSON", text="<function=done"), DONE])
    assert drive(llm).output == "42"
    assert [message.role for message in llm.prompts[1].messages] == ["user", "assistant", "user"]
    assert "tool_use_failed" in llm.prompts[1].messages[-1].content


def test_a_model_without_tools_falls_back_to_text() -> None:
    class NoTools:
        name = "small"

        def __init__(self) -> None:
            self.capabilities = Capabilities(native_tools=True)
            self.prompts: list[Prompt] = []

        def chat(self, prompt: Prompt) -> Reply:
            self.prompts.append(prompt)
            if prompt.tools:
                self.capabilities = Capabilities(native_tools=False)
                raise ToolsUnsupported("small does not support tools")
            return Reply('{"tool": "done", "args": {"answer": "ok"}}')

    llm = NoTools()
    run = composable_loop(llm=llm, tools=[echo], task="go")
    list(run)
    assert run.result.output == "ok"
    assert llm.prompts[1].tools == ()
    assert "echo(text: string)" in llm.prompts[1].system


def test_a_backend_that_keeps_refusing_tools_ends_the_run(drive: Drive) -> None:
    result = drive(MockLLMBackend([ToolsUnsupported("no")], cycle=True, capabilities=NATIVE))
    assert result.stop_reason == "llm_error"


def test_context_overflow_compacts_and_goes_on_with_valid_pairs(drive: Drive) -> None:
    calls: list[Any] = [ToolCall("echo", {"text": f"{n}" * 400}) for n in range(6)]
    events: list[Event] = []

    class Watch:
        def on_event(self, event: Event) -> None:
            events.append(event)

    llm = MockLLMBackend([*calls, ContextOverflow("too long"), DONE])
    result = drive(llm, tools=[echo], task="remember me", hooks=[Watch()])
    assert result.output == "42"
    before, after = llm.prompts[-2], llm.prompts[-1]
    assert after.overflowed
    assert len(str(after)) < 0.7 * len(str(before))
    assert after.messages[0].content == "remember me"
    assert any(isinstance(event, Compacted) for event in events)


def test_an_overflow_that_nothing_can_shorten_ends_the_run_with_the_reason(drive: Drive) -> None:
    result = drive(MockLLMBackend([ContextOverflow("too long")], cycle=True))
    assert result.stop_reason == "llm_error"
    assert "nothing is left that could be dropped" in result.errors[0]


def test_failures_are_events_with_what_a_replay_needs(drive: Drive) -> None:
    failures: list[ModelFailed] = []

    class Watch:
        def on_event(self, event: Event) -> None:
            if isinstance(event, ModelFailed):
                failures.append(event)

    drive(
        [ConnectionFailed("refused", status=None), RateLimited("slow", status=429, retry_after=0.5), DONE],
        hooks=[Watch()],
    )
    assert [(failure.kind, failure.details["status"]) for failure in failures[-2:]] == [
        ("ConnectionFailed", None),
        ("RateLimited", 429),
    ]
    assert failures[-1].retry_in == 0.5


# pre_prompt


def hook(answer: Any) -> Any:
    class Answers:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Any:
            return answer(ctx) if callable(answer) else answer

    return Answers()


def test_redact_pii_as_the_readme_prints_it_keeps_addresses_from_the_endpoint(drive: Drive) -> None:
    llm = MockLLMBackend([ToolCall("echo", {"text": "bob@example.org"}), DONE])
    redact = hook(lambda ctx: ctx.map_text(lambda text: text.replace("bob@example.org", "[address]")))
    drive(llm, tools=[echo], task="mail bob@example.org", hooks=[redact])
    assert not any("bob@" in str(prompt.to_dict()) for prompt in llm.prompts)
    assert "[address]" in llm.prompts[1].messages[-1].content


def test_injected_context_is_in_this_prompt_only_and_behind_the_stable_prefix(drive: Drive) -> None:
    llm = MockLLMBackend([ToolCall("echo", {"text": "a"}), DONE])
    drive(llm, tools=[echo], hooks=[hook(lambda ctx: InjectContext("volatile") if len(ctx.messages) == 1 else None)])
    assert llm.prompts[0].messages[-1].content.endswith("volatile")
    assert "volatile" not in str(llm.prompts[1])


def test_stop_in_pre_prompt_ends_the_run_with_its_reason(drive: Drive) -> None:
    llm = MockLLMBackend([DONE])
    result = drive(llm, hooks=[hook(Stop("budget is spent"))])
    assert (result.stop_reason, result.status, llm.prompts) == ("budget is spent", "stopped", [])


def test_compact_in_pre_prompt_shortens_and_asks_the_hooks_again(drive: Drive) -> None:
    calls: list[Any] = [ToolCall("echo", {"text": f"{n}" * 400}) for n in range(6)]

    def over(ctx: Prompt) -> Compact | None:
        return Compact() if len(str(ctx)) > 3000 else None

    llm = MockLLMBackend([*calls, DONE])
    redact = hook(lambda ctx: ctx.map_text(lambda text: text.replace("do it", "DO IT")))
    drive(llm, tools=[echo], hooks=[hook(over), redact])
    assert max(len(str(prompt)) for prompt in llm.prompts) < 3600
    assert all(prompt.messages[0].content == "DO IT" for prompt in llm.prompts)


@pytest.mark.parametrize("answer", ["scrubbed text", True, 7])
def test_an_impossible_answer_names_the_possible_ones(answer: object) -> None:
    run = composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", hooks=[hook(answer)])
    with pytest.raises(HookError, match="InjectContext"):
        list(run)
    assert run.result.stop_reason == "error"


def test_a_hook_that_raises_stops_the_run_and_is_named() -> None:
    def boom(ctx: Prompt) -> None:
        raise RuntimeError("boom")

    with pytest.raises(RuntimeError) as caught:
        list(composable_loop(llm=MockLLMBackend([DONE]), tools=[], task="go", hooks=[hook(boom)]))
    assert caught.value.__notes__ == ["raised by the hook Answers.pre_prompt() at step 1"]


def test_preview_prompt_is_exactly_what_is_sent() -> None:
    llm = MockLLMBackend([DONE])
    arguments: dict[str, Any] = {"tools": [echo], "task": {"goal": "g"}, "system_prompt": "be brief"}
    preview = preview_prompt(llm, hooks=[hook(InjectContext("now"))], **arguments)
    assert llm.prompts == []
    list(composable_loop(llm, hooks=[hook(InjectContext("now"))], **arguments))
    assert llm.prompts[0] == preview


def test_text_mode_offers_the_tools_as_plain_text_and_a_schema_where_the_server_takes_one(drive: Drive) -> None:
    llm = MockLLMBackend(
        ['{"tool": "done", "args": {"answer": "x"}}'], capabilities=Capabilities(native_tools=False, reply_schema=True)
    )
    drive(llm, tools=[echo])
    prompt = llm.prompts[0]
    assert prompt.system.isascii()
    assert "- echo(text: string): Say it back." in prompt.system
    assert prompt.settings.reply_schema is not None
    branches = prompt.settings.reply_schema["anyOf"]
    assert [branch["properties"]["tool"]["const"] for branch in branches] == ["echo", "done"]


def test_preview_prompt_leaves_the_state_for_the_run() -> None:
    arguments: dict[str, Any] = {"llm": MockLLMBackend([DONE]), "tools": [], "task": "go", "state": DefaultState()}
    preview_prompt(**arguments)
    assert len(list(composable_loop(**arguments))) == 1


def test_preview_prompt_refuses_async_hooks_in_one_line() -> None:
    class Async:
        async def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> None: ...

    with pytest.raises(HookError, match="cannot await an async hook"):
        preview_prompt(MockLLMBackend([DONE]), "go", [], hooks=[Async()])


@pytest.mark.parametrize("answer", [None, "text", {"text": "x"}])
def test_a_backend_that_answers_with_no_reply_is_told_so(answer: object) -> None:
    class Wrong:
        name = "wrong"
        capabilities = Capabilities()

        def chat(self, prompt: Prompt) -> Any:
            return answer

    with pytest.raises(TypeError, match=r"chat\(\) returned .*; a backend answers with a looplet Reply"):
        list(composable_loop(llm=Wrong(), tools=[], task="go"))


def test_capabilities_of_the_wrong_kind_are_named() -> None:
    class Wrong:
        name = "wrong"

        def capabilities(self) -> Capabilities:
            return Capabilities()

        def chat(self, prompt: Prompt) -> Reply:
            return Reply("x")

    with pytest.raises(TypeError, match=r"capabilities of model 'wrong' are a .*; give a Capabilities"):
        list(composable_loop(llm=Wrong(), tools=[], task="go"))


def test_a_sync_chat_that_returns_an_awaitable_works_async_and_is_named_sync() -> None:
    class Decorated:
        name = "decorated"
        capabilities = Capabilities()

        def chat(self, prompt: Prompt) -> Any:
            async def answer() -> Reply:
                return Reply("hi")

            return answer()

    assert run_async(Decorated()).output == "hi"
    with pytest.raises(TypeError, match="returned an awaitable; use async_composable_loop"):
        list(composable_loop(llm=Decorated(), tools=[], task="go"))


def test_capabilities_are_looked_up_off_the_event_loop() -> None:
    threads: list[bool] = []

    class Slow:
        name = "slow"

        @property
        def capabilities(self) -> Capabilities:
            threads.append(threading.current_thread() is threading.main_thread())
            return Capabilities()

        def chat(self, prompt: Prompt) -> Reply:
            return Reply("hi")

    assert run_async(Slow()).output == "hi"
    assert not any(threads)


@pytest.mark.parametrize("text", ["", "  "])
def test_nothing_to_inject_changes_nothing(drive: Drive, text: str) -> None:
    llm = MockLLMBackend([ToolCall("echo", {"text": "a"}), DONE])
    drive(llm, tools=[echo], hooks=[hook(InjectContext(text))])
    assert [message.role for message in llm.prompts[1].messages] == ["user", "assistant", "tool"]


def test_a_blank_unreadable_reply_leaves_a_valid_history(drive: Drive) -> None:
    llm = MockLLMBackend([MalformedReply("bad", text="  "), DONE])
    assert drive(llm).output == "42"
    assert llm.prompts[1].messages[1].content == "(unreadable reply)"


def test_the_task_survives_every_compaction(drive: Drive) -> None:
    class Always:
        def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Compact:
            return Compact()

    llm = MockLLMBackend([ToolCall("echo", {"text": "x" * 3000}), ToolCall("echo", {"text": "a"}), DONE])
    drive(llm, tools=[echo], hooks=[Always()], task="IMPORTANT " * 600)
    assert all(prompt.messages[0].content == "IMPORTANT " * 600 for prompt in llm.prompts)


def test_falling_back_to_text_keeps_roles_alternating(drive: Drive) -> None:
    llm = MockLLMBackend([ToolCall("echo", {"text": "a"}), ToolsUnsupported("no"), "best"], capabilities=NATIVE)
    drive(llm, tools=[echo], config=LoopConfig(max_steps=1, final_answer=True))
    assert [message.role for message in llm.prompts[-1].messages] == ["user", "assistant", "user"]


def test_a_negative_retry_after_is_no_wait(drive: Drive, slept: list[float]) -> None:
    assert drive(Waiting([RateLimited("x", retry_after=-3.0), DONE])).output == "42"
    assert all(nap == 0.0 for nap in slept)
