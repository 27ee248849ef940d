from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from tests.support.traces import Script, cheese_run, write_trace

from looplet.cli import main
from looplet.types import ToolCall, ToolResult

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.events import Event


def other_run() -> list[Event]:
    script = Script(system="Be kind.")
    script.turn(ToolCall("search", {"query": "gouda"}, call_id="c1"), ToolResult("search", "none"))
    return script.finish("max_steps", output=None)


@pytest.fixture
def traces(tmp_path: Path) -> Path:
    for folder, name, events in (
        ("old", "one", cheese_run()),
        ("old", "two", cheese_run()),
        ("old", "gone", cheese_run()),
        ("new", "one", cheese_run()),
        ("new", "two", other_run()),
        ("new", "more", cheese_run()),
    ):
        write_trace(tmp_path / folder / name, events)
    return tmp_path


def diff(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, list[str]]:
    code = main(["diff", *map(str, arguments)])
    captured = capsys.readouterr()
    return code, (captured.out + captured.err).splitlines()


def test_the_same_behaviour_is_exit_code_0(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert diff(capsys, traces / "old" / "one", traces / "new" / "one") == (0, ["no difference"])


def test_wording_alone_is_exit_code_0(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = []
    for system in ("Be brief.", "Be kind."):
        script = Script(system=system)
        script.turn(ToolCall("done", {"answer": "brie"}, call_id="c1"), ToolResult("done", "brie"))
        paths.append(write_trace(tmp_path / system, script.finish()))
    code, lines = diff(capsys, *paths)
    assert code == 0
    assert lines == [
        "  system prompt changed at char 3: 'Be brief.' → 'Be kind.'",
        "same behaviour; 1 in wording, settings and cost",
    ]


def test_what_the_agent_did_comes_first_and_is_exit_code_1(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = diff(capsys, traces / "old" / "two", traces / "new" / "two")
    assert code == 1
    assert lines == [
        "stop reason done → max_steps",
        "step 1 search: arguments: query 'käse' → 'gouda'",
        'step 1 search: result: [{"id": 1, "name": "Gouda, old and dry"}] → \'none\'',
        "step 2 search removed",
        "step 3 done removed",
        "output removed: the result of step 3",
        "  system prompt changed at char 3: 'Be brief.' → 'Be kind.'",
        "  reply after the last step removed: That is all.",
        "  tokens 30 in, 15 out → 10 in, 5 out",
        "6 significant differences; 3 in wording, settings and cost",
    ]


def test_full_shows_each_changed_step_once_before_and_after(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = diff(capsys, traces / "old" / "two", traces / "new" / "two", "--full")
    assert code == 1
    assert lines[4:7] == [
        '    -[step 1] search {"query": "käse"}',
        '    +[step 1] search {"query": "gouda"}',
        "     result:",
    ]
    assert sum("[step 1]" in line for line in lines) == 2


def test_directories_of_traces_are_paired_by_name(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = diff(capsys, traces / "old", traces / "new")
    assert code == 1
    assert "gone: trace removed" in lines
    assert "more: trace added" in lines
    assert "two: stop reason done → max_steps" in lines
    assert not [line for line in lines if line.strip().startswith("one:")]
    assert lines[-1] == "8 significant differences in 4 traces; 3 in wording, settings and cost"


def test_json_holds_every_change_with_its_texts(traces: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code, lines = diff(capsys, traces / "old", traces / "new", "--json")
    told = json.loads("\n".join(lines))
    assert (code, told["significant"]) == (1, 8)
    assert {each["name"]: len(each["changes"]) for each in told["traces"]} == {"gone": 1, "more": 1, "one": 0, "two": 9}
    change = next(each for each in told["traces"] if each["name"] == "two")["changes"][0]
    assert (change["kind"], change["step"], change["significant"]) == ("stop_reason", None, True)
    assert (change["before"], change["after"]) == ("done (completed)", "max_steps (stopped)")


@pytest.mark.parametrize(
    ("a", "b", "says"),
    [
        ("old/one", "new", "is a trace and"),
        ("old/one", "nowhere", "is not a trace: it has no journal.jsonl"),
        ("nowhere", "old", "is not a trace"),
    ],
)
def test_what_cannot_be_compared_is_one_line_and_exit_code_2(
    traces: Path, capsys: pytest.CaptureFixture[str], a: str, b: str, says: str
) -> None:
    code, lines = diff(capsys, traces / a, traces / b)
    assert code == 2
    assert len(lines) == 1
    assert says in lines[0]
