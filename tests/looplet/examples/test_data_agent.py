"""`python -m looplet.examples.data_agent`: approval, and a clean-up that survives `kill -9` wherever it comes."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from tests.support.examples import CLOSED_PORT, run_example, run_python

from looplet import ToolCall, load_trace
from looplet.examples import data_agent
from looplet.examples.cleanup.contacts import Contacts

if TYPE_CHECKING:
    from pathlib import Path

    from looplet import Prompt

STATE = "data_agent_state"
DUPLICATES, WITHOUT_EMAIL = [27, 33, 40], [11, 38]
FINISHED = f"data_agent: finished in 15 steps; the table is {STATE}/contacts.csv"
# The agent in a process that notes each deletion in a file, and may kill itself: it is given when, and what to run.
KILLED = """
import os, signal, sys
from looplet import CheckpointHook
from looplet.examples import data_agent
from looplet.examples.cleanup.contacts import Contacts

moment, *arguments = sys.argv[1:]
delete, write, events = Contacts.delete, CheckpointHook.write, []

def die_at(this):
    if moment == this:
        os.kill(os.getpid(), signal.SIGKILL)

def noted_delete(self, ids):
    die_at("before deleting")
    delete(self, ids)
    with open("deletions", "a") as file:
        print(sorted(ids), file=file)
    die_at("after deleting")

def counted_write(self, event):
    events.append(event)
    die_at(f"before event {len(events)}")
    write(self, event)

Contacts.delete, CheckpointHook.write = noted_delete, counted_write
data_agent.main(arguments)
"""


def run(cwd: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return run_example("data_agent", "--mock", *options, cwd=cwd)


def is_clean(folder: Path) -> bool:
    problems = Contacts(folder / "contacts.csv").problems()
    return problems["rows"] == 43 and not any((*problems["untidy"].values(), problems["duplicates"]))


def test_with_yes_it_cleans_up_and_compacts(tmp_path: Path) -> None:
    done = run(tmp_path, "--clean", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "data_agent: removed nothing: there was no earlier state"
    assert lines[-1] == FINISHED
    assert any(line.startswith("compacted: ") for line in lines)
    assert is_clean(tmp_path / STATE)


def test_with_nobody_to_ask_it_waits_and_says_how_to_go_on(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert (done.returncode, done.stderr) == (3, "")
    waits, command = done.stdout.splitlines()[-2:]
    assert waits == (
        f"data_agent: delete_rows(ids={DUPLICATES}, reason='they repeat other rows') waits for approval. "
        "To approve it and go on:"
    )
    assert command == "  python -m looplet.examples.data_agent --resume --yes --mock"
    assert len(Contacts(tmp_path / STATE / "contacts.csv").rows()) == 48
    again = run(tmp_path, *command.split()[3:-1])
    assert again.returncode == 0
    assert again.stdout.splitlines()[0] == f"data_agent: going on with the run in {STATE} (waiting_for_approval)"
    assert again.stdout.splitlines()[-1] == FINISHED
    assert is_clean(tmp_path / STATE)


def test_the_command_to_go_on_repeats_what_was_given(tmp_path: Path) -> None:
    options = data_agent.parsed(["--dir", "my state", "--model", "m", "--max-steps", "9"])
    command = "python -m looplet.examples.data_agent --resume --yes --dir 'my state' --max-steps 9 --model m"
    assert data_agent.command(options, "--yes") == command


def test_resuming_with_nobody_to_ask_waits_again(tmp_path: Path) -> None:
    for options in ((), ("--resume",), ("--resume",)):
        done = run(tmp_path, *options)
        assert done.returncode == 3
        assert "waits for approval" in done.stdout
    assert len(load_trace(tmp_path / STATE / "run").steps) == 10


def at_a_terminal(cwd: Path, typed: bytes) -> tuple[int, str]:
    """Run the agent for somebody who types this: exit status, and what the terminal shows."""
    master, terminal = pty.openpty()
    command = [sys.executable, "-m", "looplet.examples.data_agent", "--mock"]
    with subprocess.Popen(command, cwd=cwd, stdin=terminal, stdout=terminal, stderr=terminal) as process:
        os.close(terminal)
        os.write(master, typed)
        shown = b""
        try:
            while chunk := os.read(master, 1000):
                shown += chunk
        except OSError:  # how Linux says that nobody has the terminal open any more
            pass
    os.close(master)
    return process.returncode, shown.decode()


def test_a_person_at_the_terminal_is_asked_about_each_deletion(tmp_path: Path) -> None:
    status, shown = at_a_terminal(tmp_path, b"y\nthey may call\n")
    assert status == 0
    assert f"⏸ delete rows {DUPLICATES} because 'they repeat other rows'? [y/N or why not]" in shown
    assert "ERROR: they may call" in shown
    assert Contacts(tmp_path / STATE / "contacts.csv").problems()["without_email"] == WITHOUT_EMAIL


@pytest.mark.parametrize(
    ("typed", "answer"), [("y", True), (" YES ", True), ("", False), ("n", False), ("later", "later")]
)
def test_only_a_yes_is_a_yes(monkeypatch: pytest.MonkeyPatch, typed: str, answer: bool | str) -> None:
    monkeypatch.setattr("builtins.input", lambda _: typed)
    assert data_agent.ask(ToolCall("delete_rows", {"ids": [1], "reason": "r"})) == answer


def test_the_end_of_input_is_a_no(monkeypatch: pytest.MonkeyPatch) -> None:
    def ended(_: str) -> str:
        raise EOFError

    monkeypatch.setattr("builtins.input", ended)
    assert data_agent.ask(ToolCall("delete_rows", {"ids": [1], "reason": "r"})) is False


def killed(cwd: Path, moment: str) -> None:
    done = run_python("-c", KILLED, moment, "--mock", "--yes", cwd=cwd)
    assert done.returncode == -9, f"{moment}: {done.stdout}{done.stderr}"


def resumed(cwd: Path) -> subprocess.CompletedProcess[str]:
    return run_python("-c", KILLED, "never", "--mock", "--yes", "--resume", cwd=cwd)


def deletions(cwd: Path) -> list[str]:
    return (cwd / "deletions").read_text().splitlines()


@pytest.mark.parametrize("moment", ["before deleting", "after deleting"])
def test_killed_in_the_tool_it_goes_on_and_deletes_once(tmp_path: Path, moment: str) -> None:
    killed(tmp_path, moment)
    done = resumed(tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"going on with the run in {STATE} (unfinished)" in done.stdout
    assert deletions(tmp_path) == [str(DUPLICATES), str(WITHOUT_EMAIL)]
    assert is_clean(tmp_path / STATE)
    result = load_trace(tmp_path / STATE / "run")
    assert result.stop_reason == "done"
    assert [step.tool_result.error_kind for step in result.steps if not step.tool_result.ok] == ["interrupted"]


def events_of_a_whole_run(cwd: Path) -> int:
    run_python("-c", KILLED, "never", "--mock", "--yes", "--dir", "whole", cwd=cwd)
    (cwd / "deletions").unlink()
    return len((cwd / "whole" / "run" / "journal.jsonl").read_text().splitlines())


def test_killed_at_any_event_it_goes_on_and_deletes_once(tmp_path: Path) -> None:
    """Each seventh and the last two: a test of the loop kills it at every event, without processes."""
    last = events_of_a_whole_run(tmp_path)
    for number in sorted({*range(1, last, 7), last - 1, last}):
        folder = tmp_path / str(number)
        folder.mkdir()
        killed(folder, f"before event {number}")
        done = resumed(folder)
        assert done.returncode == 0, f"killed before event {number}: {done.stdout}{done.stderr}"
        assert deletions(folder) == [str(DUPLICATES), str(WITHOUT_EMAIL)], f"killed before event {number}"
        assert is_clean(folder / STATE)


def test_a_run_that_was_killed_is_put_aside_by_a_new_one(tmp_path: Path) -> None:
    killed(tmp_path, "after deleting")
    done = run(tmp_path, "--yes")
    assert done.returncode == 0
    assert done.stdout.splitlines()[:2] == [
        f"data_agent: a new run starts; the earlier one (unfinished) is now in {STATE}.previous",
        "data_agent: --resume would have gone on with it, --clean would have removed it",
    ]
    assert is_clean(tmp_path / STATE)
    assert len(Contacts(tmp_path / f"{STATE}.previous" / "contacts.csv").rows()) == 45


def test_clean_removes_all_of_it_first(tmp_path: Path) -> None:
    killed(tmp_path, "after deleting")
    run(tmp_path)
    done = run(tmp_path, "--clean", "--yes")
    assert done.stdout.splitlines()[0] == f"data_agent: removed {STATE}, {STATE}.previous"
    assert sorted(path.name for path in tmp_path.iterdir()) == [STATE, "deletions"]


def test_a_finished_run_is_not_gone_on_with(tmp_path: Path) -> None:
    run(tmp_path, "--yes")
    done = run(tmp_path, "--resume")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"data_agent: the run in {STATE} is finished; --clean begins anew\n"
    again = run(tmp_path, "--yes")
    assert again.stdout.splitlines()[1] == "data_agent: --clean would have removed it"


def test_without_a_run_resume_begins_one(tmp_path: Path) -> None:
    done = run(tmp_path, "--resume", "--yes")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[0] == f"data_agent: there is no run in {STATE}; a new one starts"


def test_ctrl_c_leaves_a_run_to_go_on_with(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(prompt: Prompt) -> ToolCall:
        raise KeyboardInterrupt

    arguments = ["--mock", "--yes", "--dir", str(tmp_path / "state")]
    with monkeypatch.context() as context:
        context.setattr(data_agent, "scripted_model", interrupted)
        with pytest.raises(SystemExit, match=r"(?s)not finished: cancelled. To go on:.*--resume --dir .*--mock"):
            data_agent.main(arguments)
    data_agent.main([*arguments, "--resume"])
    assert "going on with the run in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--clean", "--resume", "--mock"), 2, "argument --resume: not allowed with argument --clean"),
        (("--dir", "mine", "--mock", "--clean"), 1, "'mine' is not the state of a data_agent: it holds 'mine.txt'"),
        (("--dir", "mine/mine.txt", "--mock"), 1, "data_agent: [Errno 17] File exists: 'mine/mine.txt'"),
        ((), 1, "data_agent: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, options: tuple[str, ...], status: int, message: str) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "mine.txt").write_text("mine")
    done = run_example("data_agent", *options, cwd=tmp_path)
    assert done.returncode == status
    assert message in done.stderr.splitlines()[-1]
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["mine", "mine/mine.txt"]


def test_a_dead_server_leaves_a_run_to_go_on_with(tmp_path: Path) -> None:
    done = run_example("data_agent", "--model", "any", cwd=tmp_path, OPENAI_BASE_URL=CLOSED_PORT)
    assert done.returncode == 1
    why, command = done.stderr.splitlines()[-2:]
    assert why.startswith("data_agent: not finished: llm_error (")
    assert command == "  python -m looplet.examples.data_agent --resume --model any"
    again = run(tmp_path, "--resume", "--yes")
    assert again.returncode == 0
    assert is_clean(tmp_path / STATE)
