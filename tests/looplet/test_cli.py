from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import EntryPoint
from typing import TYPE_CHECKING

import pytest
from tests.support.traces import Script, cheese_run, long_run, write_trace

from looplet import _version
from looplet.cli import main
from looplet.trace.read import read_journal
from looplet.trace.render import render_call, render_step

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path


@pytest.fixture
def cheese(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "run_1", cheese_run())


def output(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def failure(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert main([str(argument) for argument in arguments]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    return captured.err


def test_show_prints_the_trace(cheese: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "show", cheese) == (cheese / "trace.txt").read_text()


def test_show_prints_one_step_or_one_whole_prompt(cheese: Path, capsys: pytest.CaptureFixture[str]) -> None:
    trace = read_journal(cheese)
    assert output(capsys, "show", cheese, "--step", 2) == render_step(trace, 2)
    assert output(capsys, "show", cheese, "--call", 3) == render_call(trace, 3)


def test_show_prints_json(cheese: Path, capsys: pytest.CaptureFixture[str]) -> None:
    whole = json.loads(output(capsys, "show", cheese, "--json"))
    assert (whole["stop_reason"], whole["output"], whole["model"], len(whole["steps"])) == ("done", "brie", "mock", 3)
    step = json.loads(output(capsys, "show", cheese, "--step", 1, "--json"))
    assert step == whole["steps"][0]
    call = json.loads(output(capsys, "show", cheese, "--call", 2, "--json"))
    assert call["prompt"] == read_journal(cheese).prompt(2).to_dict()
    assert call["reply"]["calls"][0]["name"] == "search"


def test_show_prints_a_failed_call_as_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = Script()
    script.fail()
    path = write_trace(tmp_path / "t", script.events)
    call = json.loads(output(capsys, "show", path, "--call", 1, "--json"))
    assert (call["kind"], call["error"]) == ("RateLimited", "slow down")


def test_show_lists_the_traces_of_a_directory(cheese: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_trace(cheese.parent / "run_2", Script("a\x1b[2J" + "b" * 90).events)
    (cheese.parent / "run_3").mkdir()
    (cheese.parent / "run_3" / "journal.jsonl").write_text("rubbish\n")
    lines = output(capsys, "show", cheese.parent).splitlines()
    assert lines[0] == f"{cheese}  done  3 steps  find cheese"
    assert lines[1].startswith(f"{cheese.parent / 'run_2'}  unfinished  0 steps  a\\x1b[2Jbbb")
    assert "run_3  cannot be read:" in lines[2]
    assert [run.get("stop_reason") for run in json.loads(output(capsys, "show", cheese.parent, "--json"))] == [
        "done",
        "unfinished",
        None,
    ]


def test_show_lists_traces_of_any_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("refund-mock", "refund-ollama"):
        write_trace(tmp_path / name, cheese_run())
    (tmp_path / "notes").mkdir()
    assert [line.split()[0] for line in output(capsys, "show", tmp_path).splitlines()] == [
        str(tmp_path / "refund-mock"),
        str(tmp_path / "refund-ollama"),
    ]


def test_a_step_of_a_directory_of_traces_is_an_error_that_names_them(
    cheese: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "holds several traces (run_1); name one of them" in failure(capsys, "show", cheese.parent, "--step", "1")


def test_what_cannot_be_read_is_one_line_and_exit_code_2(cheese: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert failure(capsys, "show", cheese / "no").endswith("no' is not a trace: it has no journal.jsonl\n")
    assert "has no step 9: it has 3, counted from 1" in failure(capsys, "show", cheese, "--step", "9")
    assert "has no model call 9: it has 3, counted from 1" in failure(capsys, "show", cheese, "--call", "9", "--json")


@pytest.mark.parametrize("arguments", [["shwo", "x"], ["show"], ["show", "x", "--step", "1", "--call", "1"]])
def test_wrong_usage_is_exit_code_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: looplet" in capsys.readouterr().err


def test_the_help_documents_the_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["show", "--help"])
    assert caught.value.code == 0
    assert "exit codes: 0 all right, 1 differences" in " ".join(capsys.readouterr().out.split())
    assert main([]) == 2


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"looplet {_version.__version__}\n"


def test_a_missing_command_names_the_extra(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: ())
    assert (
        failure(capsys, "review") == "looplet: `looplet review` comes with the pytest plugin: install looplet[pytest]\n"
    )


def fake_command(arguments: Sequence[str]) -> int:
    return len(arguments)


def test_an_installed_command_gets_the_rest_of_the_line(monkeypatch: pytest.MonkeyPatch) -> None:
    point = EntryPoint("review", f"{__name__}:fake_command", "looplet.commands")
    monkeypatch.setattr(EntryPoint, "load", lambda _: fake_command)
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: (point,))
    assert main(["review", "--list", "x"]) == 2


def command(*arguments: object, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "looplet", *map(str, arguments)], capture_output=True, check=False, env={**environment}
    )


def test_it_is_also_a_module_and_prints_to_a_terminal_that_is_not_utf8(cheese: Path) -> None:
    done = command("show", cheese, PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'search {"query": "k\\xe4se"}' in done.stdout


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", long_run(200, 2_000))
    show = subprocess.Popen(
        [sys.executable, "-m", "looplet", "show", str(path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert show.stdout is not None
    assert show.stderr is not None
    assert show.stdout.readline() == b"looplet trace\n"
    show.stdout.close()
    assert show.wait() == 0
    assert show.stderr.read() == b""
    show.stderr.close()
