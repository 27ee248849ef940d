"""How long to wait, and how often."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from looplet._core.retry import Attempts, delay
from looplet.config import LoopConfig
from looplet.errors import ServerError


@given(st.integers(1, 50), st.text())
def test_the_delay_grows_to_a_cap_and_half_of_it_is_jitter(attempt: int, key: str) -> None:
    seconds = delay(ServerError("x"), attempt, key)
    longest = min(0.5 * 2 ** (attempt - 1), 30.0)
    assert seconds is not None
    assert longest / 2 <= seconds <= longest


def test_two_runs_do_not_come_back_together() -> None:
    assert delay(ServerError("x"), 1, "run a") != delay(ServerError("x"), 1, "run b")


def test_each_remedy_has_its_own_share() -> None:
    attempts = Attempts(LoopConfig(retries=1, repairs=2))
    assert [attempts.take("retry"), attempts.take("retry")] == [True, False]
    assert [attempts.take("repair") for _ in range(3)] == [True, True, False]
