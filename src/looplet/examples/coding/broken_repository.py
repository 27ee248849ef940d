"""The repository `coding_agent` repairs when it is given no task: a little package with two bugs, and its tests."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet import Deny, ToolValidationError
from looplet.examples.coding.shell import run_bash

if TYPE_CHECKING:
    from pathlib import Path

    from looplet.examples.coding.workspace import Workspace

TASK = (
    "The tests of this repository fail. Find out why, repair the code, not the tests, and finish when they pass. "
    "`python -m unittest` runs them."
)
TEST_COMMAND = "python -m unittest"
TESTS = "tests/test_shop.py"

FILES = {
    "README.md": """\
# shop

Prices and stock of a small shop. `python -m unittest` runs the tests.
""",
    "shop/__init__.py": "",
    "shop/prices.py": '''\
"""What a basket costs."""


def total(prices, discount=0):
    """Return the sum of the prices, less a discount in percent."""
    return sum(prices) * discount / 100
''',
    "shop/stock.py": '''\
"""What is in the store."""


def available(stock, item, wanted):
    """Say whether at least `wanted` pieces of an item are in stock."""
    return stock.get(item, 0) > wanted
''',
    "tests/__init__.py": "",
    TESTS: """\
import unittest

from shop.prices import total
from shop.stock import available


class ShopTest(unittest.TestCase):
    def test_total(self):
        self.assertEqual(total([10, 20]), 30)
        self.assertEqual(total([10, 30], discount=25), 30)

    def test_available(self):
        self.assertTrue(available({"kettle": 2}, "kettle", 2))
        self.assertFalse(available({"kettle": 2}, "kettle", 3))
        self.assertFalse(available({}, "lamp", 1))
""",
}
TEST_COUNT = FILES[TESTS].count("def test_")


def create(folder: Path) -> None:
    """Write the repository into `folder`, which is new or empty."""
    for name, text in FILES.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


class DoneWhenTestsPass:
    """Reject `done` while the tests fail, or are not the tests that were shipped."""

    def __init__(self, workspace: Workspace) -> None:
        self._workspace = workspace

    def check_done(self, state: Any, log: Any, ctx: Any, step: int) -> Deny | None:  # noqa: ARG002  # hook form
        if not state.finishing:
            return None
        if self._tests() != FILES[TESTS]:
            return Deny(f"{TESTS} was changed; write it as it was, and repair the code")
        result = run_bash(TEST_COMMAND, self._workspace.root)
        passed = result.status == 0 and f"Ran {TEST_COUNT} tests" in result.text  # none at all are no failure
        return None if passed else Deny(f"the tests still fail: {result}")

    def _tests(self) -> str | None:
        try:
            return self._workspace.read(TESTS)
        except ToolValidationError:
            return None
