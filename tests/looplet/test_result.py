"""`RunResult`: what a run leaves behind, in words."""

from __future__ import annotations

from looplet import RunResult


class Unreadable:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_the_text_names_what_cannot_be_written() -> None:
    text = RunResult("done", task=Unreadable(), output=Unreadable()).text
    assert text.splitlines() == [
        "task: <Unreadable, str failed: RuntimeError>",
        "ended: done (completed); output: <Unreadable, str failed: RuntimeError>",
    ]


def test_the_text_is_the_task_the_errors_and_the_end() -> None:
    text = RunResult("llm_error", task="go", errors=("busy\x1b",)).text
    assert text.splitlines() == ["task: go", "error: busy\\x1b", "ended: llm_error (failed); output: None"]
