"""The table: what is wrong with the shipped one, and that a change is on disk whole or not at all."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from looplet import ApprovalHook, BaseToolRegistry, MockLLMBackend, ToolCall, composable_loop
from looplet.examples.cleanup.contacts import Contacts, example
from looplet.examples.cleanup.scripted import scripted_model
from looplet.examples.cleanup.tools import tools

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def contacts(tmp_path: Path) -> Contacts:
    made = Contacts(tmp_path / "contacts.csv")
    made.save(example())
    return made


def test_the_shipped_table_has_every_kind_of_problem(contacts: Contacts) -> None:
    assert contacts.rows() == example()
    assert contacts.problems() == {
        "rows": 48,
        "untidy": {"name": 6, "email": 5, "country": 12},
        "duplicates": [27, 33, 40],
        "without_email": [11, 38],
    }


def test_normalizing_changes_the_untidy_cells_of_one_column(contacts: Contacts) -> None:
    assert contacts.normalize("email") == 5
    assert contacts.problems()["untidy"] == {"name": 6, "email": 0, "country": 12}
    assert contacts.normalize("email") == 0


def test_deleting_removes_these_rows_only(contacts: Contacts) -> None:
    contacts.delete([1, 48])
    assert [int(row["id"]) for row in contacts.rows()] == list(range(2, 48))


def test_a_change_that_fails_leaves_the_table_as_it_was(contacts: Contacts, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_space(*_: object) -> None:
        raise OSError("no space")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(OSError, match="no space"):
        contacts.delete([1])
    assert contacts.rows() == example()


def test_rows_are_shown_page_by_page(contacts: Contacts) -> None:
    registry = BaseToolRegistry()
    for spec in tools(contacts):
        registry.register(spec)
    page = registry.dispatch(ToolCall("show_rows", {"first": 47, "count": 5})).data
    assert page == {
        "rows": [
            "47, Hana Weiss, hana.weiss47@example.com, Japan",
            "48, Ada Novak, ada.novak48@example.com, nigeria",
        ],
        "next": None,
    }
    assert registry.dispatch(ToolCall("show_rows", {"first": -5, "count": 0})).data["next"] == 2


def clean_up(contacts: Contacts, answers: list[bool | str]) -> list[str]:
    """The results of the deletions a person was asked about, or their errors."""
    run = composable_loop(
        MockLLMBackend(scripted_model),
        "t",
        tools(contacts),
        hooks=[ApprovalHook(lambda _: answers.pop(0))],
        max_steps=40,
    )
    results = [step.tool_result for step in run if step.tool_call.tool == "delete_rows"]
    assert run.result.stop_reason == "done"
    return [result.error or result.data for result in results]


def test_what_is_approved_is_deleted(contacts: Contacts) -> None:
    assert clean_up(contacts, [True, True]) == ["deleted 3 rows", "deleted 2 rows"]
    untidy = {"name": 0, "email": 0, "country": 0}
    assert contacts.problems() == {"rows": 43, "untidy": untidy, "duplicates": [], "without_email": []}


def test_what_is_refused_stays(contacts: Contacts) -> None:
    assert clean_up(contacts, [True, "they may call"]) == ["deleted 3 rows", "they may call"]
    assert contacts.problems()["without_email"] == [11, 38]


def test_without_anybody_to_ask_nothing_is_deleted(contacts: Contacts) -> None:
    script = [ToolCall("delete_rows", {"ids": [1], "reason": "r"}), ToolCall("done", {"answer": ""})]
    run = composable_loop(MockLLMBackend(script), "t", tools(contacts))
    assert next(run).tool_result.error_kind == "permission_denied"
    run.close()
    assert len(contacts.rows()) == 48


@pytest.mark.parametrize(("ids", "message"), [([1, 99], "no rows with the ids [99]"), ([], "ids is empty")])
def test_rows_that_are_not_there_are_the_callers_mistake(contacts: Contacts, ids: list[int], message: str) -> None:
    script = [ToolCall("delete_rows", {"ids": ids, "reason": "r"}), ToolCall("done", {"answer": ""})]
    hooks = [ApprovalHook(lambda _: True)]
    run = composable_loop(MockLLMBackend(script), "t", tools(contacts), hooks=hooks)
    result = next(run).tool_result
    run.close()
    assert result.error_kind == "validation"
    assert message in (result.error or "")
    assert len(contacts.rows()) == 48
