"""Checks of numbers that several hooks are given."""

from __future__ import annotations


def a_share(what: str, value: object) -> None:
    """Refuse anything but a number above 0 and up to 1."""
    if not _is_number(value) or not 0 < value <= 1:  # type: ignore[operator]  # a number
        raise ValueError(f"{what} is {value!r}: give a share above 0 and up to 1, such as 0.8")


def above_zero(what: str, value: object) -> None:
    """Refuse anything but None and a finite number above 0."""
    if value is not None and (not _is_number(value) or not 0 < value < float("inf")):  # type: ignore[operator]  # a number
        raise ValueError(f"{what} is {value!r}: give a number above 0, or None for no limit")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
