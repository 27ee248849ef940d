"""Replace concrete paths in texts: whole ones only, wherever they stand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

# What may stand before a path: nothing that would make it the end of a longer path, of a URL or of a placeholder. But
# the n of a line break that is written as an escape may, and so may a colour.
_START = re.compile(r"(?:^|[^\w.~/>\])}-]|\bfile://|\\[bfnrt]|\x1b\[[\d;]*[Km])\Z")
_START_CHARS = 20  # that are looked at
_NO_MORE = r"(?![\w-])(?!\.\w)"  # `/root` is not the beginning of `/root2`, `/root-x` or `/root.txt`


class Paths:
    """Called with a text, writes for each of the paths what it stands for; the longest goes first."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = dict(names)
        ordered = sorted(self._names, key=lambda path: (-len(path), path))
        self._pattern = re.compile(f"(?:{'|'.join(map(re.escape, ordered))}){_NO_MORE}") if ordered else None

    def __call__(self, text: str) -> str:
        return text if self._pattern is None else self._pattern.sub(self._name, text)

    def _name(self, match: re.Match[str]) -> str:
        start = match.start()
        begins = _START.search(match.string, max(0, start - _START_CHARS), start)
        return self._names[match[0]] if begins else match[0]
