"""The harness that executes the documentation notices what is wrong with a document."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.docs.test_documents import Reader
from tests.support.markdown import blocks_of, links_of, matches

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Follow:
    monkeypatch.chdir(tmp_path)
    return Follow(tmp_path / "guide.md")


class Follow:
    def __init__(self, document: Path) -> None:
        self.document = document

    def __call__(self, text: str) -> None:
        self.document.write_text(text, encoding="utf-8")
        reader = Reader(self.document, endpoint=None)
        for block in blocks_of(self.document):
            reader.follow(block)


def test_blocks_share_their_names(follow: Follow) -> None:
    follow("```python\nx = 1\n```\ntext\n```python\nassert x == 1\n```\n")


def test_a_failing_python_block_names_the_line_of_the_document(follow: Follow) -> None:
    with pytest.raises(ZeroDivisionError) as caught:
        follow("# A guide\n\n```python\nx = 1\nx / 0\n```\n")
    assert (caught.traceback[-1].path, caught.traceback[-1].lineno) == (caught.traceback[-1].path, 4)


def test_a_bash_block_must_succeed(follow: Follow) -> None:
    with pytest.raises(AssertionError, match=r"guide.md:2 exit status 1:"):
        follow("```bash\nfalse | true\n```\n")
    follow("<!-- exit: 3 -->\n```bash\nexit 3\n```\n")


def test_a_marked_block_becomes_a_file(follow: Follow) -> None:
    follow("<!-- file: a/b.txt -->\n```text\nhello\n```\n\n```bash\ngrep hello a/b.txt\n```\n")


def test_printed_output_is_compared(follow: Follow) -> None:
    follow("```bash\necho one; echo two\n```\n\n<!-- prints -->\n```text\none\n...\n```\n")
    with pytest.raises(AssertionError, match=r"guide.md:6 the block above printed:\n  one"):
        follow("```bash\necho one\n```\n<!-- prints -->\n```text\ntwo\n```\n")


def test_durations_may_differ() -> None:
    assert matches("#1 ✓ f() → 1 [3ms]", "#1 ✓ f() → 1 [27ms]\n")
    assert not matches("#1 ✓ f() → 1 [3ms]", "#1 ✗ f() → 1 [3ms]\n")


def test_a_marker_holds_for_the_next_block_only(follow: Follow) -> None:
    follow.document.write_text("<!-- install -->\ntext between\n```bash\nexit\n```\n", encoding="utf-8")
    (block,) = blocks_of(follow.document)
    assert block.markers == {}


def test_links_are_the_relative_ones(follow: Follow) -> None:
    follow.document.write_text("[a](docs/a.md#b) [c](https://c.example) [d](#d) [e](LICENSE)", encoding="utf-8")
    assert links_of(follow.document) == ["docs/a.md", "LICENSE"]
