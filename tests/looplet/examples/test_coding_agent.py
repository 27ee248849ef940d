"""`python -m looplet.examples.coding_agent`: the repository is repaired, in a process like the reader's."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from tests.support.examples import CLOSED_PORT, run_example

from looplet import ToolCall, load_trace
from looplet.examples import coding_agent
from looplet.examples.coding import broken_repository
from looplet.examples.coding.shell import run_bash

if TYPE_CHECKING:
    from pathlib import Path

    from looplet import Prompt


def test_mock_repairs_the_shipped_repository(tmp_path: Path) -> None:
    done = run_example("coding_agent", "--mock", "--workspace", "repo", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == f"workspace: {(tmp_path / 'repo').resolve()}"
    assert lines[-1] == "coding_agent: finished in 11 steps, and the tests pass"
    tools = ["think", "bash", "grep", "read", "edit", "bash", "grep", "read", "edit", "bash", "done"]
    assert [line.split("(")[0].split()[-1] for line in lines[1:-1]] == tools
    assert run_bash(broken_repository.TEST_COMMAND, tmp_path / "repo").status == 0
    assert (tmp_path / "repo" / broken_repository.TESTS).read_text() == broken_repository.FILES[broken_repository.TESTS]


def test_without_a_workspace_each_run_has_a_new_one(tmp_path: Path) -> None:
    folders = {run_example("coding_agent", "--mock", TMPDIR=str(tmp_path)).stdout.splitlines()[0] for _ in range(2)}
    assert folders == {f"workspace: {path.resolve()}" for path in tmp_path.iterdir()}
    assert len(folders) == 2


def test_each_trace_has_the_next_number(tmp_path: Path) -> None:
    (tmp_path / "traces" / "run_7").mkdir(parents=True)
    (tmp_path / "traces" / "run_x").mkdir()
    for number in (8, 9):
        done = run_example("coding_agent", "--mock", "--trace", "traces/", "--workspace", f"w{number}", cwd=tmp_path)
        assert f"trace: traces/run_{number}" in done.stdout.splitlines()
        result = load_trace(tmp_path / "traces" / f"run_{number}")
        assert (result.stop_reason, len(result.steps)) == ("done", 11)


def test_a_number_taken_in_the_meantime_is_passed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert coding_agent.next_run(tmp_path).name == "run_1"
    monkeypatch.setattr(type(tmp_path), "glob", lambda *_: [])  # as if the other run had begun just now
    assert coding_agent.next_run(tmp_path).name == "run_2"


def test_too_few_steps_end_with_status_1(tmp_path: Path) -> None:
    done = run_example("coding_agent", "--mock", "--max-steps", "3", TMPDIR=str(tmp_path))
    assert done.returncode == 1
    assert done.stderr == "coding_agent: not finished after 4 steps: max_steps\n", "thinking cost none of the three"


def test_a_model_that_does_not_repair_cannot_finish(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def lazy(prompt: Prompt) -> ToolCall:
        return ToolCall("done", {"summary": "All good."})

    monkeypatch.setattr(coding_agent, "scripted_model", lazy)
    with pytest.raises(SystemExit, match="not finished after 2 steps: max_steps"):
        coding_agent.main(["--mock", "--max-steps", "2", "--workspace", str(tmp_path / "w")])
    assert capsys.readouterr().out.count("the tests still fail: exit status 1") == 2


def test_ctrl_c_ends_the_run_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(prompt: Prompt) -> ToolCall:
        raise KeyboardInterrupt

    monkeypatch.setattr(coding_agent, "scripted_model", interrupted)
    arguments = ["--mock", "--workspace", str(tmp_path / "w"), "--trace", str(tmp_path / "t")]
    with pytest.raises(SystemExit, match="not finished after 0 steps: cancelled"):
        coding_agent.main(arguments)
    assert load_trace(tmp_path / "t" / "run_1").stop_reason == "cancelled"


def test_the_scripted_model_says_that_it_takes_no_task(tmp_path: Path) -> None:
    done = run_example("coding_agent", "implement fizzbuzz", "--mock", TMPDIR=str(tmp_path))
    assert done.returncode == 0
    assert done.stdout.startswith("coding_agent: the scripted model knows one task only")


def test_the_repository_is_not_put_among_the_readers_files(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    done = run_example("coding_agent", "--mock", "--workspace", ".", cwd=tmp_path)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line == "coding_agent: --workspace . is not empty; name a new folder, or say what to do in this one"
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("options", "status", "message"),
    [
        (("--max-steps", "0", "--mock"), 2, "argument --max-steps: '0': give a whole number of at least 1"),
        (("--workspace", "file/x", "--mock"), 1, "coding_agent: --workspace file/x: Not a directory"),
        (("--trace", "file", "--mock"), 1, "coding_agent: [Errno 17] File exists: 'file'"),
        ((), 1, "coding_agent: neither OPENAI_API_KEY nor OPENAI_BASE_URL is set"),
    ],
)
def test_a_mistake_is_one_line(tmp_path: Path, options: tuple[str, ...], status: int, message: str) -> None:
    (tmp_path / "file").write_text("")
    done = run_example("coding_agent", *options, cwd=tmp_path, TMPDIR=str(tmp_path))
    assert done.returncode == status
    assert message in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_dead_server_ends_the_run_with_its_address(tmp_path: Path) -> None:
    options = ("do it", "--model", "any", "--workspace", str(tmp_path))
    done = run_example("coding_agent", *options, OPENAI_BASE_URL=CLOSED_PORT)
    assert done.returncode == 1
    last = done.stderr.splitlines()[-1]
    assert last.startswith("coding_agent: not finished after 0 steps: llm_error (")
    assert CLOSED_PORT in last


def test_a_task_is_worked_on_in_the_folder_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert coding_agent.prepared(str(tmp_path), shipped=False) == tmp_path.resolve()
    assert os.listdir(tmp_path) == ["mine.txt"]  # noqa: PTH208  # the names are all that matters
