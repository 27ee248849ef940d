"""The pool: what is started, what is given up, and that a run given up changes nothing any more."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.support.plugin_files import EVALS, SHOP, executions, write_suite

from looplet.evals import EvalCase
from looplet.result import RunResult
from pytest_looplet.backends import Backend
from pytest_looplet.cells import Cell
from pytest_looplet.phase1 import pool
from pytest_looplet.phase1.in_flight import InFlight
from pytest_looplet.phase1.perform import Job
from pytest_looplet.phase1.pool import Limits, Pool
from pytest_looplet.phase1.store import MemoryStore, Outcome
from pytest_looplet.phase1.tally import Tally
from pytest_looplet.phase1.waits import Chores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Fake = Callable[[Job, InFlight], Outcome]


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    cells = [Cell(tmp_path / "eval_x.py", None, "agent", EvalCase(id=f"c{n}", task="t"), "mock") for n in range(6)]
    return [Job(cell, Backend("mock"), cell.run_name, tmp_path) for cell in cells]


@pytest.fixture
def never() -> Iterator[threading.Event]:
    event = threading.Event()
    yield event
    event.set()


def _run(
    jobs: list[Job], fake: Fake, monkeypatch: pytest.MonkeyPatch, concurrency: int = 2, **options: Any
) -> MemoryStore:
    monkeypatch.setattr(pool, "perform", fake)
    store = MemoryStore()
    store.tally.expect(len(jobs))
    Pool(store, concurrency, **options).run(jobs)
    return store


def _errors(store: MemoryStore, jobs: list[Job]) -> list[str | None]:
    outcomes = [store.get(job.cell.key) or Outcome(error="nothing published") for job in jobs]
    return [outcome.error for outcome in outcomes]


def test_runs_begin_one_by_one_and_the_next_at_once_when_one_is_back(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "PACE_S", 60)  # nothing but a run that comes back makes the next one begin
    in_flight_at_each_wait = []

    class Watched(Pool):
        def _patience(self) -> float | None:
            in_flight_at_each_wait.append(len(self._running))
            return super()._patience()

    monkeypatch.setattr(pool, "perform", lambda _job, _in_flight: Outcome())
    store = MemoryStore()
    Watched(store, 6).run(jobs)
    assert _errors(store, jobs) == [None] * 6
    assert in_flight_at_each_wait == [1] * 6


def test_chores_are_done_piece_by_piece_while_runs_are_waited_for(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    waited = threading.Event()

    def fake(job: Job, _in_flight: InFlight) -> Outcome:
        assert waited.wait(60), "the first chores are done while two runs are in flight"
        told.append(job.name)
        return Outcome()

    def early() -> Iterator[None]:
        told.append("first")
        yield
        told.append("second")
        yield
        waited.set()
        yield

    def late() -> Iterator[None]:
        told.append("late")
        yield

    _run(jobs, fake, monkeypatch, concurrency=2, chores=Chores(early(), late()))
    assert told[:2] == ["first", "second"]
    assert "late" not in told or told.index("late") >= 2 + len(jobs) - 2, "then at most two were still in flight"


def test_what_was_put_off_is_done_in_the_end() -> None:
    done: list[int] = []

    def late() -> Iterator[None]:
        for number in range(3):
            done.append(number)
            yield

    chores = Chores([1, 2], late())
    assert chores.do_a_piece(is_late=False)
    assert chores.do_a_piece(is_late=False)
    assert not chores.do_a_piece(is_late=False)
    assert chores.do_a_piece(is_late=True)
    assert done == [0]
    chores.do_the_rest()
    assert done == [0, 1, 2]
    assert not chores.do_a_piece(is_late=True)


def test_no_more_runs_than_asked_for_are_in_flight(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    together, lock, most = 0, threading.Lock(), 0
    meeting = threading.Barrier(3, timeout=60)

    def fake(job: Job, in_flight: InFlight) -> Outcome:
        nonlocal together, most
        with lock:
            together += 1
            most = max(most, together)
        meeting.wait()
        with lock:
            together -= 1
        in_flight.finish()
        return Outcome()

    _run(jobs, fake, monkeypatch, concurrency=3)
    assert most == 3


def test_a_run_given_up_keeps_its_error_when_it_comes_back(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, never: threading.Event
) -> None:
    came_back = []

    def fake(job: Job, in_flight: InFlight) -> Outcome:
        if job.name == "c0-mock":
            in_flight.text = "model call 3 was in flight"
            never.wait()
        came_back.append((job.name, in_flight.finish()))
        return Outcome()

    store = _run(jobs[:2], fake, monkeypatch, timeout=0.05)
    assert _errors(store, jobs[:2])[1] is None
    error = _errors(store, jobs[:2])[0]
    assert error is not None
    assert error.startswith("case 'c0' was given up after 0.05 s; model call 3 was in flight\nIt hangs here:\n  File")
    assert "never.wait()" in error
    never.set()
    while len(came_back) < 2:  # its thread ends by itself
        pass
    assert dict(came_back) == {"c0-mock": False, "c1-mock": True}
    assert _errors(store, jobs[:2])[0] == error


def test_a_run_that_is_back_in_time_is_not_given_up(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    """Between its end and its outcome its trace gets its place: that takes longer than the deadline here."""
    settled = threading.Event()

    def fake(job: Job, in_flight: InFlight) -> Outcome:
        assert in_flight.finish()
        settled.wait(0.2)
        return Outcome(model="back")

    store = _run(jobs[:1], fake, monkeypatch, timeout=0.1)
    assert _errors(store, jobs[:1]) == [None]


def test_the_error_that_reaches_maxfail_stops_everything_else(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch, never: threading.Event
) -> None:
    def fake(job: Job, in_flight: InFlight) -> Outcome:
        if job.name == "c0-mock":
            never.wait()
        in_flight.finish()
        return Outcome(error="broken" if job.name == "c2-mock" else None)

    store = _run(jobs, fake, monkeypatch, limits=Limits(max_errors=1))
    assert _errors(store, jobs) == [
        "left behind: -x, after the error of c2-mock; nothing was called yet",
        None,
        "broken",
        *["not run: -x, after the error of c2-mock"] * 3,
    ]
    assert (store.tally.finished, store.tally.not_run, store.tally.stopped_in_a_hurry) == (2, 4, True)


def test_what_is_in_flight_when_the_money_is_spent_comes_back(jobs: list[Job], monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    both, spent = threading.Barrier(2, timeout=60), threading.Event()

    def fake(job: Job, in_flight: InFlight) -> Outcome:
        both.wait()
        if job.name == "c0-mock":
            store.tally.spend(0.5)
            spent.set()
        spent.wait()
        in_flight.finish()
        return Outcome()

    monkeypatch.setattr(pool, "perform", fake)
    store.tally.expect(6)
    Pool(store, 2, limits=Limits(max_cost=0.5)).run(jobs)
    assert _errors(store, jobs) == [None, None, *["not run: --looplet-max-cost 0.50 was reached"] * 4]
    assert not store.tally.stopped_in_a_hurry


@pytest.mark.parametrize(
    ("limits", "errors", "spent", "said"),
    [
        (Limits(), 9, 9.0, None),
        (Limits(max_errors=2), 1, 0.0, None),
        (Limits(max_errors=2), 2, 0.0, "not run: --maxfail=2, after the error of 0, 1"),
        (Limits(max_errors=5), 5, 0.0, "not run: --maxfail=5, after the error of 0, 1, 2"),
        (Limits(max_cost=1.0), 0, 0.999, None),
        (Limits(max_cost=1.0), 0, 1.0, "not run: --looplet-max-cost 1.00 was reached"),
        (Limits(max_cost=0.005), 0, 1.0, "not run: --looplet-max-cost 0.005 was reached"),
    ],
)
def test_what_ends_phase_1(limits: Limits, errors: int, spent: float, said: str | None) -> None:
    tally = Tally()
    tally.errors, tally.spent = [str(number) for number in range(errors)], spent
    assert limits.reached(tally) == said


HUNG = SHOP.replace('"Find an order."', '"Find an order."\n        import threading; threading.Event().wait()')


@pytest.mark.parametrize("workers", [(), ("-n", "2")])
def test_a_deadline_names_the_case_the_call_and_the_line(pytester: pytest.Pytester, workers: tuple[str, ...]) -> None:
    write_suite(pytester, shop=HUNG)
    result = pytester.runpytest_subprocess("-k", "amount and refund-17", "--looplet-run-timeout=0.3", *workers)
    result.assert_outcomes(errors=1)
    text = result.stdout.str()
    assert "case 'refund-17' was given up after 0.3 s; tool call 'lookup' of step 1 was in flight" in text
    assert "import threading; threading.Event().wait()" in text
    assert "looplet show .looplet/runs/refund-17-replay.partial/run_1" in text
    assert (pytester.path / ".looplet/runs/refund-17-replay.partial/run_1/journal.jsonl").is_file()


def test_a_run_given_up_asks_the_model_nothing_more(pytester: pytest.Pytester) -> None:
    shop = SHOP.replace(
        '"Find an order."',
        """"Find an order."
        while not (LOG.parent / "given_up").exists():
            pass""",
    )
    conftest = """
    import pytest
    from shop import LOG, note

    @pytest.hookimpl(optionalhook=True)
    def pytest_looplet_run_finished(case, result, error):
        (LOG.parent / "given_up").touch()

    def pytest_sessionfinish():
        import threading
        for thread in threading.enumerate():
            if thread.name.startswith("looplet-refund"):
                thread.join(60)
    """
    evals = EVALS.replace('"script": script(order)', '"script": policy').replace(
        "    CASES",
        "    def policy(prompt):\n        from shop import note\n        note('asked')\n"
        "        return script(17)[sum(message.role == 'assistant' for message in prompt.messages)]\n\n    CASES",
    )
    write_suite(pytester, evals, shop=shop, conftest=conftest)
    result = pytester.runpytest_subprocess("-k", "amount and refund-17", "--looplet-run-timeout=0.3", timeout=120)
    result.assert_outcomes(errors=1, deselected=5)
    assert executions(pytester) == ["Refund order 17", "asked"]
    runs = pytester.path / ".looplet/runs"
    assert (runs / "refund-17-replay.partial/run_1/journal.jsonl").is_file(), "its trace stays where it was said to be"
    assert not (runs / "refund-17-replay").exists()


def test_a_run_that_ends_in_no_outcome_is_an_error_and_is_waited_for_no_longer(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(job: Job, in_flight: InFlight) -> Outcome:
        if job.name == "c2-mock":
            raise GeneratorExit("odd")
        return Outcome()

    errors = _errors(_run(jobs, fake, monkeypatch), jobs)
    assert [error is None for error in errors] == [True, True, False, True, True, True]
    assert (errors[2] or "").startswith("the run of case 'c2' failed: GeneratorExit: odd")


def test_a_result_that_ends_the_thread_when_it_is_copied_is_an_error_and_is_waited_for_no_longer(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd:
        def __deepcopy__(self, _memo: object) -> object:
            raise SystemExit("odd")

    errors = _errors(_run(jobs, lambda _job, _: Outcome(RunResult("done", output=Odd())), monkeypatch), jobs)
    assert [(error or "").splitlines()[0] for error in errors] == [
        f"the run of case 'c{number}' failed: SystemExit: odd" for number in range(6)
    ]


def test_an_outcome_that_cannot_be_kept_is_an_error_of_its_run(
    jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fake(job: Job, in_flight: InFlight) -> Outcome:
        return Outcome(stdout=b"bytes") if job.name == "c2-mock" else Outcome()  # type: ignore[arg-type]

    store = _run(jobs, fake, monkeypatch)
    errors = _errors(store, jobs)
    assert [error is None for error in errors] == [True, True, False, True, True, True]
    assert (errors[2] or "").startswith("the run of case 'c2' could not be kept: TypeError: ")
    assert store.tally.errors == ["c2-mock"]
