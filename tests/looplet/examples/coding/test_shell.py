"""One command: what may run, and that it ends with everything it started."""

from __future__ import annotations

import os
import select
import sys
from typing import TYPE_CHECKING

import pytest

from looplet.examples.coding import shell
from looplet.examples.coding.shell import is_runnable, run_bash

if TYPE_CHECKING:
    from pathlib import Path

GUARD_S = 60.0  # far beyond what anything here takes


@pytest.mark.parametrize(
    "command",
    [
        "python -m unittest",
        "python3 -m unittest tests.test_shop.ShopTest.test_total",
        "python -m unittest discover -s tests -v",
        "ls",
        "ls -la shop/prices.py",
        "cat README.md",
        "head -n 5 README.md",
    ],
)
def test_a_plain_command_of_the_list_may_run(command: str) -> None:
    assert is_runnable(command)


@pytest.mark.parametrize(
    "command",
    [
        "",
        "rm -rf .",
        "python -m unittest; rm -rf .",
        "python -m unittest && rm x",
        "python -m unittest | sh",
        "python -m unittest > shop/prices.py",
        "python -m unittest $(rm x)",
        "python -m unittest `rm x`",
        "python -m unittest\nrm x",
        "python -m unittestx",
        "python -m http.server",
        "python -c pass",
        "lsof",
        "cat /etc/passwd",
        "cat ~/.ssh/id_rsa",
        "cat $HOME/.netrc",
        "cat ../secret",
        "cat a/../../secret",
        "cat -- 'a b'",
        "cat {a,/etc/passwd}",
        "cat /et*/passwd",
        "python -m unittest discover -s/tmp",
        "python -m unittest discover --start-directory=/tmp",
        "ls a &",
        "PATH=. ls",
        7,
        None,
    ],
)
def test_anything_else_may_not(command: object) -> None:
    assert not is_runnable(command)


def test_the_result_has_the_status_and_both_outputs(tmp_path: Path) -> None:
    result = run_bash("pwd; echo problem >&2; exit 3", tmp_path)
    assert str(result) == f"exit status 3\n{tmp_path.resolve()}\nproblem\n"


def test_python_is_this_interpreter_even_where_there_is_none(tmp_path: Path) -> None:
    for name in ("python", "python3"):
        result = run_bash(f"hash -p /none {name}2; PATH=/none; {name} -c 'import sys; print(sys.executable)'", tmp_path)
        assert result == (0, f"{sys.executable}\n")


def test_keys_of_the_environment_stay_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "secret" not in run_bash("export", tmp_path).text


@pytest.fixture
def pipe(tmp_path: Path) -> int:
    """The reading end of a pipe `held`: it ends when no process holds the other end any more."""
    os.mkfifo(tmp_path / "held")
    return os.open(tmp_path / "held", os.O_RDONLY | os.O_NONBLOCK)


def test_what_a_command_left_running_is_killed(tmp_path: Path, pipe: int) -> None:
    result = run_bash("sleep 1000 >held 2>&1 & echo started >held; echo ended", tmp_path)
    assert result == (0, "ended\n")
    assert_ends(pipe)


def test_at_the_deadline_the_whole_group_is_killed(tmp_path: Path, pipe: int) -> None:
    result = run_bash("echo begun; echo started >held; sleep 1000 >held & wait", tmp_path, timeout_s=0.5)
    assert result.status is None
    assert str(result).startswith("killed: it took or printed too much\n")
    assert_ends(pipe)


def test_a_command_that_closes_its_output_and_goes_on_is_killed(tmp_path: Path, pipe: int) -> None:
    assert run_bash("exec >held 2>held; sleep 1000", tmp_path, timeout_s=0.5).status is None
    assert_ends(pipe)


def assert_ends(pipe: int) -> None:
    """Read until the end: it comes when every process that could write is gone."""
    try:
        while True:
            assert select.select([pipe], [], [], GUARD_S)[0], "a process of the command is still there"
            if not os.read(pipe, 1000):
                break
    finally:
        os.close(pipe)


def test_output_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shell, "_MOST_BYTES", 1000)
    result = run_bash("while :; do echo again; done", tmp_path)
    assert result.status is None
    assert len(result.text) == 1000


def test_output_that_is_no_text_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    assert run_bash(r"printf 'a\xffb'", tmp_path).text == "a\ufffdb"
