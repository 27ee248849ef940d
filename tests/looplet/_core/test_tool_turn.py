"""One wave of calls: validation, the three tool hooks, and what the model is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.support.drive import run_async, run_sync

from looplet import (
    Allow,
    Deny,
    ErrorKind,
    InjectContext,
    MockLLMBackend,
    Stop,
    ToolCall,
    ToolContext,
    ToolResult,
    ToolValidationError,
    composable_loop,
    tool,
)
from looplet.errors import HookError
from looplet.events import ToolProgress

if TYPE_CHECKING:
    from tests.support.drive import Drive

DONE = ToolCall("done", {"answer": "42"})


@tool
def echo(text: str) -> str:
    """Say it back."""
    return text


def say(text: str) -> ToolCall:
    return ToolCall("echo", {"text": text})


class Hook:
    """Answers from functions given by phase."""

    def __init__(self, **phases: Any) -> None:
        for phase, answer in phases.items():
            setattr(self, phase, answer)


def told(llm: MockLLMBackend, prompt: int = -1) -> str:
    return llm.prompts[prompt].messages[-1].content


def test_a_denied_call_never_executes_and_the_model_reads_the_reason(drive: Drive) -> None:
    ran: list[str] = []

    @tool
    def danger() -> None:
        ran.append("danger")

    llm = MockLLMBackend([ToolCall("danger"), DONE])
    deny = Hook(pre_dispatch=lambda state, log, call, step: Deny("not today") if call.tool == "danger" else None)
    result = drive(llm, tools=[danger], hooks=[deny])
    assert ran == []
    assert result.steps[0].tool_result.error_kind == ErrorKind.PERMISSION_DENIED
    assert told(llm) == "ERROR (permission_denied): not today"


def test_retry_flaky_tool_as_the_readme_prints_it(drive: Drive) -> None:
    """A failure, one denial with retry, and then the next attempt runs."""

    @tool
    def web_search(query: str) -> str:
        """Search."""
        if query == "first":
            raise ConnectionError("flaky")
        return "found it"

    class RetryFlakyTool:
        def pre_dispatch(self, state: Any, log: Any, tc: Any, step: int) -> Deny | None:
            if tc.tool == "web_search" and state.last_error:
                return Deny("retry with backoff", retry=True)
            return None

    first, again = ToolCall("web_search", {"query": "first"}), ToolCall("web_search", {"query": "again"})
    result = drive([first, again, again, DONE], tools=[web_search], hooks=[RetryFlakyTool()])
    assert [step.tool_result.error_kind for step in result.steps[:3]] == ["network", "permission_denied", None]
    assert result.steps[1].tool_result.error_retriable
    assert result.steps[2].tool_result.data == "found it"


def test_rewritten_arguments_run_are_validated_and_stand_in_the_step_beside_the_models_own(drive: Drive) -> None:
    llm = MockLLMBackend([say("raw"), DONE])
    upper = Hook(
        pre_dispatch=lambda state, log, call, step: (
            Allow({"text": call.args["text"].upper()}) if call.tool == "echo" else None
        )
    )
    result = drive(llm, tools=[echo], hooks=[upper])
    assert result.steps[0].tool_call.args == {"text": "RAW"}
    assert result.steps[0].tool_result.data == "RAW"
    assert llm.prompts[1].messages[1].tool_calls[0].args == {"text": "raw"}, "the conversation keeps the model's words"


def test_wrongly_rewritten_arguments_run_nothing(drive: Drive) -> None:
    wrong = Hook(pre_dispatch=lambda state, log, call, step: Allow({"txt": "x"}) if call.tool == "echo" else None)
    result = drive([say("a"), DONE], tools=[echo], hooks=[wrong])
    assert result.steps[0].tool_result.error_kind == ErrorKind.VALIDATION


def test_a_cached_result_stands_in_for_running_and_gates_still_see_it(drive: Drive) -> None:
    ran: list[str] = []

    @tool
    def lookup(key: str) -> str:
        """Look up."""
        ran.append(key)
        return "fresh"

    asked: list[str] = []

    class Gate:
        gate = True

        def pre_dispatch(self, state: Any, log: Any, call: Any, step: int) -> None:
            asked.append(call.tool)

    class Later:
        def pre_dispatch(self, state: Any, log: Any, call: Any, step: int) -> None:
            asked.append(f"later {call.tool}")

    cache = Hook(
        pre_dispatch=lambda state, log, call, step: ToolResult("lookup", "cached") if call.tool == "lookup" else None
    )
    result = drive([ToolCall("lookup", {"key": "k"}), DONE], tools=[lookup], hooks=[Gate(), cache, Later()])
    assert result.steps[0].tool_result.data == "cached"
    assert ran == []
    assert asked[:3] == asked[-3:] == ["lookup", "later done", "done"]


def test_the_first_deny_wins_and_later_hooks_are_not_asked(drive: Drive) -> None:
    asked: list[str] = []

    def second(state: Any, log: Any, call: Any, step: int) -> None:
        asked.append(call.tool)

    first = Hook(pre_dispatch=lambda state, log, call, step: Deny("no") if call.tool == "echo" else None)
    drive([say("a"), DONE], tools=[echo], hooks=[first, Hook(pre_dispatch=second)])
    assert set(asked) == {"done"}


def test_stop_in_pre_dispatch_ends_the_run_before_the_call(drive: Drive) -> None:
    halt = Hook(pre_dispatch=lambda state, log, call, step: Stop("enough"))
    result = drive([[say("a"), say("b")]], tools=[echo], hooks=[halt])
    assert (result.stop_reason, result.steps) == ("enough", ())


def test_a_denied_done_does_not_complete_the_run(drive: Drive) -> None:
    deny = Hook(pre_dispatch=lambda state, log, call, step: Deny("tests fail") if step == 1 else None)
    result = drive([DONE, DONE], hooks=[deny])
    assert (result.stop_reason, len(result.steps)) == ("done", 2)


def test_post_dispatch_texts_add_up_behind_the_result(drive: Drive) -> None:
    llm = MockLLMBackend([say("a"), DONE])
    one = Hook(post_dispatch=lambda state, log, call, result, step: "first note")
    two = Hook(post_dispatch=lambda state, log, call, result, step: InjectContext("second note"))
    drive(llm, tools=[echo], hooks=[one, two])
    assert told(llm) == "a\n\nfirst note\n\nsecond note"


def test_post_dispatch_sees_its_step_last_and_may_replace_the_result(drive: Drive) -> None:
    seen: list[Any] = []

    def look(state: Any, log: Any, call: Any, result: ToolResult, step: int) -> ToolResult | None:
        seen.append((state.steps[-1].tool_call.tool, len(log), step))
        return result.replace(data="[scrubbed]") if call.tool == "echo" else None

    llm = MockLLMBackend([say("secret"), DONE])
    result = drive(llm, tools=[echo], hooks=[Hook(post_dispatch=look)])
    assert seen[:2] == seen[-2:] == [("echo", 1, 1), ("done", 2, 2)]
    assert result.steps[0].tool_result.data == "[scrubbed]"
    assert told(llm) == "[scrubbed]"


def test_stop_in_post_dispatch_keeps_what_ran(drive: Drive) -> None:
    halt = Hook(post_dispatch=lambda state, log, call, result, step: Stop("seen enough"))
    result = drive([[say("a"), say("b")]], tools=[echo], hooks=[halt])
    assert (result.stop_reason, len(result.steps)) == ("seen enough", 1)


def test_check_done_rejects_a_completion_with_a_reason_the_model_reads(drive: Drive) -> None:
    llm = MockLLMBackend([DONE, DONE])
    deny = Hook(check_done=lambda state, log, ctx, step: Deny("cite a source") if step == 1 else None)
    result = drive(llm, hooks=[deny])
    assert result.steps[0].tool_result.error == "not accepted: cite a source"
    assert "cite a source" in told(llm)
    assert (result.stop_reason, result.output) == ("done", "42")


def test_check_done_receives_the_callers_context_at_every_step_and_can_stop(drive: Drive) -> None:
    seen: list[Any] = []

    def check(state: Any, log: Any, ctx: Any, step: int) -> Stop | None:
        seen.append((ctx, step, state.finishing))
        return Stop("two is enough") if step == 2 else None

    result = drive([say("a"), say("b"), DONE], tools=[echo], context={"k": 1}, hooks=[Hook(check_done=check)])
    assert seen[:2] == seen[-2:] == [({"k": 1}, 1, False), ({"k": 1}, 2, False)]
    assert result.stop_reason == "two is enough"


def test_a_rejection_while_nobody_finishes_means_nothing(drive: Drive) -> None:
    not_yet = Hook(check_done=lambda state, log, ctx, step: None if state.finishing else Deny("not done"))
    assert drive([say("a"), DONE], tools=[echo], hooks=[not_yet]).errors == ()


@pytest.mark.parametrize(
    ("phase", "answer", "message"),
    [
        ("pre_dispatch", "no", "answered a str; it may answer Deny, Allow"),
        ("post_dispatch", Deny("x"), "answered Deny; it may answer a str"),
        ("check_done", True, r"answered True; it may answer Stop\(reason\) to end the run, Deny\(reason\)"),
    ],
)
def test_an_impossible_answer_names_the_possible_ones(phase: str, answer: object, message: str) -> None:
    run = composable_loop(
        llm=MockLLMBackend([say("a"), DONE]), tools=[echo], task="go", hooks=[Hook(**{phase: lambda *args: answer})]
    )
    with pytest.raises(HookError, match=message):
        list(run)


def test_an_unknown_tool_is_answered_with_a_suggestion(drive: Drive) -> None:
    llm = MockLLMBackend([ToolCall("ecko", {"text": "a"}), DONE])
    drive(llm, tools=[echo])
    assert "Did you mean 'echo'?" in told(llm)


def test_a_lossless_coercion_is_accepted_and_noted(drive: Drive) -> None:
    @tool
    def double(n: int) -> int:
        """Double."""
        return 2 * n

    result = drive([ToolCall("double", {"n": "3"}), DONE], tools=[double])
    assert result.steps[0].tool_result.data == 6
    assert any("3" in note for note in result.steps[0].tool_result.warnings)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (ToolValidationError("dates are ISO"), ErrorKind.VALIDATION),
        (TimeoutError("slow"), ErrorKind.TIMEOUT),
        (ConnectionError("down"), ErrorKind.NETWORK),
        (ValueError("odd"), ErrorKind.EXECUTION),
        (SystemExit(3), ErrorKind.EXECUTION),
    ],
)
def test_whatever_a_tool_raises_becomes_a_result(drive: Drive, error: BaseException, kind: ErrorKind) -> None:
    @tool
    def fail() -> None:
        """Fail."""
        raise error

    @tool
    async def fail_later() -> None:
        """Fail when awaited."""
        raise error

    result = drive([ToolCall("fail"), ToolCall("fail_later"), DONE], tools=[fail, fail_later])
    assert [step.tool_result.error_kind for step in result.steps] == [kind, kind, None]
    assert result.stop_reason == "done"


def test_string_and_list_results_reach_the_model_in_full(drive: Drive) -> None:
    @tool
    def rows() -> list[dict[str, int]]:
        """Rows."""
        return [{"id": n} for n in range(3)]

    llm = MockLLMBackend([ToolCall("rows"), say("plain text"), DONE])
    drive(llm, tools=[rows, echo])
    assert told(llm, 1) == '[{"id":0},{"id":1},{"id":2}]'
    assert told(llm, 2) == "plain text"


def test_a_huge_result_is_cut_for_the_model_and_kept_whole_for_everybody_else(drive: Drive) -> None:
    @tool
    def big() -> str:
        """Big."""
        return "x" * 2_000_000

    llm = MockLLMBackend([ToolCall("big"), DONE])
    result = drive(llm, tools=[big])
    assert len(told(llm)) < 21_000
    assert "cut" in told(llm)
    assert len(result.steps[0].tool_result.data) == 2_000_000


def test_two_calls_with_one_id_both_get_their_result(drive: Drive) -> None:
    twins = [ToolCall("echo", {"text": "a"}, call_id="same"), ToolCall("echo", {"text": "b"}, call_id="same")]
    llm = MockLLMBackend([twins, [ToolCall("echo", {"text": "c"}, call_id="same")], DONE])
    result = drive(llm, tools=[echo])
    assert [step.tool_result.data for step in result.steps[:3]] == ["a", "b", "c"]


def test_async_tools_work_in_a_sync_run(drive: Drive) -> None:
    @tool
    async def fetch(url: str) -> str:
        """Fetch."""
        return f"got {url}"

    assert drive([ToolCall("fetch", {"url": "u"}), DONE], tools=[fetch]).steps[0].tool_result.data == "got u"


def test_unparsable_arguments_become_a_failed_step_the_model_can_mend(drive: Drive) -> None:
    from looplet import Reply
    from looplet.messages import RawCall

    llm = MockLLMBackend([Reply(calls=(RawCall("echo", "{text: !!", "c1"),)), say("a"), DONE])
    result = drive(llm, tools=[echo])
    assert result.steps[0].tool_result.error_kind == ErrorKind.PARSE
    assert result.stop_reason == "done"


def test_a_tool_knows_its_run_and_tells_watchers_how_far_it_is(drive: Drive) -> None:
    heard: list[tuple[str, str]] = []

    class Watch:
        def on_event(self, event: Any) -> None:
            if isinstance(event, ToolProgress):
                heard.append((event.tool, event.message))

    @tool
    def work(ctx: ToolContext) -> Any:
        """Work."""
        ctx.progress("half")
        ctx.warn("cold cache")
        return [ctx.task, ctx.metadata]

    result = drive([ToolCall("work"), DONE], tools=[work], hooks=[Watch()], task="go")
    assert heard[0] == ("work", "half")
    assert result.steps[0].tool_result.data == ["go", {}]
    assert result.steps[0].tool_result.warnings == ("cold cache",)


def test_last_error_is_of_a_step_that_executed(drive: Drive) -> None:
    """A refused call ran nothing, so the seed's RetryFlakyTool lets the corrected call through."""

    @tool
    def web_search(query: str) -> str:
        """Search."""
        return "found"

    class RetryFlakyTool:
        def pre_dispatch(self, state: Any, log: Any, tc: Any, step: int) -> Deny | None:
            return Deny("retry with backoff", retry=True) if state.last_error else None

    result = drive(
        [ToolCall("web_search"), ToolCall("web_search", {"query": "q"}), DONE],
        tools=[web_search],
        hooks=[RetryFlakyTool()],
    )
    assert [step.tool_result.error_kind for step in result.steps] == ["validation", None, None]


def test_notes_of_replaced_arguments_are_dropped(drive: Drive) -> None:
    @tool
    def double(n: int) -> int:
        """Double."""
        return 2 * n

    rewrite = Hook(pre_dispatch=lambda state, log, call, step: Allow({"n": 9}) if call.tool == "double" else None)
    result = drive([ToolCall("double", {"n": "3"}), DONE], tools=[double], hooks=[rewrite])
    assert (result.steps[0].tool_result.data, result.steps[0].tool_result.warnings) == (18, ())


def test_a_blank_rejection_rejects_nothing(drive: Drive) -> None:
    assert drive([DONE], hooks=[Hook(check_done=lambda state, log, ctx, step: "")]).stop_reason == "done"


@pytest.mark.parametrize("error", [StopIteration, StopAsyncIteration])
@pytest.mark.parametrize("run", [run_sync, run_async])
def test_a_hook_that_lets_stop_iteration_out_is_named(error: type[Exception], run: Any) -> None:
    def raises(state: Any, log: Any, call: Any, step: int) -> None:
        raise error

    with pytest.raises(HookError, match=rf"Hook.pre_dispatch\(\) raised {error.__name__} at step 1"):
        run([DONE], hooks=[Hook(pre_dispatch=raises)])


def test_arguments_a_hook_changes_in_place_are_validated_and_leave_the_models_call_alone(drive: Drive) -> None:
    class InPlace:
        def pre_dispatch(self, state: Any, log: Any, call: Any, step: int) -> None:
            if call.tool == "echo":
                call.args["text"] = 5

    llm = MockLLMBackend([say("a"), DONE])
    result = drive(llm, tools=[echo], hooks=[InPlace()])
    assert result.steps[0].tool_result.error_kind == ErrorKind.VALIDATION
    assert llm.prompts[1].messages[1].tool_calls[0].args == {"text": "a"}
