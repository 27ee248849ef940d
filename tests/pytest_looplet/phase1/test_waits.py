"""What phase 1 does while it waits."""

from __future__ import annotations

import gc

import pytest

from pytest_looplet.phase1.waits import heap_at_rest

pytestmark = pytest.mark.skipif(not hasattr(gc, "freeze"), reason="CPython only")


def test_what_was_there_is_left_out_of_collections_for_the_time_being() -> None:
    with heap_at_rest():
        assert gc.get_freeze_count() > 10_000
    assert gc.get_freeze_count() == 0


def test_it_is_collected_again_after_a_failure() -> None:
    with pytest.raises(KeyboardInterrupt), heap_at_rest():
        raise KeyboardInterrupt
    assert gc.get_freeze_count() == 0


def test_what_somebody_else_froze_stays_frozen() -> None:
    gc.freeze()
    frozen = gc.get_freeze_count()
    try:
        with heap_at_rest():
            pass
        assert gc.get_freeze_count() == pytest.approx(frozen, rel=0.01), "less what died since"
    finally:
        gc.unfreeze()
