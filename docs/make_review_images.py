"""Make docs/images/review.svg from docs/review.md itself: `python docs/make_review_images.py`.

The document's files are written and its commands run in a temporary directory, up to the key strokes; then the
interface is driven without a terminal, and what it shows is saved.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from pytest_looplet.review.session import Review
from pytest_looplet.review.ui.app import ReviewApp

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))
from tests.support.markdown import blocks_of  # noqa: E402  # our documents are read by one parser

KEYS = ("a", "n")  # the first case is accepted, the second one shown at its first change
SIZE = (110, 30)


def prepare(project: Path) -> None:
    for block in blocks_of(HERE / "review.md"):
        if "keys" in block.markers:
            return
        if "file" in block.markers:
            path = project / block.markers["file"]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        elif block.language == "bash":
            command = ["bash", "-c", block.text]
            done = subprocess.run(command, cwd=project, capture_output=True, check=False)  # noqa: S603  # our document
            if done.returncode != int(block.markers.get("exit", 0)):
                sys.exit(f"docs/review.md:{block.line} did not end as the document says:\n{done.stdout.decode()}")


async def picture(project: Path) -> str:
    app = ReviewApp(Review(project))
    async with app.run_test(size=SIZE) as pilot:
        await pilot.press(*KEYS)
        await pilot.pause()
        return app.export_screenshot(title="looplet review")


def plain(svg: str) -> str:
    """Without fonts from elsewhere, and with the same names each time, so that only a change is a change."""
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    return re.sub(r"[ \t]+$", "", svg, flags=re.MULTILINE).replace("Fira Code, monospace", "monospace")


def main() -> None:
    for name in ("CI", "NO_COLOR", "TEXTUAL_THEME"):
        os.environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder))
        svg = plain(asyncio.run(picture(Path(folder))))
    target = HERE / "images" / "review.svg"
    target.parent.mkdir(exist_ok=True)
    target.write_text(svg, encoding="utf-8")


if __name__ == "__main__":
    main()
