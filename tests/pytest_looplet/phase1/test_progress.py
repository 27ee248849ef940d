"""The line of progress: what it says, and how often."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.support.plugin_files import write_suite
from tests.support.runs import ON_A_TERMINAL

from pytest_looplet.phase1.progress import Progress, duration, money, progress_line, seconds_left
from pytest_looplet.phase1.tally import Tally


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("pytest_looplet.phase1.tally.time.time", clock)
    return clock


@pytest.fixture
def tally(clock: Clock) -> Tally:
    """200 runs: 36 took a second each, one of these failed, 4 are running."""
    tally = Tally()
    tally.expect(200)
    for number in range(36):
        tally.begin(str(number))
    clock.now += 1
    for number in range(36):
        tally.end(str(number), error=number == 5, cost=0.01 / 3)
    for number in range(36, 40):
        tally.begin(f"refund-{number}")
    return tally


def test_it_says_how_far_with_how_many_errors_for_how_much_and_how_long_yet(tally: Tally, clock: Clock) -> None:
    assert progress_line(tally, clock()) == "looplet: 36/200 runs, 1 error, $0.12, about 45 s left"


def test_costs_are_told_only_when_known_and_times_only_when_some_run_has_ended(clock: Clock) -> None:
    tally = Tally()
    tally.expect(2)
    tally.begin("a")
    assert progress_line(tally, clock()) == "looplet: 0/2 runs"


def test_the_longest_running_case_is_named_after_ten_seconds(tally: Tally, clock: Clock) -> None:
    assert "refund" not in progress_line(tally, clock.now + 9.9)
    assert progress_line(tally, clock.now + 25).endswith(", refund-36 for 25 s")


@given(st.integers(1, 500), st.integers(0, 500), st.integers(1, 50), st.floats(0.001, 100), st.floats(0, 1000))
def test_the_estimate_is_the_work_that_is_left_shared_among_those_at_work(
    finished: int, waiting: int, running: int, mean: float, age: float
) -> None:
    tally = Tally()
    tally.total, tally.finished, tally._seconds = finished + waiting + running, finished, finished * mean
    tally.running = {str(number): 0.0 for number in range(running)}
    left = seconds_left(tally, age)
    rest = max(0.0, mean - age)
    assert left == pytest.approx(rest + waiting * mean / running)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (8, "8 s"), (38, "40 s"), (70, "1 min 10 s"), (119, "2 min"), (7500, "2 h 5 min")],
)
def test_durations_are_as_exact_as_an_estimate_deserves(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("amount", "text"), [(0, "$0.00"), (12.345, "$12.35"), (0.0123, "$0.012"), (0.00123, "$0.0012"), (1e-6, "<$0.0001")]
)
def test_small_amounts_are_not_rounded_to_nothing(amount: float, text: str) -> None:
    assert money(amount) == text


def test_a_terminal_is_redrawn_ten_times_a_second_at_most_and_once_when_nothing_happens(
    tally: Tally, clock: Clock
) -> None:
    drawn: list[tuple[float, str]] = []
    progress = Progress(tally, lambda line: drawn.append((clock.now, line)), lambda _line: None, clock=clock)
    began = clock.now
    for tick in range(300):  # three seconds, of which something happens in the first
        clock.now = began + tick / 100
        if tick < 100:
            tally.begin(f"n{tick}")
            tally.end(f"n{tick}", error=False)
        progress.tick()
    times = [now - began for now, _ in drawn]
    assert all(later - sooner >= 0.0999 for sooner, later in pairwise(times))
    assert 9 <= sum(time < 1 for time in times) <= 10
    assert 2 <= sum(time >= 1 for time in times) <= 5
    progress.close()
    assert drawn[-1][1].startswith("looplet: 136/200 runs")


def test_a_log_gets_a_line_a_tenth_or_half_a_minute_and_none_in_the_first_ten_seconds(clock: Clock) -> None:
    tally = Tally()
    lines: list[str] = []
    progress = Progress(tally, None, lines.append, clock=clock)
    tally.expect(100)
    began = clock.now
    for second in range(1, 201):  # a run a second up to the 50th, then nothing
        clock.now = began + second
        if second <= 50:
            tally.begin(str(second))
            tally.end(str(second), error=False)
        progress.tick()
    progress.close()
    assert [line.split(",")[0].split()[1] for line in lines[:5]] == ["10/100", "20/100", "30/100", "40/100", "50/100"]
    assert len(lines) == 5 + 5, "150 silent seconds"


def test_a_short_phase_leaves_no_line_in_a_log(clock: Clock) -> None:
    tally = Tally()
    lines: list[str] = []
    progress = Progress(tally, None, lines.append, clock=clock)
    tally.expect(1)
    tally.begin("a")
    clock.now += 9
    tally.end("a", error=False)
    progress.tick()
    progress.close()
    assert lines == []


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_the_line_ends_before_pytests_own_begin(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write_suite(pytester, conftest=ON_A_TERMINAL)
    result = pytester.runpytest_subprocess(*workers)
    result.assert_outcomes(passed=6)
    drawn = [line for line in result.outlines if "looplet: " in line and " runs" in line]
    assert drawn, "it is drawn"
    assert all(line.split("\r")[-1].strip() == "looplet: 3/3 runs" for line in drawn[-1:]), "and ends its line"
    assert "looplet: " not in pytester.runpytest_subprocess("-q", *workers).stdout.str()


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_without_a_terminal_a_short_session_has_no_progress(
    pytester: pytest.Pytester, workers: tuple[str, ...]
) -> None:
    write_suite(pytester)
    assert "looplet: " not in pytester.runpytest_subprocess(*workers).stdout.str()
