"""Whatever path a model writes, only files inside the workspace are read or written."""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looplet import ToolValidationError
from looplet.examples.coding.workspace import MOST_BYTES, Workspace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

SECRET = "the secret"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "secret.txt").write_text(SECRET)
    return folder


@pytest.fixture
def workspace(tmp_path: Path, outside: Path) -> Iterator[Workspace]:
    root = tmp_path / "inside"
    (root / "folder").mkdir(parents=True)
    (root / "folder" / "a.txt").write_text("inside")
    with Workspace(root) as made:
        yield made


def test_files_are_read_and_written_in_folders_that_are_made(workspace: Workspace) -> None:
    workspace.write("new/folder/b.txt", "é\r\n")
    assert workspace.read("./new//folder/b.txt") == "é\r\n"
    assert workspace.files() == ["folder/a.txt", "new/folder/b.txt"]


@pytest.mark.parametrize(
    "path", ["../outside/secret.txt", "folder/../../outside/secret.txt", "..", "", ".", "/", "a\0b", "folder/.."]
)
def test_a_path_that_leads_out_is_refused(workspace: Workspace, path: str) -> None:
    for use in (workspace.read, lambda path: workspace.write(path, "x")):
        with pytest.raises(ToolValidationError, match="is not a path inside the workspace: give a relative one"):
            use(path)


def test_an_absolute_path_is_refused_even_of_a_file_inside(workspace: Workspace) -> None:
    with pytest.raises(ToolValidationError, match="not a path inside the workspace"):
        workspace.read(str(workspace.root / "folder" / "a.txt"))


@pytest.mark.parametrize(
    ("link", "to", "path"),
    [
        ("link", "../outside/secret.txt", "link"),
        ("link", "../outside", "link/secret.txt"),
        ("folder/link", "../../outside", "folder/link/secret.txt"),
        ("link", "/", "link/etc/passwd"),
        ("link", "folder/a.txt", "link"),  # even to the inside: it may be exchanged at any moment
    ],
)
def test_no_symbolic_link_is_followed(workspace: Workspace, outside: Path, link: str, to: str, path: str) -> None:
    (workspace.root / link).symlink_to(to)
    for use in (workspace.read, lambda path: workspace.write(path, "x")):
        with pytest.raises(ToolValidationError, match="symbolic link; only f"):
            use(path)
    assert (outside / "secret.txt").read_text() == SECRET
    assert (workspace.root / link).is_symlink()
    assert workspace.files() == ["folder/a.txt"]


def test_a_dangling_link_makes_no_file_outside(workspace: Workspace, outside: Path) -> None:
    (workspace.root / "link").symlink_to(outside / "new.txt")
    with pytest.raises(ToolValidationError, match="is a symbolic link"):
        workspace.write("link", "x")
    assert not (outside / "new.txt").exists()


def test_writing_to_a_hard_link_leaves_the_other_name_alone(workspace: Workspace, outside: Path) -> None:
    os.link(outside / "secret.txt", workspace.root / "same.txt")
    workspace.write("same.txt", "x")
    assert workspace.read("same.txt") == "x"
    assert (outside / "secret.txt").read_text() == SECRET


def test_a_pipe_is_no_file_and_nobody_waits_for_it(workspace: Workspace) -> None:
    os.mkfifo(workspace.root / "pipe")
    with pytest.raises(ToolValidationError, match="'pipe' is no file"):
        workspace.read("pipe")
    with pytest.raises(ToolValidationError, match="'pipe' is no file"):
        workspace.write("pipe", "x")


class Attacker:
    """Does something at the worst moment: when the workspace is about to open `name`."""

    def __init__(self, name: str, attack: Callable[[], None]) -> None:
        self.name = name
        self.attack = attack
        self.attacked = False

    def open(self, name: Any, *arguments: Any, **more: Any) -> int:
        if name == self.name and not self.attacked:
            self.attacked = True
            self.attack()
        return os_open(name, *arguments, **more)


os_open = os.open


def exchanged(folder: Path, name: str, outside: Path) -> Callable[[], None]:
    def attack() -> None:
        (folder / name).rename(folder / "was")
        (folder / name).symlink_to(outside)

    return attack


def test_a_folder_exchanged_for_a_link_while_it_is_opened(
    workspace: Workspace, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker = Attacker("folder", exchanged(workspace.root, "folder", outside))
    monkeypatch.setattr(os, "open", attacker.open)
    with pytest.raises(ToolValidationError, match="symbolic link"):
        workspace.read("folder/secret.txt")
    assert attacker.attacked


def test_a_folder_exchanged_for_a_link_after_it_was_opened(
    workspace: Workspace, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder that was opened is the one that is used, whatever its name leads to by then."""
    (outside / "a.txt").write_text(SECRET)
    attacker = Attacker("a.txt", exchanged(workspace.root, "folder", outside))
    monkeypatch.setattr(os, "open", attacker.open)
    assert workspace.read("folder/a.txt") == "inside"
    assert attacker.attacked


def test_a_file_exchanged_for_a_link_while_it_is_opened(
    workspace: Workspace, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attacker = Attacker("a.txt", exchanged(workspace.root / "folder", "a.txt", outside / "secret.txt"))
    monkeypatch.setattr(os, "open", attacker.open)
    with pytest.raises(ToolValidationError, match="symbolic link"):
        workspace.read("folder/a.txt")
    assert attacker.attacked


def test_a_file_exchanged_for_a_link_while_it_is_written(
    workspace: Workspace, outside: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    replace = os.replace

    def attacked(*arguments: Any, **more: Any) -> None:
        exchanged(workspace.root / "folder", "a.txt", outside / "secret.txt")()
        replace(*arguments, **more)

    monkeypatch.setattr(os, "replace", attacked)
    workspace.write("folder/a.txt", "x")
    assert (outside / "secret.txt").read_text() == SECRET
    assert not (workspace.root / "folder" / "a.txt").is_symlink()


PARTS = st.sampled_from(["..", ".", "", "a", "folder", "link", "loop", "secret.txt", "outside", "\0", "a.txt"])


@given(parts=st.lists(PARTS, max_size=6))
def test_no_path_whatever_reads_or_changes_anything_outside(
    tmp_path_factory: pytest.TempPathFactory, parts: list[str]
) -> None:
    base = tmp_path_factory.mktemp("law")
    (base / "outside").mkdir()
    (base / "outside" / "secret.txt").write_text(SECRET)
    (base / "inside" / "folder").mkdir(parents=True)
    (base / "inside" / "link").symlink_to("../outside")
    (base / "inside" / "folder" / "loop").symlink_to("..")
    path = "/".join(parts)
    with Workspace(base / "inside") as workspace:
        with suppress(ToolValidationError):
            assert workspace.read(path) != SECRET
        try:
            workspace.write(path, "x")
        except ToolValidationError:
            pass
        else:
            assert workspace.read(path) == "x"
    assert [entry.name for entry in base.iterdir() if entry.name != "inside"] == ["outside"]
    assert [(file.name, file.read_text()) for file in (base / "outside").iterdir()] == [("secret.txt", SECRET)]


def test_permissions_of_a_file_stay_and_nothing_is_left_beside_it(workspace: Workspace) -> None:
    (workspace.root / "run.sh").write_text("old")
    (workspace.root / "run.sh").chmod(0o750)
    workspace.write("run.sh", "new")
    assert (workspace.root / "run.sh").stat().st_mode & 0o777 == 0o750
    assert sorted(path.name for path in workspace.root.iterdir()) == ["folder", "run.sh"]


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("none.txt", r"there is no 'none.txt'; glob\('\*'\) lists the files"),
        ("none/a.txt", "there is no 'none/a.txt'"),
        ("folder", "'folder' is no file"),
        ("folder/a.txt/b", "a folder of 'folder/a.txt/b' is a file or a symbolic link"),
        ("binary", "'binary' is not UTF-8 text"),
        ("long", "'long' is longer than 1,000,000 bytes"),
        ("x" * 300, "File name too long"),
    ],
)
def test_what_cannot_be_read_is_explained(workspace: Workspace, path: str, message: str) -> None:
    (workspace.root / "binary").write_bytes(b"\xff")
    (workspace.root / "long").write_bytes(b"x" * (MOST_BYTES + 1))
    with pytest.raises(ToolValidationError, match=message):
        workspace.read(path)


def test_the_list_of_files_leaves_git_and_compiled_files_out(workspace: Workspace) -> None:
    for name in (".git/config", "__pycache__/a.pyc", "folder/.hidden"):
        workspace.write(name, "x")
    assert workspace.files() == ["folder/.hidden", "folder/a.txt"]
