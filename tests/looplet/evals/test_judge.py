"""The judge: what it asks, how it reads the answer, and that no answer is never a low score."""

from __future__ import annotations

import json
import time
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looplet import Capabilities, MockLLMBackend, Prompt, Reply, Usage
from looplet.errors import (
    BackendTimeout,
    ContentFiltered,
    ContextOverflow,
    JudgeError,
    MalformedReply,
    RateLimited,
)
from looplet.evals.judge import Judge
from looplet.result import RunResult
from looplet.types import Step, ToolCall, ToolResult

CONSTRAINED = Capabilities(native_tools=False, reply_schema=True)


def verdict(score: Any, reason: str = "because") -> str:
    return json.dumps({"reason": reason, "score": score})


def asked(llm: MockLLMBackend) -> Prompt:
    return llm.prompts[-1]


def a_run(**changes: Any) -> RunResult:
    step = Step(1, ToolCall("lookup", {"order": 17}), ToolResult("lookup", {"amount": 25}, duration_ms=182.0))
    return RunResult("done", "Refund order 17", {"amount": 25}, (step,), duration=3.5).replace(**changes)


# --- scores


@pytest.mark.parametrize(("said", "score"), [(0, 0.0), (7, 0.7), (10, 1.0), (7.0, 0.7), (" 4", 0.4)])
def test_a_whole_number_from_0_to_10_becomes_a_score_with_its_reason(said: object, score: float) -> None:
    result = Judge(MockLLMBackend([verdict(said, "It names the amount.")])).score("Is the amount named?", "25 dollars")
    assert result.score == score
    assert result.reason == "It names the amount."
    assert result.metrics == {}


@pytest.mark.parametrize(
    "reply",
    [
        '```json\n{"reason": "fine", "score": 7}\n```',
        'Let me see. {"reason": "fine", "score": 7} That is my verdict.',
        "{'reason': 'fine', 'score': 7,}",
        'The set {x | x > 2} is not empty. {"reason": "fine", "score": 7}',
        '<think>{"score": 2}? No.</think>{"reason": "fine", "score": 7}',
        '{"reason": "fine", "score": 7} and again {"score": 7}',
    ],
)
def test_a_verdict_is_found_in_whatever_stands_around_it(reply: str) -> None:
    assert Judge(MockLLMBackend([reply])).score("Good?", "text").score == 0.7


@pytest.mark.parametrize(
    ("reply", "problem"),
    [
        ("I think it is quite good.", "holds no JSON object with 'score'"),
        ("I cannot help with that.", "holds no JSON object with 'score'"),
        ("", "holds no JSON object with 'score'"),
        ('{"verdict": 7}', "holds no JSON object with 'score'"),
        ('{"reason": "fine", "score": 7', "holds no JSON object with 'score'"),
        (verdict(11), "'score' is 11 and has to be a whole number from 0 (not at all) to 10 (in full)"),
        (verdict(-1), "'score' is -1"),
        (verdict(0.7), "'score' is 0.7"),
        (verdict(True), "'score' is True"),
        (verdict(None), "'score' is None"),
        (verdict([7]), r"'score' is \[7\]".replace("\\", "")),
        (verdict(2) + verdict(9), "holds several verdicts: 2, 9"),
    ],
)
def test_what_is_no_verdict_is_asked_for_once_more_and_then_an_error(reply: str, problem: str) -> None:
    llm = MockLLMBackend([reply, reply])
    judge = Judge(llm)
    with pytest.raises(JudgeError) as error:
        judge.score("Good?", "text")
    assert "judge 'mock' gave no verdict, also when asked again: " in str(error.value)
    assert problem in str(error.value)
    assert problem in asked(llm).messages[-1].content, "the judge is told what was wrong"
    assert judge.failures == 1
    llm.assert_complete()


def test_the_second_question_can_mend_it() -> None:
    llm = MockLLMBackend(["Quite good!", verdict(9)])
    judge = Judge(llm)
    assert judge.score("Good?", "text").score == 0.9
    assert [message.role for message in asked(llm).messages] == ["user", "assistant", "user"]
    assert (judge.calls, judge.failures) == (2, 0)


def test_a_reply_that_was_cut_off_says_so() -> None:
    cut = Reply(text='{"reason": "It is', finish_reason="length")
    with pytest.raises(JudgeError, match="it was cut off at the token limit"):
        Judge(MockLLMBackend([cut, cut])).score("Good?", "text")


def test_a_repeated_question_gives_the_mean_and_the_spread() -> None:
    result = Judge(MockLLMBackend([verdict(2, "a"), verdict(6, "b"), verdict(10, "c")])).score("Good?", "x", repeat=3)
    assert result.score == pytest.approx(0.6)
    assert result.metrics == {"judge_spread": pytest.approx(0.8)}
    assert result.reason == "b", "the answer nearest to the mean gives the reason"
    assert result.details["verdicts"][0] == {"score": 0.2, "reason": "a"}


def test_a_question_asked_once_is_asked_without_chance_and_a_repeated_one_is_not() -> None:
    llm = MockLLMBackend([verdict(5)], cycle=True)
    Judge(llm).score("Good?", "x")
    assert asked(llm).settings.temperature == 0.0
    Judge(llm).score("Good?", "x", repeat=2)
    assert asked(llm).settings.temperature is None
    Judge(llm, temperature=0.3).score("Good?", "x", repeat=2)
    assert asked(llm).settings.temperature == 0.3


# --- choices


def test_a_choice_is_the_label_as_it_was_offered() -> None:
    llm = MockLLMBackend(['{"reason": "It says so.", "choice": " refund "}'])
    result = Judge(llm).choose("What was done?", ["Refund", "Exchange"], "We refund.")
    assert (result.label, result.reason, result.score) == ("Refund", "It says so.", None)
    assert Judge(MockLLMBackend(['{"choice": true}'])).choose("Is it?", ["true", "false"], "x").label == "true"


def test_an_option_that_was_not_offered_is_an_error() -> None:
    reply = '{"reason": "", "choice": "voucher"}'
    with pytest.raises(JudgeError, match="'choice' is 'voucher' and has to be one of 'refund', 'exchange'"):
        Judge(MockLLMBackend([reply, reply])).choose("What?", ["refund", "exchange"], "x")


@pytest.mark.parametrize("options", [[], ["one"], "yes", ["yes", "Yes"], ["yes", ""], ["yes", 1]])
def test_options_that_cannot_be_told_apart_are_refused(options: Any) -> None:
    with pytest.raises(ValueError, match="options="):
        Judge(MockLLMBackend([])).choose("What?", options, "x")


# --- providers that fail


def test_a_rate_limit_is_waited_for() -> None:
    llm = MockLLMBackend([RateLimited("slow down", retry_after=1.0), verdict(8)])
    assert Judge(llm).score("Good?", "x").score == 0.8


def test_the_wait_is_the_one_the_server_asks_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []
    monkeypatch.setattr(time, "sleep", waits.append)
    llm = MockLLMBackend([RateLimited("slow down", retry_after=7.0), verdict(8)])
    llm.no_sleep = False
    Judge(llm).score("Good?", "x")
    assert waits == [7.0]


@pytest.mark.parametrize(
    ("failure", "attempts"),
    [(BackendTimeout("no answer in 120 s"), 4), (RateLimited("slow down"), 4), (ContentFiltered("no"), 1)],
)
def test_a_provider_that_keeps_failing_is_an_error_of_the_judge(failure: Exception, attempts: int) -> None:
    llm = MockLLMBackend([failure], cycle=True)
    with pytest.raises(JudgeError, match=rf"judge 'mock' failed: {type(failure).__name__}: {failure}"):
        Judge(llm).score("Good?", "x")
    assert len(llm.prompts) == attempts


def test_an_overflow_says_how_to_show_less() -> None:
    with pytest.raises(JudgeError, match=r"ContextOverflow: too long; show the judge less: show=\('output',\)"):
        Judge(MockLLMBackend([ContextOverflow("too long")])).score("Good?", "x")


def test_a_reply_the_backend_could_not_read_is_asked_for_again() -> None:
    llm = MockLLMBackend([MalformedReply("broken", text="{{"), verdict(8)])
    assert Judge(llm).score("Good?", "x").score == 0.8


def test_a_mistake_in_a_backend_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        Judge(MockLLMBackend([ZeroDivisionError()])).score("Good?", "x")


@given(st.one_of(st.text(), st.binary().map(lambda data: data.decode("utf-8", "surrogateescape"))), st.text())
def test_any_bytes_of_a_judge_are_a_verdict_or_an_error(first: str, second: str) -> None:
    try:
        result = Judge(MockLLMBackend([first, second])).score("Good?", "x")
    except JudgeError as error:
        str(error).encode()
    else:
        assert result.score is not None
        assert 0 <= result.score <= 1


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.integers() | st.text(), st.lists, max_leaves=3))
def test_any_value_in_the_place_of_a_verdict_is_a_verdict_or_an_error(value: object) -> None:
    reply = verdict(value)
    with suppress(JudgeError):
        assert Judge(MockLLMBackend([reply, reply])).score("Good?", "x").score in [number / 10 for number in range(11)]


# --- what is asked


def test_the_rubric_comes_first_and_what_is_judged_last() -> None:
    llm = MockLLMBackend([verdict(5)], cycle=True)
    judge = Judge(llm)
    judge.score("Polite?", "good morning")
    first = asked(llm)
    judge.score("Polite?", "get lost")
    assert first.system == asked(llm).system, "requests with one rubric begin alike"
    assert first.system.startswith("Rubric:\nPolite?")
    assert "good morning" not in first.system
    assert first.system.index('"reason"') < first.system.index('"score"'), "reasons come before verdicts"


def test_a_model_that_can_be_held_to_a_schema_is() -> None:
    llm = MockLLMBackend([verdict(5)], capabilities=CONSTRAINED)
    Judge(llm).score("Good?", "x")
    schema = asked(llm).settings.reply_schema or {}
    assert list(schema["properties"]) == ["reason", "score"]
    assert schema["properties"]["score"]["enum"] == list(range(11))
    free = MockLLMBackend([verdict(5)])
    Judge(free).score("Good?", "x")
    assert asked(free).settings.reply_schema is None


def test_a_run_is_shown_without_times_so_that_the_same_run_is_the_same_request() -> None:
    llm = MockLLMBackend([verdict(5)], cycle=True)
    judge = Judge(llm)
    judge.score("Good?", a_run())
    first = asked(llm)
    slower = a_run(
        duration=9.0, steps=tuple(s.replace(tool_result=s.tool_result.replace(duration_ms=9)) for s in a_run().steps)
    )
    judge.score("Good?", slower)
    assert first == asked(llm)
    shown = first.messages[0].content
    for part in ("Task:\nRefund order 17", '1. lookup {"order":17}\nresult: {"amount":25}', 'Output:\n{"amount":25}'):
        assert part in shown


def test_show_chooses_the_parts_of_a_run() -> None:
    llm = MockLLMBackend([verdict(5)])
    Judge(llm).score("Good?", a_run(), show=("output",))
    shown = asked(llm).messages[0].content
    assert "lookup" not in shown
    assert "Refund order" not in shown
    assert '{"amount":25}' in shown
    with pytest.raises(ValueError, match="show='output': give one or more of 'task', 'steps', 'output' in a tuple"):
        Judge(llm).score("Good?", a_run(), show="output")  # type: ignore[arg-type]  # the mistake


def test_a_run_that_did_not_complete_says_so() -> None:
    llm = MockLLMBackend([verdict(5)])
    Judge(llm).score("Good?", a_run(stop_reason="max_steps", output=None))
    assert "The run did not complete: max_steps" in asked(llm).messages[0].content


def test_what_is_too_long_is_cut_and_a_known_window_counts() -> None:
    llm = MockLLMBackend([verdict(5)])
    Judge(llm, limit=500).score("Good?", "x" * 10_000)
    assert len(asked(llm).messages[0].content) < 600
    small = MockLLMBackend([verdict(5)], capabilities=Capabilities(context_window=1000))
    Judge(small).score("Good?", "x" * 10_000)
    assert len(asked(small).messages[0].content) < 2100


def test_secrets_are_taken_out_before_anything_is_cut() -> None:
    llm = MockLLMBackend([verdict(5)])
    key = "sk-" + "a" * 200
    Judge(llm, limit=300, redact=True).score(f"Good? {key}", "x" * 120 + f" {key} " + "y" * 120)
    assert "sk-a" not in str(asked(llm))
    assert "[redacted]" in asked(llm).messages[0].content


@pytest.mark.parametrize(
    ("mistake", "said"),
    [
        (lambda judge: judge.score("", "x"), "rubric='': say in a str what to judge by"),
        (lambda judge: judge.choose(" ", ["a", "b"], "x"), "question=' ': say in a str"),
        (lambda judge: judge.score("Good?", "x", repeat=0), r"judge.score\(repeat=...\) is 0"),
        (lambda judge: Judge(MockLLMBackend([]), limit=5), r"Judge\(limit=...\) is 5"),
    ],
)
def test_wrong_arguments_are_refused(mistake: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        mistake(Judge(MockLLMBackend([])))


def test_an_async_backend_is_refused() -> None:
    class Async:
        name = "slow"

        async def chat(self, prompt: Prompt) -> Reply:
            return Reply(text=verdict(5))

    with pytest.raises(TypeError, match="'slow' is an async backend; a Judge needs one that is not"):
        Judge(Async())


def test_usage_is_summed() -> None:
    reply = Reply(text=verdict(5), usage=Usage(100, 10))
    judge = Judge(MockLLMBackend([reply, reply]))
    judge.score("Good?", "x", repeat=2)
    assert judge.usage == Usage(200, 20)
    assert judge.model == "mock"
