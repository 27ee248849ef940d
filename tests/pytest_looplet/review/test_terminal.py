"""The session of docs/review.md in a real terminal, with the key strokes that the document gives."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.docs.test_documents import DOCUMENTS, Reader
from tests.support.markdown import Block, blocks_of
from tests.support.reviewing import ESCALATED, REFUNDED
from tests.support.terminal import Terminal

if TYPE_CHECKING:
    from tests.support.reviewing import Project

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")
DOCUMENT = DOCUMENTS["docs/review.md"]


@pytest.fixture(autouse=True)
def _environment(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("textual", reason="the extra looplet[review] is not installed")
    for name in [name for name in os.environ if name == "CI" or name.startswith(("LOOPLET_", "PYTEST_", "TEXTUAL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", os.pathsep.join([sysconfig.get_path("scripts"), os.environ["PATH"]]))


def strokes(block: Block) -> list[tuple[str, str]]:
    """Each line of the document: a key, two or more spaces, what the screen shows then. The first is the command."""
    lines = [re.split(r" {2,}", line, maxsplit=1) for line in block.text.splitlines()]
    return [(key, text) for key, text in lines]


def test_the_documented_keys_do_what_the_document_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project = tmp_path / "shop"
    project.mkdir()
    monkeypatch.chdir(project)
    reader, blocks = Reader(DOCUMENT, None), blocks_of(DOCUMENT)
    place = next(index for index, block in enumerate(blocks) if "keys" in block.markers)
    for block in blocks[:place]:
        reader.follow(block)
    (command, first), *others = strokes(blocks[place])
    with Terminal(command, project, tmp_path / "tmux") as terminal:
        terminal.shows(first)
        for key, text in others:
            terminal.press(key)
            terminal.shows(text)
        assert "exit status 0" in terminal.shows("exit status")
    same_by_command, its_output, *rest = blocks[place + 1 :]
    assert "--accept" in same_by_command.text
    assert "prints" in its_output.markers
    for block in rest:  # which say what passes and what fails now, here and in CI
        reader.follow(block)


def test_an_end_by_force_keeps_what_was_decided(project: Project, tmp_path: Path) -> None:
    old, new = project.text(REFUNDED), project.text(ESCALATED)
    for case in "ab":
        project.snapshot(case, old, new)
    with Terminal("looplet review", project.root, tmp_path / "tmux") as terminal:
        terminal.shows("1 of 2 · 2 left")
        terminal.press("a")
        terminal.shows("2 of 2 · 1 accepted, 1 left")
        panes = ["tmux", "-S", str(tmp_path / "tmux"), "list-panes", "-F", "#{pane_pid}"]
        shell = subprocess.run(panes, capture_output=True, text=True, check=True).stdout.strip()
        children = Path(f"/proc/{shell}/task/{shell}/children").read_text(encoding="ascii").split()
        os.kill(int(children[0]), signal.SIGKILL)
        terminal.shows("exit status 137")
    assert project.snapshot_path("a").read_text(encoding="utf-8") == new
    assert [name.rpartition("::")[2] for name in project.pending()] == ["eval_refund[b]"]


def test_ctrl_c_gives_the_terminal_back(project: Project, tmp_path: Path) -> None:
    project.snapshot("a", "old\n", "new\n")
    with Terminal("looplet review", project.root, tmp_path / "tmux", size=(60, 20)) as terminal:
        assert "eval_refund[a]" in terminal.shows("1 of 1 · 1 left")
        terminal.press("C-c")
        assert "exit status 1" in terminal.shows("1 left\nexit status")
