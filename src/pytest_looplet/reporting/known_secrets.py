"""Which secrets a run had, and any text without them.

Traces are redacted by pattern. pytest cuts, wraps and compares the values it shows, and a pattern does not find half a
secret; so the secrets that a run had are looked up first, and then every piece of them is taken out.
"""

from __future__ import annotations

import re
from functools import cached_property
from typing import TYPE_CHECKING, Any

from looplet.trace.redact import REDACTED, Redaction, Redactor

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PATTERNS = Redaction(Redactor())
_PIECE = 8  # characters of a secret that are taken out wherever they stand
_BETWEEN_PIECES = r"\s+|\\+[nrt]|-----[A-Z0-9 ]+-----"  # of a private key, or of `Bearer ...`


class _Finder(Redactor):
    """A redactor that remembers what it took out."""

    def __init__(self) -> None:
        super().__init__()
        self.found: set[str] = set()

    def replacement(self, secret: re.Match[str]) -> str:
        self.found.add(secret[0])
        return super().replacement(secret)


class Secrets:
    """Called with a text, answers it without anything that looks like a secret, and without the secrets in `sources`,
    of which not even a part stays.
    """

    def __init__(self, sources: Iterable[object] = ()) -> None:
        self._sources = sources

    def __call__(self, text: str) -> str:
        clean = _PATTERNS.text(text)
        return clean if len(clean) < _PIECE else self._without_pieces(clean)

    def value(self, value: object) -> Any:
        """JSON-shaped, every string in it hidden."""
        return Redaction(self).value(value) if value else value

    @cached_property
    def _pieces(self) -> set[str]:
        """Looked for when they are first needed: most runs show nothing."""
        finder = _Finder()
        look = Redaction(finder)
        for source in self._sources:
            look.value(source)
        parts = {part for secret in finder.found for part in re.split(_BETWEEN_PIECES, secret)}
        return {part[at : at + _PIECE] for part in parts for at in range(len(part) - _PIECE + 1)}

    def _without_pieces(self, text: str) -> str:
        if not self._pieces:
            return text
        kept, end = [], 0
        for start, stop in self._hits(text):
            kept.append(text[end:start])
            end = stop
        return REDACTED.join([*kept, text[end:]])

    def _hits(self, text: str) -> Iterator[tuple[int, int]]:
        """Where pieces stand; those that touch are one."""
        first = last = -1
        for at in range(len(text) - _PIECE + 1):
            if text[at : at + _PIECE] in self._pieces:
                if last < at:
                    if first >= 0:
                        yield first, last
                    first = at
                last = at + _PIECE
        if first >= 0:
            yield first, last
