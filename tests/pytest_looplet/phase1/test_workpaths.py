"""Work directories in recordings: the model reads the real path, the recording holds none."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.plugin_files import summary_of, write_suite

from looplet import MockLLMBackend, ToolCall, composable_loop, tool
from looplet.messages import Prompt, RawCall, Reply
from pytest_looplet.phase1.workpaths import PLACEHOLDER, WorkdirRedactor, WorkdirReplay, WorkdirSink

AGENT = """
    import pytest
    from pathlib import Path
    from looplet import composable_loop, tool

    def agent(task, llm, workdir):
        @tool
        def write(path: str) -> dict:
            "Write."
            assert Path(path).is_relative_to(workdir), path
            Path(path).write_text("x")
            return {"written": path}

        return composable_loop(llm=llm, task=f"{task} in {workdir}.", tools=[write])

    pytestmark = pytest.mark.looplet(agent=agent, cases=[{"id": "one", "task": "Work"}])

    def eval_wrote(run, workdir):
        assert (workdir / "out.txt").read_text() == "x"
        assert run.steps[0].tool_result.data == {"written": str(workdir / "out.txt")}
"""
LIVE = """
    import re
    import pytest
    from looplet import MockLLMBackend, ToolCall

    def model(prompt):
        path = re.search("in (/.*)[.]$", prompt.messages[0].content)[1]
        return ToolCall("write", {"path": path + "/out.txt"})

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_make_backend(name, config):
        return MockLLMBackend([model, ToolCall("done", {"answer": "ok"})])
"""


def test_a_recording_that_names_the_work_directory_plays_in_another_checkout(
    pytester: pytest.Pytester, tmp_path: Path
) -> None:
    write_suite(pytester, AGENT, conftest=LIVE)
    pytester.runpytest("--looplet-backend=live", "--looplet-record").assert_outcomes(passed=1)
    files = [path for path in (pytester.path / "evals/__recordings__").rglob("*") if path.is_file()]
    assert files
    assert all(str(pytester.path) not in path.read_text() for path in files)
    other = tmp_path / 'else where "quoted"'
    shutil.copytree(pytester.path, other, ignore=shutil.ignore_patterns(".looplet", "__pycache__"))
    for checkout in (pytester.path, other):
        result = pytester.runpytest("--rootdir", str(checkout), "-c", str(checkout / "tox.ini"), str(checkout))
        result.assert_outcomes(passed=1)
        assert "stale" not in "\n".join(summary_of(result))


@tool
def look(path: str) -> str:
    """Look."""
    return f"looked at {path}"


def _recorded(folder: Path, workdir: Path, task: str) -> MockLLMBackend:
    llm = MockLLMBackend([ToolCall("look", {"path": f"{workdir}/a"}), ToolCall("done", {"answer": "ok"})])
    list(composable_loop(llm=llm, task=task, tools=[look], hooks=[WorkdirSink(folder, workdir)]))
    return llm


def test_the_model_reads_real_paths_and_no_secrets(tmp_path: Path) -> None:
    secret = "sk-" + "abcdefghij0123456789" * 2
    workdir = tmp_path / "work"
    llm = _recorded(tmp_path / "trace", workdir, f"Use {workdir} and {secret}")
    sent = [str(prompt) for prompt in llm.prompts]
    assert all(str(workdir) in text and secret not in text for text in sent)
    journal = (tmp_path / "trace/journal.jsonl").read_text()
    assert str(workdir) not in journal
    assert secret not in journal
    assert f"Use {PLACEHOLDER} and [redacted]" in journal


@pytest.mark.parametrize("name", ["plain", 'a "quoted" \\ name', "grün"])
def test_replies_name_the_work_directory_of_this_run(tmp_path: Path, name: str) -> None:
    before, now = tmp_path / "before", tmp_path / name
    _recorded(tmp_path / "trace", before, f"Look at {before}")
    llm = WorkdirReplay(tmp_path / "trace", now)
    steps = list(composable_loop(llm=llm, task=f"Look at {now}", tools=[look]))
    assert steps[0].tool_call.args == {"path": f"{now}/a"}
    assert (llm.stale, llm.leftover) == (None, 0)


class Raw:
    """A server's form of a turn: arguments are a text."""

    def __init__(self, workdir: Path) -> None:
        self._replies = [
            Reply(f"Looking at {workdir}.", (RawCall("look", json.dumps({"path": f"{workdir}/a"}), "1"),)),
            Reply("", (RawCall("done", '{"answer": "ok"}', "2"),)),
        ]

    def chat(self, prompt: Prompt) -> Reply:
        return self._replies.pop(0)


@pytest.mark.parametrize("name", ["plain", 'a "quoted" name'])
def test_arguments_that_are_a_text_and_the_text_beside_them_are_placed_too(tmp_path: Path, name: str) -> None:
    before, now = tmp_path / "before", tmp_path / name
    sink = WorkdirSink(tmp_path / "trace", before)
    list(composable_loop(llm=Raw(before), task="Look", tools=[look], hooks=[sink]))
    llm = WorkdirReplay(tmp_path / "trace", now)
    steps = list(composable_loop(llm=llm, task="Look", tools=[look]))
    assert steps[0].tool_call.args == {"path": f"{now}/a"}
    assert (llm.stale, llm.leftover) == (None, 0)
    assert steps[0].prompt is not None
    reply = WorkdirReplay(tmp_path / "trace", now).chat(steps[0].prompt)
    assert reply.text == f"Looking at {now}."


@given(st.text(), st.text())
def test_redacting_twice_is_redacting_once(before: str, after: str) -> None:
    redact = WorkdirRedactor(Path("/root/.looplet/work/case-1"))
    once = redact(f"{before}/root/.looplet/work/case-1{after}")
    assert redact(once) == once


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("in /root/w-1.", "in <workdir>."),
        ("/root/w-1/a /root/w-1", "<workdir>/a <workdir>"),
        ("/root/w-10", "/root/w-10"),
        ("/root/w-1-x", "/root/w-1-x"),
        ("/root", "/root"),
        (json.dumps({"p": "/root/w-1"}), '{"p": "<workdir>"}'),
    ],
)
def test_only_the_whole_path_is_replaced(text: str, written: Any) -> None:
    assert WorkdirRedactor(Path("/root/w-1"))(text) == written


def test_a_linked_work_directory_is_known_by_both_of_its_paths(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    redact = WorkdirRedactor(tmp_path / "link/w")
    assert redact(f"{tmp_path}/link/w {tmp_path}/real/w") == f"{PLACEHOLDER} {PLACEHOLDER}"


@pytest.mark.parametrize(
    "text", ["https://a.example/root/w-1/x", "/data/root/w-1", "/root/w-1.txt", "<workdir>/root/w-1"]
)
def test_a_path_in_the_middle_of_another_text_is_not_the_work_directory(text: str) -> None:
    assert WorkdirRedactor(Path("/root/w-1"))(text) == text
