"""`looplet review` without its interface: lists, patterns, exit codes, and what it says when it cannot."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.support.reviewing import COMMAND, ESCALATED, REFUNDED

from looplet import cli
from pytest_looplet.golden.pending import pending_dir

if TYPE_CHECKING:
    from tests.support.reviewing import Project

NAME = "evals/eval_shop.py::eval_refund"


@pytest.fixture(autouse=True)
def _inside(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project.root)


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = cli.main(["review", *arguments])
    return code, *capsys.readouterr()


def test_the_list_names_each_entry_and_what_changed(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.snapshot("a", project.text(REFUNDED), project.text(ESCALATED))
    project.recording("b", ESCALATED)
    code, out, err = said(capsys, "--list")
    assert (code, err) == (1, "")
    assert out.splitlines() == [
        f"snapshot  {NAME}[a]",
        "  step 2: tool refund → escalate",
        "recording  evals/eval_shop.py::recording[agent/b]",
        "  step 2: tool refund → escalate",
        "  system prompt changed at char 8: 'Be brief.' → 'Be brief and polite.'",
        (
            "  cannot be accepted: the agent's behaviour changed (step 2: tool refund → escalate); "
            f"record it again: {COMMAND}"
        ),
        "2 pending",
    ]


def test_json_has_the_documented_fields(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.snapshot("a", project.text(REFUNDED), project.text(ESCALATED))
    project.recording("b", ESCALATED)
    code, out, _ = said(capsys, "--list", "--json")
    told = json.loads(out)
    assert (code, told["schema"], told["root"]) == (1, 1, str(project.root))
    snapshot, recording = told["pending"]
    assert snapshot.pop("changes") == [
        {
            "kind": "tool",
            "text": "step 2: tool refund → escalate",
            "significant": True,
            "step": 2,
            "before": '[step 2] refund {"order": 17, "amount": 25}\nresult:\nrefunded 25',
            "after": '[step 2] escalate {"order": 17}\nresult:\ntold',
        }
    ]
    assert snapshot == {
        "id": f"{NAME}[a]",
        "kind": "snapshot",
        "target": "evals/__snapshots__/eval_shop/eval_refund[a].trace",
        "why": ["step 2: tool refund → escalate"],
        "acceptable": True,
        "refusal": None,
        "command": None,
    }
    assert (recording["acceptable"], recording["command"]) == (False, COMMAND)
    document = Path(__file__).parents[3].joinpath("docs", "review.md").read_text(encoding="utf-8")
    assert all(f"`{field}`" in document for field in recording)


def test_nothing_pending_is_said_and_succeeds(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in ([], ["--list"]):
        assert said(capsys, *arguments) == (0, "nothing is pending\n", "")
    code, out, _ = said(capsys, "--list", "--json")
    assert (code, json.loads(out)["pending"]) == (0, [])


def test_patterns_decide(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for case in "abc":
        project.snapshot(case, "old\n", "new\n")
    code, out, _ = said(capsys, "--accept", "*[a]", "--reject", "*[b]")
    assert (code, out) == (1, f"accepted: {NAME}[a]\nrejected: {NAME}[b]\n1 accepted, 1 rejected, 1 left\n")
    assert [project.snapshot_path(case).read_text(encoding="utf-8") for case in "abc"] == ["new\n", "old\n", "old\n"]
    code, out, _ = said(capsys, "--accept", "*", "--accept", "*[c]")
    assert (code, out) == (0, f"accepted: {NAME}[c]\n1 accepted, 0 left\n")


def test_a_list_after_deciding_shows_what_is_left(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    for case in "ab":
        project.snapshot(case, "old\n", "new\n")
    code, out, _ = said(capsys, "--accept", "*[a]", "--list")
    assert (code, out.splitlines()[-1], f"snapshot  {NAME}[b]" in out) == (1, "1 pending", True)


def test_a_refusal_is_said_and_leaves_the_entry(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    name = project.recording("b", ESCALATED)
    code, out, err = said(capsys, "--accept", "*")
    assert (code, out) == (1, "1 left\n")
    assert err.startswith(f"refused: {name}: the agent's behaviour changed (step 2: tool refund → escalate); record")
    assert project.pending() == [name]


def test_a_pattern_without_a_match_decides_nothing(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    name = project.snapshot("a", "old\n", "new\n")
    code, out, err = said(capsys, "--accept", "*[a]", "--reject", "typo")
    assert (code, out) == (2, "")
    assert err == f"looplet review: no pending entry matches 'typo'; these are pending:\n  {name}\n"
    assert project.pending() == [name]


def test_nothing_pending_matches_no_pattern(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "--accept", "*") == (
        2,
        "",
        "looplet review: no pending entry matches '*'; nothing is pending\n",
    )


def test_accepting_and_rejecting_the_same_is_refused(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    name = project.snapshot("a", "old\n", "new\n")
    code, _, err = said(capsys, "--accept", "*", "--reject", "*[a]")
    assert (code, project.pending()) == (2, [name])
    assert err == f"looplet review: {name!r} is both to be accepted and to be rejected; nothing was decided\n"


def test_wrong_usage(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "nowhere")[::2] == (2, "looplet review: 'nowhere' is not a directory\n")
    assert said(capsys, "--json")[::2] == (2, "looplet review: --json goes with --list\n")
    pending_dir(project.root).parent.mkdir()
    pending_dir(project.root).write_text("not a directory", encoding="utf-8")
    assert said(capsys, ".")[0] == 0


def test_the_project_is_found_from_below_or_named(
    project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project.snapshot("a", "old\n", "new\n")
    monkeypatch.chdir(project.root / "evals")
    assert said(capsys, "--list")[0] == 1
    assert said(capsys, ".", "--list")[:2] == (0, "nothing is pending\n")
    assert said(capsys, "..", "--list")[0] == 1


def python(code: str) -> subprocess.CompletedProcess[str]:
    """In an interpreter of its own, where nothing is loaded yet."""
    code = f"import sys; from pytest_looplet.review import command; {code}"
    return subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_without_a_terminal_it_says_what_to_use(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    done = python("raise SystemExit(command.main([]))")
    expected = "this is not a terminal; use --list to see what is pending, --accept PATTERN to accept it\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"looplet review: {expected}")


def test_without_standard_error_on_the_terminal_it_says_so_there(project: Project) -> None:
    """Textual draws on standard error: with `2>file` the screen stayed empty, and waited for keys."""
    project.snapshot("a", "old\n", "new\n")
    ours, theirs = os.openpty()
    log = project.root / "log"
    with log.open("w", encoding="utf-8") as file, os.fdopen(theirs, "w", encoding="utf-8") as terminal:
        command = [sys.executable, "-m", "looplet", "review"]
        done = subprocess.run(command, stdin=terminal, stdout=terminal, stderr=file, check=False, timeout=60)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    said = "looplet review: standard error is not the terminal, and the interface is drawn there; run it without 2>\n"
    assert (done.returncode, shown.replace("\r\n", "\n"), log.read_text(encoding="utf-8")) == (2, said, said)


def test_without_the_interface_it_names_the_extra(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    done = python(
        "sys.modules['textual'] = None; command._is_terminal = lambda: True; raise SystemExit(command.main([]))"
    )
    expected = "the interface is not installed: install looplet[review], or use --list and --accept PATTERN\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"looplet review: {expected}")


def test_lists_and_decisions_load_neither_pytest_nor_the_interface(project: Project) -> None:
    project.snapshot("a", "old\n", "new\n")
    done = python(
        "command.main(['--list']); command.main(['--accept', '*']); "
        "print(sorted({'pytest', 'textual', 'rich', 'syrupy'} & set(sys.modules)))"
    )
    assert done.stdout.splitlines()[-1] == "[]"


def test_the_help_of_looplet_names_it(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    told = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    assert ["review", "decide about changed snapshots and stale recordings"] in told
