"""Functions are given what they name."""

from __future__ import annotations

from typing import Any

import pytest

from looplet.evals.arguments import wanted_arguments


def wanted(function: Any) -> list[str]:
    return wanted_arguments(function, ("task", "llm"), who="agent shop", rule="an agent")


def test_what_is_named_and_offered_is_wanted() -> None:
    assert wanted(lambda llm, *rest, task, limit=3, **more: None) == ["llm", "task"]
    assert wanted(lambda: None) == []


def test_what_is_required_and_not_offered_is_an_error() -> None:
    with pytest.raises(TypeError) as caught:
        wanted(lambda task, database: None)
    assert str(caught.value) == (
        "agent shop requires 'database'; an agent is given what it names of task, llm, by keyword"
    )


def test_a_positional_only_parameter_cannot_be_given() -> None:
    def agent(task: str, /) -> None: ...

    with pytest.raises(TypeError, match="agent shop requires 'task'"):
        wanted(agent)
