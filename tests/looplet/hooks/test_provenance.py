from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from looplet.backends.mock import MockLLMBackend
from looplet.errors import RateLimited, TraceError
from looplet.hooks.provenance import ProvenanceSink
from looplet.loop import composable_loop
from looplet.messages import Message, Prompt
from looplet.trace.read import load_trace, read_journal
from looplet.types import ToolCall

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.run import Run

SECRET = "sk-" + "live0123456789abcdef"


def search(query: str) -> list[dict[str, Any]]:
    """Find things."""
    return [{"id": number, "about": query} for number in range(3)]


def leak() -> dict[str, Any]:
    """Give away a secret."""
    return {"note": f"the key is {SECRET}", SECRET: [SECRET]}


def crash() -> str:
    """Fail."""
    raise ValueError(f"cannot log in with {SECRET}")


SCRIPT: list[Any] = [
    [ToolCall("search", {"query": "käse"}), ToolCall("nonsense", {})],
    ToolCall("search", {"query": 3, "limit": 4}),
    ToolCall("crash", {}),
    ToolCall("done", {"answer": "brie"}),
]


def agent(*hooks: object, script: list[Any] | None = None, task: Any = "find cheese", **options: Any) -> Run:
    llm = MockLLMBackend(SCRIPT if script is None else script)
    return composable_loop(
        llm, task=task, tools=[search, leak, crash], hooks=hooks, system_prompt="Be brief.", **options
    )


def finish(run: Run) -> Run:
    for _ in run:
        pass
    return run


class Tidy:
    """Rewrites a call, adds to a result, injects into a prompt."""

    def pre_prompt(self, state: Any, log: Any, ctx: Prompt, step: int) -> Prompt:
        return ctx.replace(messages=(*ctx.messages, Message("user", f"budget note {step}")))

    def post_dispatch(self, state: Any, log: Any, tool_call: Any, tool_result: Any, step: int) -> str:
        return f"looked at {step}"


@pytest.mark.parametrize(
    "options",
    [
        {},
        {
            "script": [
                '{"tool": "search", "args": {"query": "käse"}}',
                "hm",
                '{"tool": "done", "args": {"answer": "x"}}',
            ]
        },
        {"script": ["text", RateLimited("slow down", retry_after=0.001), "That is all."]},
        {"script": [ToolCall("search", {"query": "x"})] * 3, "max_steps": 2},
        {"script": [ToolCall("search", {"query": "x"}), ValueError("provider bug")]},
        {"task": {"city": "Bern", "days": [1, 2]}},
    ],
    ids=["native", "text", "failures", "max_steps", "programming-error", "dict-task"],
)
@pytest.mark.parametrize("hooks", [(), (Tidy(),)], ids=["plain", "hooks"])
def test_a_loaded_trace_equals_the_result_of_the_run(
    tmp_path: Path, options: dict[str, Any], hooks: tuple[object, ...]
) -> None:
    run = agent(*hooks, ProvenanceSink(tmp_path / "t"), **options)
    try:
        finish(run)
    except ValueError:
        assert "provider bug" in str(run.result.errors)
    assert load_trace(tmp_path / "t") == run.result
    assert run.result.trace_dir == str(tmp_path / "t")


def test_the_trace_is_complete_when_the_run_has_ended(tmp_path: Path) -> None:
    sink = ProvenanceSink(tmp_path / "t")
    run = agent(sink)
    next(run)
    assert not sink.complete
    finish(run)
    assert sink.complete
    assert sink.failure is None
    assert sink.dir == tmp_path / "t"
    assert "[step 1] search" in (tmp_path / "t" / "trace.txt").read_text()


def test_a_step_is_on_disk_before_the_consumer_sees_it(tmp_path: Path) -> None:
    for step in agent(ProvenanceSink(tmp_path / "t")):
        assert read_journal(tmp_path / "t").steps[-1] == step
        if step.number == 2:
            break
    assert load_trace(tmp_path / "t").stop_reason == "closed"


def test_a_sink_serves_one_run(tmp_path: Path) -> None:
    sink = ProvenanceSink(tmp_path / "t")
    finish(agent(sink))
    with pytest.raises(
        TraceError, match=r"this ProvenanceSink\(.*\) already belongs to a run; give every run a new one"
    ):
        finish(agent(sink))
    assert load_trace(tmp_path / "t").stop_reason == "done"


def test_a_refused_second_run_leaves_the_first_one_alone(tmp_path: Path) -> None:
    sink = ProvenanceSink(tmp_path / "t")
    first = agent(sink)
    next(first)
    with pytest.raises(TraceError, match="already belongs to a run"):
        finish(agent(sink))
    finish(first)
    assert load_trace(tmp_path / "t") == first.result
    assert sink.complete


def test_a_trace_that_cannot_be_started_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "thesis.doc").touch()
    with pytest.raises(TraceError, match="is not a trace"):
        finish(agent(ProvenanceSink(tmp_path)))


def test_a_run_that_was_never_started_leaves_no_trace(tmp_path: Path) -> None:
    agent(ProvenanceSink(tmp_path / "t")).close()
    assert list(tmp_path.iterdir()) == []


def test_a_trace_that_can_no_longer_be_written_warns_and_lets_the_run_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sink = ProvenanceSink(tmp_path / "t")
    run = agent(sink)
    next(run)

    def full(descriptor: int, data: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("looplet.trace.journal.os.write", full)
    with pytest.warns(RuntimeWarning, match="is incomplete from here on"):
        finish(run)
    assert run.result.stop_reason == "done"
    assert not sink.complete
    assert "No space left" in str(sink.failure)
    monkeypatch.undo()
    assert len(load_trace(tmp_path / "t").steps) == 1


LEAKS = [
    ToolCall("leak", {}),
    ToolCall("crash", {}),
    ToolCall("search", {"query": SECRET}),
    ToolCall("done", {"answer": SECRET}),
]


def files(path: Path) -> bytes:
    return b"".join(file.read_bytes() for file in path.iterdir())


def test_redaction_covers_what_is_sent_and_what_is_written(tmp_path: Path) -> None:
    llm = MockLLMBackend(list(LEAKS))
    sink = ProvenanceSink(tmp_path / "t", redact=True)
    run = composable_loop(
        llm, task=f"log in with {SECRET}", tools=[search, leak, crash], hooks=[sink], system_prompt=SECRET
    )
    finish(run)
    assert SECRET.encode() not in files(tmp_path / "t")
    assert SECRET not in "".join(map(str, llm.prompts[:3]))
    assert run.result.output == SECRET  # your own program sees what really happened


def test_redaction_may_be_kept_from_the_model(tmp_path: Path) -> None:
    llm = MockLLMBackend(list(LEAKS))
    sink = ProvenanceSink(tmp_path / "t", redact=True, redact_upstream=False)
    finish(composable_loop(llm, task=f"log in with {SECRET}", tools=[search, leak, crash], hooks=[sink]))
    assert SECRET in str(llm.prompts[0])
    assert SECRET.encode() not in files(tmp_path / "t")


def test_without_redaction_the_prompt_is_untouched(tmp_path: Path) -> None:
    prompt = Prompt("", (Message("user", SECRET),))
    assert ProvenanceSink(tmp_path / "t").filter_prompt(prompt) is prompt


KILLED = """
import os, sys
from looplet.backends.mock import MockLLMBackend
from looplet.hooks.provenance import ProvenanceSink
from looplet.loop import composable_loop
from looplet.types import ToolCall

def search(query: str) -> str:
    "Find things."
    if query == "kill":
        os.kill(os.getpid(), 9)
    return "found " + query

llm = MockLLMBackend([ToolCall("search", {"query": "a"}), ToolCall("search", {"query": "kill"})])
for step in composable_loop(llm, task="x", tools=[search], hooks=[ProvenanceSink(sys.argv[1])]):
    print(step.pretty(), flush=True)
"""


def test_a_killed_process_leaves_all_that_it_acknowledged(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path / "t")], capture_output=True, check=False)
    assert done.returncode == -9
    trace = read_journal(tmp_path / "t")
    assert [step.pretty()[:3] for step in trace.steps] == ["#1 "]
    assert type(trace.events[-1]).__name__ == "CallStarted"
    assert load_trace(tmp_path / "t").stop_reason == "unfinished"
