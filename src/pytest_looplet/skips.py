"""Say before phase 1 whether pytest will skip an item, so that no run is paid for an eval that is not called."""

from __future__ import annotations

import os
import platform
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pytest


def is_skipped(item: pytest.Item) -> bool:
    """Evaluate skip, skipif and xfail(run=False) marks as pytest documents them."""
    return any(_skips(item, mark) for mark in item.iter_markers())


def _skips(item: pytest.Item, mark: pytest.Mark) -> bool:
    if mark.name == "xfail":
        return mark.kwargs.get("run") is False and _holds(item, mark)
    return mark.name == "skip" or (mark.name == "skipif" and _holds(item, mark))


def _holds(item: pytest.Item, mark: pytest.Mark) -> bool:
    conditions = (mark.kwargs["condition"],) if "condition" in mark.kwargs else mark.args
    return not conditions or any(_is_true(item, condition) for condition in conditions)


def _is_true(item: pytest.Item, condition: Any) -> bool:
    names = {"os": os, "sys": sys, "platform": platform, "config": item.config}
    function = getattr(item, "function", None)
    try:
        if not isinstance(condition, str):
            return bool(condition)
        return bool(eval(condition, {**names, **getattr(function, "__globals__", {})}))  # noqa: S307  # pytest's documented string conditions
    except Exception:  # noqa: BLE001  # pytest itself reports a broken condition, at the item
        return False
