"""How often a turn may be tried again, for which reason, and how long to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from zlib import crc32

if TYPE_CHECKING:
    from looplet.config import LoopConfig
    from looplet.errors import BackendError

Remedy = Literal["retry", "repair", "compact", "text_mode"]

_FIRST_DELAY_S = 0.5
_LONGEST_DELAY_S = 30.0
_LONGEST_RETRY_AFTER_S = 120.0
_COMPACTIONS = 4  # each at least halves the conversation, so four reach a sixteenth


class Attempts:
    """One bound for a turn. Each remedy has its own share, so that a flaky network cannot eat the repairs."""

    __slots__ = ("_limits", "_used")

    def __init__(self, config: LoopConfig, used: dict[Remedy, int] | None = None) -> None:
        self._limits: dict[Remedy, int] = {
            "retry": config.retries,
            "repair": config.repairs,
            "compact": _COMPACTIONS,
            "text_mode": 1,
        }
        self._used: dict[Remedy, int] = dict.fromkeys(self._limits, 0) | (used or {})

    def take(self, remedy: Remedy) -> bool:
        """Use one attempt of this kind; False when none is left."""
        if self._used[remedy] == self._limits[remedy]:
            return False
        self._used[remedy] += 1
        return True

    def to_dict(self) -> dict[Remedy, int]:
        """How many of each kind were used."""
        return dict(self._used)

    def used(self, remedy: Remedy) -> int:
        return self._used[remedy]


def delay(error: BackendError, attempt: int, key: str) -> float | None:
    """Seconds until attempt number `attempt` (from 1); None when the server asks for longer than anybody would wait.

    The server's Retry-After, else exponential backoff with jitter: half of the delay is fixed, half depends on `key`
    (the run's id), so that many runs hit by the same failure do not come back together. Derived, not drawn: the core
    stays free of randomness.
    """
    if error.retry_after is not None:
        return max(0.0, error.retry_after) if error.retry_after <= _LONGEST_RETRY_AFTER_S else None
    longest = min(_FIRST_DELAY_S * 2.0 ** (attempt - 1), _LONGEST_DELAY_S)
    spread = crc32(f"{key}:{attempt}".encode()) / 0xFFFFFFFF
    return longest * (0.5 + 0.5 * spread)
