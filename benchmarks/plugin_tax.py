"""What the installed plugin costs a test suite without evals: pytest with and without it, in turn.

python -m benchmarks.plugin_tax [--quick]
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path

from benchmarks.timing import PLUGIN, PYTEST, interleaved, process_ms, rounds_from_command_line

TARGET_MS = 10
SUITE = """
import pytest

@pytest.mark.parametrize("number", range(50))
def test_number(number):
    assert number >= 0
"""


def session(folder: Path, *options: str) -> float:
    return process_ms([*PYTEST, *options], folder)


def main() -> None:
    rounds = rounds_from_command_line(__doc__ or "", full=31, quick=5)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "test_numbers.py").write_text(SUITE, encoding="utf-8")
        medians = interleaved({"without": partial(session, folder), "with": partial(session, folder, *PLUGIN)}, rounds)
    tax = medians["with"] - medians["without"]
    print(
        f"pytest without the plugin: {medians['without']:.0f} ms of CPU (median of {rounds} fresh processes, in turn)"
    )
    print(f"with it: {tax:+.1f} ms, {medians['with'] / medians['without']:.3f} x (target: at most {TARGET_MS} ms)")


if __name__ == "__main__":
    main()
