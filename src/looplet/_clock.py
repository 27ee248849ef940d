"""How long something took."""

from __future__ import annotations

from time import perf_counter

_EXACT_BELOW = 10.0  # milliseconds


def milliseconds_since(began: float) -> float:
    """Milliseconds since `perf_counter()` was `began`: to the microsecond when they are few, else to the tenth.

    What was measured is not known better, and more digits would only lengthen traces.
    """
    elapsed = (perf_counter() - began) * 1000
    return round(elapsed, 3 if elapsed < _EXACT_BELOW else 1)
