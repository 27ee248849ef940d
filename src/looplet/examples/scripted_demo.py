"""A scripted clean-up to watch: `python -m looplet.examples.scripted_demo`. No endpoint; the same output every time.

It shows the lines of a DebugHook, and a deletion that waits until it is approved.
"""

from __future__ import annotations

import re
import sys
from argparse import ArgumentParser
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, TextIO

from looplet import ApprovalHook, DebugHook, MockLLMBackend, ToolCall, composable_loop
from looplet.examples.cleanup.contacts import Contacts, example
from looplet.examples.cleanup.tools import TASK, tools

if TYPE_CHECKING:
    from collections.abc import Sequence

SCRIPT: list[ToolCall | list[ToolCall]] = [
    ToolCall("show_rows", {"first": 33}),
    ToolCall("find_problems"),
    [ToolCall("normalize", {"column": column}) for column in ("name", "email", "country")],
    ToolCall("delete_rows", {"ids": [27, 33, 40], "reason": "they repeat other rows"}),
    ToolCall("delete_rows", {"ids": [11, 38], "reason": "nobody can be reached"}),
    ToolCall("find_problems"),
    ToolCall("done", {"answer": "The columns are tidy; the duplicates are gone, the rows without an address stayed."}),
]


class Steady(StringIO):
    """A text file for DebugHook that leaves out what differs from run to run: run ids and durations."""

    def __init__(self, file: TextIO) -> None:
        super().__init__()
        self._file = file

    def write(self, text: str) -> int:
        steady = re.sub(r"^run [0-9a-f]{16} ", "run ", text)
        return self._file.write(re.sub(r" \[[\d.]+m?s\]$", "", steady))

    def flush(self) -> None:
        self._file.flush()


def approved(call: ToolCall) -> bool | str:
    """A person's part, played here: duplicates may go, other rows may not."""
    answer = "y" if "repeat" in call.args["reason"] else "not before I have asked them"
    print(f"⏸ delete {len(call.args['ids'])} rows, because {call.args['reason']}? {answer}", flush=True)
    return answer == "y" or answer


def main(arguments: Sequence[str] | None = None) -> None:
    parser = ArgumentParser(prog="scripted_demo", description="Watch a scripted agent clean up a table.")
    parser.add_argument("--mock", action="store_true", help="accepted as in the other examples: it is always scripted")
    parser.parse_args(arguments)
    with TemporaryDirectory() as folder:
        contacts = Contacts(Path(folder) / "contacts.csv")
        contacts.save(example())
        hooks = [DebugHook(Steady(sys.stdout)), ApprovalHook(approved)]
        run = composable_loop(MockLLMBackend(SCRIPT), TASK, tools(contacts), hooks=hooks)
        for _ in run:  # the hook prints
            pass
    if run.result.status != "completed":
        sys.exit(f"scripted_demo: the run ended with {run.result.stop_reason}")


if __name__ == "__main__":
    main()
