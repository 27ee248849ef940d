"""Cases: read from dicts and files, with unique slugs."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looplet.evals.case import EvalCase, load_cases, slug

if TYPE_CHECKING:
    from pathlib import Path


def _ids(tmp_path: Path, *entries: Any) -> list[str]:
    return [case.id for case in load_cases(list(entries), tmp_path)]


def test_ids_are_slugs_of_the_given_id_or_of_the_task(tmp_path: Path) -> None:
    entries = [
        {"id": "Refund #1", "task": "x"},
        {"task": "Refund order 17, please!"},
        {"task": {"kind": 3, "text": "Ünïcode & more"}},
        {"task": "日本"},
        EvalCase(task=["a", 1]),
    ]
    assert _ids(tmp_path, *entries) == ["refund-1", "refund-order-17-please", "unicode-more", "case-4", "a-1"]


def test_an_id_is_plain_text_whatever_was_given(tmp_path: Path) -> None:
    class Topic(str, Enum):  # noqa: UP042  # a StrEnum is shown as its text, this one as `Topic.REFUND`
        REFUND = "refund"

    (name,) = _ids(tmp_path, {"id": Topic.REFUND, "task": "x"})
    assert type(name) is str
    assert f"{name}-t2" == "refund-t2"


def test_a_derived_id_gives_way_and_a_given_one_may_not_repeat(tmp_path: Path) -> None:
    assert _ids(tmp_path, {"task": "same"}, {"task": "same"}, {"id": "same", "task": "x"}) == [
        "same-2",
        "same-3",
        "same",
    ]
    with pytest.raises(ValueError, match=r"case ids 'A b' and 'a-b' are the same \(a-b\); ids must be unique"):
        _ids(tmp_path, {"id": "A b", "task": "x"}, {"id": "a-b", "task": "y"})


def test_ids_that_differ_behind_the_cut_alone_are_told_of_it(tmp_path: Path) -> None:
    for start in ("x" * 48, "x" * 47 + "-"):
        with pytest.raises(ValueError, match=r"\(x+: ids are cut at 48 characters\); ids must be unique"):
            _ids(tmp_path, {"id": f"{start}a", "task": "x"}, {"id": f"{start}b", "task": "y"})


@given(st.text())
def test_a_slug_is_safe_short_and_stays_itself(text: str) -> None:
    found = slug(text)
    assert slug(found) == found
    assert len(found) <= 48
    assert set(found) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-")
    assert not found.startswith(("-", "."))


@given(st.lists(st.text(min_size=1), min_size=1, max_size=8))
def test_ids_are_always_unique(tasks: list[str]) -> None:
    from pathlib import Path

    ids = [case.id for case in load_cases([{"task": task} for task in tasks], Path())]
    assert len(set(ids)) == len(tasks)
    assert all(ids)


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ([], "holds no case"),
        ([{"expected": 1}], "cases[0] has no task"),
        ([{"task": "x"}, "y"], "cases[1] is 'y': a case is a dict with a 'task', or an EvalCase"),
        ([{"task": "x", "expcted": 1}], "cases[0] has an unknown key 'expcted'; did you mean 'expected'?"),
        ([{"task": "x", "zzz": 1}], "unknown key 'zzz'; known: id, task, expected, files, script, marks"),
        ([{"task": "x", "id": 3}], "cases[0]: id=3 must be a str"),
        ([{"task": "x", "id": "!!"}], "case id '!!' has no letter or digit"),
        (3, "cases=3: give a list of dicts or EvalCases"),
        ("nope.json", "cases='nope.json': no such file below"),
        ("bad.jsonl", "bad.jsonl:2 is not valid JSON"),
        ("bad.json", "bad.json is not valid JSON"),
        ("bad.txt", "bad.txt is neither .json nor .jsonl"),
        ("list.json", "list.json[1] has no task"),
        (".", "cases='.': no such file below"),
        ("latin.json", "latin.json is not UTF-8"),
        ([{"task": "x", "files": {"a.txt": 5}}], "case 'x': files['a.txt'] is 5; the text of a file is a str"),
        ([{"task": "x", "files": {3: "a"}}], "case 'x': files[3] is 'a'"),
        ([{"task": "x", "files": "nosuch"}], "case 'x': files='nosuch': no such directory below"),
        ([{"task": "x", "files": 5}], "case 'x': files=5: give {relative path: text}"),
        ([{"task": "x", "script": "done"}], "case 'x': script='done': give a list of replies"),
    ],
)
def test_a_mistake_names_the_place(tmp_path: Path, source: Any, said: str) -> None:
    (tmp_path / "bad.jsonl").write_text('{"task": "x"}\n{"task"\n')
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "bad.txt").write_text("{}")
    (tmp_path / "latin.json").write_bytes(b'{"task": "\xe9"}')
    (tmp_path / "list.json").write_text('[{"task": "x"}, {}]')
    with pytest.raises((ValueError, TypeError)) as caught:
        load_cases(source, tmp_path)
    assert said in str(caught.value)


def test_files_are_read_by_glob_in_order_of_their_names(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"task": "three"}')
    (tmp_path / "a.jsonl").write_text('{"task": "one", "expected": 1, "marks": "slow"}\n\n{"task": "two"}\n')
    cases = load_cases("*.json*", tmp_path)
    assert [(case.task, case.expected, case.marks) for case in cases] == [
        ("one", 1, ("slow",)),
        ("two", None, ()),
        ("three", None, ()),
    ]
    assert load_cases(str(tmp_path / "b.json"), tmp_path / "elsewhere")[0].task == "three"


def test_an_id_made_of_a_task_holds_no_secret(tmp_path: Path) -> None:
    (case,) = load_cases([{"task": "use sk-proj-Zq8vLw3nRt6yUx1mKp5s"}], tmp_path)
    assert case.id == "use-redacted"
