"""Execute runs in daemon threads, some at once, each until its deadline, all until there is a reason to stop."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from pytest_looplet.phase1.costs import spent_by
from pytest_looplet.phase1.in_flight import InFlight
from pytest_looplet.phase1.interrupt import Leash
from pytest_looplet.phase1.kept import keep, shown
from pytest_looplet.phase1.perform import describe, perform
from pytest_looplet.phase1.progress import TICK_S
from pytest_looplet.phase1.sinks import WRITING
from pytest_looplet.phase1.store import ATTEMPTS, POLL_S, Outcome, own_copy
from pytest_looplet.phase1.waits import Chores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from pytest_looplet.phase1.perform import Job
    from pytest_looplet.phase1.progress import Progress
    from pytest_looplet.phase1.store import Claim, Store
    from pytest_looplet.phase1.tally import Tally


# A short run takes the interpreter for a millisecond. Those that come back closer together take it from each other, at
# every call to the system, and all of them take ten times as long; then nothing is in flight. 200 runs of 50 ms, 32 at
# once, took 0.41 s. They begin far enough apart now that each is done when the next one comes back, and take 0.375 s.
PACE_S = 0.0014
MOMENT_S = 0.0001  # between two chores: runs that are back get the interpreter, which a busy thread keeps for 5 ms


def cost_reached(limit: float) -> str:
    """Said of a run and of a judge alike."""
    amount = f"{limit:.2f}" if round(limit, 2) == limit else f"{limit:g}"
    return f"--looplet-max-cost {amount} was reached"


class Limits(NamedTuple):
    """What ends phase 1 early. `max_errors` is pytest's --maxfail, 0 for none."""

    max_errors: int = 0
    max_cost: float | None = None

    def reached(self, tally: Tally) -> str | None:
        """Why nothing more is started, None while there is no reason. What is in flight comes back, or `is_hurried`."""
        if self.is_hurried(tally):
            names = ", ".join(tally.errors[:3])
            option = "-x" if self.max_errors == 1 else f"--maxfail={self.max_errors}"
            return f"not run: {option}, after the error of {names}"
        if self.max_cost is not None and tally.spent >= self.max_cost:
            return f"not run: {cost_reached(self.max_cost)}"
        return None

    def is_hurried(self, tally: Tally) -> bool:
        """Say whether runs in flight are left behind as well."""
        return 0 < self.max_errors <= len(tally.errors)


class _Running:
    def __init__(self, job: Job, claim: Claim, in_flight: InFlight, deadline: float | None) -> None:
        self.job, self.claim, self.in_flight, self.deadline = job, claim, in_flight, deadline


class Pool:
    """One daemon thread a run, `concurrency` at once: a session that ends does not wait for calls in flight."""

    def __init__(
        self,
        store: Store,
        concurrency: int,
        *,
        timeout: float | None = None,
        limits: Limits = Limits(),  # noqa: B008  # frozen
        told: Callable[[Job, Outcome], None] = lambda _job, _outcome: None,
        chores: Chores | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._store = store
        self._tally = store.tally
        self._concurrency = concurrency
        self._timeout = timeout
        self._limits = limits
        self._told = told
        self._chores = chores or Chores()
        self._progress = progress
        self._fresh: deque[Job] = deque()
        self._others: list[Job] = []  # claimed by other processes, and not published yet when we looked
        self._running: dict[int, _Running] = {}
        self._finished: queue.SimpleQueue[tuple[int, Outcome]] = queue.SimpleQueue()
        self._number = 0
        self._next_start = 0.0

    def run(self, jobs: Iterable[Job]) -> None:
        """Return when every job has a published outcome, whoever executed it."""
        self._fresh.extend(jobs)
        leash = Leash(self._tally)
        try:
            while self._fresh or self._others or self._running:
                self._start()
                self._collect(MOMENT_S if self._use_the_wait() else self._patience())
                self._expire()
                leash.check()
                if self._progress is not None:
                    self._progress.tick()
        finally:
            if self._progress is not None:
                self._progress.close()

    def _start(self) -> None:
        """Claim and start one run if there is room. What others claimed is looked at again when no other is left."""
        begun = len(self._running)
        while self._fresh and self._has_room() and len(self._running) == begun and time.monotonic() >= self._next_start:
            self._take(self._fresh.popleft())
        if not self._fresh and self._others and self._has_room():
            others, self._others = self._others, []
            for job in others:
                self._take(job)
        if self._limits.is_hurried(self._tally):
            self._leave_behind()

    def _use_the_wait(self) -> bool:
        """Do a piece of the chores before the first run is back, or when none is left to start. In between it would
        hold up those that come back, and with them all that are still to begin.
        """
        nobody_is_back = self._number == len(self._running) and self._finished.empty()
        is_late = not self._fresh
        return (nobody_is_back or is_late) and self._chores.do_a_piece(is_late=is_late)

    def _has_room(self) -> bool:
        return len(self._running) < self._concurrency

    def _take(self, job: Job) -> None:
        self._tally.refresh()
        why = self._limits.reached(self._tally)
        if why is None and not self._has_room():
            self._others.append(job)
        elif claim := self._store.claim(job.cell.key):
            if why is None:
                self._begin(job, claim)
            else:
                self._tally.leave_out(job.name, why, hurry=self._limits.is_hurried(self._tally))
                self._publish(job, claim, _kept(job, _of(job, why)))
        elif not self._store.published(job.cell.key):
            self._others.append(job)

    def _begin(self, job: Job, claim: Claim) -> None:
        self._next_start = time.monotonic() + PACE_S
        self._number += 1
        number, in_flight = self._number, InFlight()
        self._tally.begin(job.name)
        if claim.attempts >= ATTEMPTS:
            self._running[number] = _Running(job, claim, in_flight, None)
            self._finished.put((number, _kept(job, _gave_up(job, claim.attempts))))
            return
        if claim.attempts:
            job.places.clear()
        deadline = time.monotonic() + self._timeout if self._timeout else None
        self._running[number] = _Running(job, claim, in_flight, deadline)

        def work() -> None:
            in_flight.thread = threading.get_ident()
            try:
                outcome = _executed(job, in_flight)
            except BaseException as error:  # noqa: BLE001  # nobody would ever hear of this run, and wait for it
                failed = f"the run of case {job.cell.case.id!r} failed: {describe(error)}"
                outcome = _of(job, failed)
                if in_flight.finish():
                    outcome = _kept(job, outcome)
            self._finished.put((number, outcome))

        threading.Thread(target=work, name=f"looplet-{job.name}", daemon=True).start()

    def _collect(self, patience: float | None) -> None:
        """Take what has come back, and wait for it that long."""
        if not self._running and not self._others:
            return
        try:
            number, outcome = self._finished.get(timeout=patience)
            while True:
                self._finish(number, outcome)
                number, outcome = self._finished.get_nowait()
        except queue.Empty:
            return

    def _patience(self) -> float | None:
        """How long to wait: until the next deadline, the next look at progress and at what others do."""
        times = [running.deadline - time.monotonic() for running in self._running.values() if running.deadline]
        if self._others:
            times.append(POLL_S)
        if self._fresh and self._has_room():
            times.append(self._next_start - time.monotonic())
        if self._progress is not None or self._tally.is_shared:
            times.append(TICK_S)
        return max(0.0, min(times)) if times else None

    def _expire(self) -> None:
        now = time.monotonic()
        for number, running in list(self._running.items()):
            if running.deadline is None or now < running.deadline:
                continue
            running.deadline = None  # one that is back and only settles its trace is waited for
            if running.in_flight.give_up():
                self._finish(number, _kept(running.job, _timed_out(running, self._timeout or 0.0)))

    def _leave_behind(self) -> None:
        """Give up what is in flight: the session ends with the error that was found."""
        why = self._limits.reached(self._tally) or ""
        for number, running in list(self._running.items()):
            if running.in_flight.give_up():
                job, said = running.job, f"{why.replace('not run', 'left behind')}; {running.in_flight.text}"
                del self._running[number]
                self._tally.leave_out(job.name, why, hurry=True)
                self._publish(job, running.claim, _kept(job, _of(job, said, _partial(job))))

    def _finish(self, number: int, outcome: Outcome) -> None:
        self._next_start = 0.0
        running = self._running.pop(number, None)
        if running is None:
            return  # it came back after its deadline
        job, loops = running.job, running.in_flight.loops
        cost = spent_by(loops, job.backend, job.prices) if job.backend.live else None
        self._tally.end(job.name, error=outcome.error is not None, cost=cost)
        self._publish(job, running.claim, outcome)
        self._told(job, outcome)

    def _publish(self, job: Job, claim: Claim, outcome: Outcome) -> None:
        self._store.publish(job.cell.key, outcome)
        claim.release()


def _executed(job: Job, in_flight: InFlight) -> Outcome:
    outcome = perform(job, in_flight)
    if in_flight.finish():  # else what became of it is written already
        with WRITING:
            outcome = _kept(job, outcome)
        outcome.spare = own_copy(outcome.result)
    return outcome


def _kept(job: Job, outcome: Outcome) -> Outcome:
    """What became of the run, once that is written down: one that cannot be kept is an error of its own."""
    partial = job.places.partial
    folder = partial if outcome.result is None and partial.is_dir() else job.places.trace
    try:
        keep(outcome, folder, job.labels)
    except Exception as error:  # noqa: BLE001  # a full disk, or a value of the agent's own that has no JSON form
        said = f"the run of case {job.cell.case.id!r} could not be kept"
        outcome = replace(outcome, result=None, error=f"{said}: {describe(error)}")
        with suppress(Exception):
            keep(outcome, folder, job.labels)
    return outcome


def _timed_out(running: _Running, seconds: float) -> Outcome:
    from pytest_looplet.phase1.hang import stacks_of  # loads asyncio

    job, in_flight = running.job, running.in_flight
    stacks = stacks_of(in_flight.thread, in_flight.capture)
    said = f"case {job.cell.case.id!r} was given up after {seconds:g} s; {in_flight.text}"
    return _of(job, f"{said}\nIt hangs here:\n{stacks}" if stacks else said, _partial(job))


def _gave_up(job: Job, attempts: int) -> Outcome:
    return _of(job, f"case {job.cell.case.id!r} ended its worker process {attempts} times; it was not tried again")


def _of(job: Job, error: str, trace: str | None = None) -> Outcome:
    return Outcome(error=error, backend=job.cell.backend, model=job.backend.model, trace=trace)


def _partial(job: Job) -> str | None:
    return shown(job.places.partial, job.root)
