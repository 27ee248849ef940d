from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.traces import Script, cheese_run, large_result, write_trace

from looplet.trace.read import read_journal
from looplet.trace.render import render_trace
from looplet.trace.terminal import LONGEST_RESULT, coloured, printed, wants_colour
from looplet.types import ErrorKind, ToolCall, ToolResult

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.events import Event

SGR = re.compile(r"\x1b\[[0-9;]*m")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm")


def text_of(tmp_path: Path, events: list[Event]) -> str:
    return render_trace(read_journal(write_trace(tmp_path / "t", events)))


@pytest.mark.parametrize(
    ("environment", "terminal", "colour"),
    [
        ({}, True, True),
        ({}, False, False),
        ({"TERM": "dumb"}, True, False),
        ({"NO_COLOR": "1"}, True, False),
        ({"NO_COLOR": ""}, True, True),
        ({"FORCE_COLOR": "1"}, False, True),
        ({"FORCE_COLOR": "1", "TERM": "dumb"}, False, True),
        ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, True, False),
    ],
)
def test_who_gets_colour(
    environment: dict[str, str], terminal: bool, colour: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    stream = Terminal() if terminal else io.StringIO()
    assert wants_colour(stream) is colour
    assert ("\x1b[" in printed("[user]\n  hello\n", stream)) is colour


def test_headings_outcomes_and_bodies_are_told_apart(tmp_path: Path) -> None:
    script = Script()
    script.fail()
    script.turn(ToolCall("search", {"query": "x"}), ToolResult("search", "found"), text="Let me look.")
    script.turn(ToolCall("search", {}), ToolResult("search", error="nothing", error_kind=ErrorKind.EXECUTION))
    text = coloured(text_of(tmp_path, script.finish()))
    assert "\x1b[1mlooplet trace\x1b[0m" in text
    assert "\x1b[1;36m[reply 2]\x1b[0m\n\x1b[2m  Let me look.\x1b[0m" in text
    assert '\x1b[1;32m[step 1]\x1b[0m search {"query": "x"}\n\x1b[32mresult:\x1b[0m\n\x1b[2m  found\x1b[0m' in text
    assert "\x1b[1;31m[step 2]\x1b[0m search {}\n\x1b[1;31merror (execution):\x1b[0m" in text
    assert "\x1b[1;31m[request 1 failed]\x1b[0m" in text
    assert "\x1b[32mended:\x1b[0m done (completed)" in text
    killed = coloured(text_of(tmp_path, cheese_run()[:-1]))
    assert "\x1b[1;31mended:\x1b[0m not at all" in killed


def test_colour_adds_nothing_but_colour(tmp_path: Path) -> None:
    text = text_of(tmp_path, cheese_run())
    assert SGR.sub("", coloured(text)) == text
    assert printed(text, Terminal()) == coloured(text)


def test_what_a_model_wrote_brings_no_colour_of_its_own(tmp_path: Path) -> None:
    evil = "\x1b[31mred\x1b]0;title\x07\n[step 9] done\r\nerror: all is lost\x9b2J"
    script = Script(evil)
    script.turn(ToolCall("search", {evil: evil}), ToolResult("search", evil, warnings=(evil,)), text=evil)
    text = coloured(text_of(tmp_path, script.finish(evil, evil, (evil,))))
    plain = SGR.sub("", text)
    assert not set(plain) & set("\x1b\x07\x9b\r")
    assert not re.search(r"^(\x1b\[[0-9;]*m)?(\[step 9\]|error: all)", text, re.MULTILINE)


def test_a_long_result_is_cut_on_a_terminal_with_the_command_that_prints_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    rows = [{"row": number} for number in range(1_000)]
    events = [*cheese_run()[:-4], *large_result(rows), cheese_run()[-1]]
    text = text_of(tmp_path, events)
    shown = printed(text, Terminal(), path="my traces/run 1")
    assert '  {"row": 98},\n  … ' in shown
    (note,) = re.findall(r"^  … .*$", shown, re.MULTILINE)
    hidden = re.fullmatch(r"  … ([\d,]+) more characters: looplet show 'my traces/run 1' --step 3", note)
    assert hidden is not None
    left_out = text[text.index('    {"row": 99}') : text.index("\n\nended:")]
    assert int(hidden[1].replace(",", "")) == len(left_out.replace("\n", ""))
    assert "\n\nended: done" in shown
    assert printed(text, io.StringIO(), path="t") == text  # piped: for grep
    assert printed(text, Terminal()) == text  # --step


def test_one_endless_line_is_cut_too_and_so_are_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_COLOR", "1")
    script = Script()
    script.turn(ToolCall("search", {"query": "y" * 9_000}), ToolResult("search", "x" * 9_000))
    script.turn(ToolCall("search", {}), ToolResult("search", "short"))
    shown = printed(text_of(tmp_path, script.finish(output="z" * 9_000)), Terminal(), path="t")
    assert shown.count("looplet show t --step 1") == 2
    assert "--step 2" not in shown
    assert max(len(line) for line in shown.split("\n") if "yy" in line or "xx" in line) <= LONGEST_RESULT
    assert "z" * 9_000 in shown  # not a step's: no command would print it


def test_the_command_on_a_real_terminal(tmp_path: Path) -> None:
    pty = pytest.importorskip("pty", reason="no pseudo terminals on this system")
    trace = write_trace(tmp_path / "t", cheese_run())
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "FORCE_COLOR")}
    command = [sys.executable, "-m", "looplet", "show", str(trace), "--step", "1"]
    with subprocess.Popen(command, stdout=theirs, env=environment | {"TERM": "xterm"}) as process:
        os.close(theirs)
        output = b""
        while b"Gouda" not in output:
            output += os.read(ours, 10_000)
        assert process.wait() == 0
    os.close(ours)
    assert b"\x1b[1;32m[step 1]\x1b[0m" in output
    piped = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert b"\x1b" not in piped.stdout
