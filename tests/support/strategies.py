"""Hypothesis settings, and strategies for what models and tools may produce."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])  # a busy machine is no failure

_ANY = st.text(st.characters(codec=None, exclude_categories=[]), max_size=20)  # a lone surrogate in one of a thousand
TEXT = _ANY | st.tuples(_ANY, st.sampled_from("\ud800\udc80"), _ANY).map("".join)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT


def _containers(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4)


JSON = st.recursive(SCALARS, _containers, max_leaves=12)
JSON_OBJECTS = st.dictionaries(TEXT, JSON, max_size=4)
