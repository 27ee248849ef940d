"""The estimate of a prompt's size starts careful, learns from reported usage, and knows the window."""

from __future__ import annotations

from looplet import Capabilities, Message, Prompt, ToolCall, Usage
from looplet.events import ModelFailed, ModelReplied, RunResumed, RunStarted
from looplet.hooks._size import Gauge
from looplet.messages import Reply, Settings, ToolSchema

TEXT = "word " * 200


def prompt(*contents: str, system: str = "", max_tokens: int | None = None) -> Prompt:
    messages = tuple(Message("user", content) for content in contents)
    return Prompt(system, messages, settings=Settings(max_tokens=max_tokens))


def started(window: int | None) -> RunStarted:
    return RunStarted("id", "task", "", (), 5, {}, "m", Capabilities(context_window=window))


def test_the_first_estimate_is_careful() -> None:
    """No common tokenizer needs more: 1,000 characters of English words are some 200 tokens, of code some 350."""
    assert Gauge().tokens(prompt(TEXT)) >= 330


def test_it_learns_from_reported_usage() -> None:
    gauge = Gauge()
    gauge.watch(ModelReplied(1, prompt(TEXT), Reply(usage=Usage(250, 9))))
    assert 245 <= gauge.tokens(prompt(TEXT)) <= 255
    assert 490 <= gauge.tokens(prompt(TEXT, TEXT)) <= 510


def test_a_report_that_cannot_be_of_this_prompt_is_taken_with_care() -> None:
    """Some servers report only what was not in their cache."""
    gauge = Gauge()
    gauge.watch(ModelReplied(1, prompt(TEXT), Reply(usage=Usage(3, 9))))
    assert gauge.tokens(prompt(TEXT)) >= 200
    gauge.watch(ModelReplied(1, prompt(TEXT), Reply(usage=Usage(0, 0))))
    gauge.watch(ModelReplied(1, prompt(TEXT), Reply(usage=None)))
    assert gauge.tokens(prompt(TEXT)) >= 200


def test_characters_of_three_bytes_count_more() -> None:
    gauge = Gauge()
    assert gauge.tokens(prompt("語" * 300)) >= 300
    assert gauge.tokens(prompt("\udcff" * 300)) >= 300


def test_system_prompt_tools_and_arguments_count() -> None:
    gauge = Gauge()
    call = ToolCall("write", {"text": TEXT}, call_id="c")
    bare = Prompt("", (Message("user", "x"),))
    full = Prompt(TEXT, (Message("assistant", "", (call,)),), (ToolSchema("t", TEXT, {}),))
    assert gauge.tokens(full) - gauge.tokens(bare) >= 3 * 330
    assert gauge.fixed(full) >= 2 * 330
    assert gauge.fixed(bare) == 0


def test_a_prompt_is_counted_alike_whatever_was_counted_before() -> None:
    gauge = Gauge()
    shapes = [prompt("a"), prompt("a", TEXT), prompt("a", TEXT, "b"), prompt("a", "b"), prompt(TEXT), prompt()]
    for shape in [*shapes, *reversed(shapes)]:
        assert gauge.tokens(shape) == Gauge().tokens(shape)


def test_the_window_is_the_given_one_or_the_models() -> None:
    gauge, given = Gauge(), Gauge(1_000)
    assert gauge.room(prompt("x")) is None
    for each in (gauge, given):
        each.watch(started(8_000))
    assert (gauge.room(prompt("x")), given.room(prompt("x"))) == (8_000, 1_000)
    gauge.watch(started(None))
    assert gauge.room(prompt("x")) is None


def test_the_reply_needs_its_part_of_the_window() -> None:
    assert Gauge(1_000).room(prompt("x", max_tokens=300)) == 700
    assert Gauge(1_000).room(prompt("x", max_tokens=5_000)) == 250


def test_what_the_provider_refused_is_too_long() -> None:
    gauge = Gauge()
    gauge.watch(ModelFailed(1, prompt(TEXT), "ServerError", "down"))
    assert gauge.room(prompt("x")) is None
    gauge.watch(ModelFailed(2, prompt(TEXT), "ContextOverflow", "too long"))
    gauge.watch(ModelFailed(3, prompt(TEXT, TEXT), "ContextOverflow", "too long"))
    assert gauge.room(prompt("x")) == gauge.tokens(prompt(TEXT))


def test_a_resumed_run_knows_what_was_learnt() -> None:
    gauge = Gauge()
    gauge.watch(RunResumed("id", 1, (started(4_000), ModelReplied(1, prompt(TEXT), Reply(usage=Usage(250, 9))))))
    assert gauge.room(prompt("x")) == 4_000
    assert gauge.tokens(prompt(TEXT)) <= 255
