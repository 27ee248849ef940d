"""What running evals' agents side by side costs, and how fast a session ends whose agents hang.

python -m benchmarks.phase1 [--quick]

Files are made in the directory for temporary ones; TMPDIR=/dev/shm leaves the disk out.
"""

from __future__ import annotations

import os
import resource
import shutil
import signal
import statistics
import subprocess
import tempfile
import time
from functools import partial
from pathlib import Path

from benchmarks.timing import PLUGIN, PYTEST, environment, in_turn, interleaved, rounds_from_command_line

RUNS, LATENCY_S, IN_FLIGHT = 200, 0.05, 32
MANY, MANY_LATENCY_S, MANY_IN_FLIGHT = 2000, 0.5, 200
TARGET_S, TARGET_RATIO, TARGET_MB = 0.5, 2.0, 150
AGENT = """
import time
from looplet import MockLLMBackend, ToolCall, composable_loop, tool

@tool
def done(amount: int) -> dict:
    "Finish."
    return {"amount": amount}

def agent(task, llm):
    time.sleep(LATENCY_S)  # of the model
    return composable_loop(llm=llm, task=task, tools=[done])

def looping(task, llm):
    return composable_loop(llm=llm, task=task, tools=[done])

def script(number):
    return [ToolCall("done", {"amount": number})]

CASES = [{"id": f"case-{n}", "task": f"Refund order {n}", "script": script(n)} for n in range(RUNS)]
"""
EVALS = """
import pytest
from agents import CASES, agent

@pytest.mark.looplet(agent=agent, cases=CASES)
def eval_amount(run):
    return run.output is not None
"""
TESTS = """
import pytest
from agents import MockLLMBackend, agent, script

@pytest.mark.parametrize("number", range(RUNS))
def test_amount(number):
    run = agent(f"Refund order {number}", MockLLMBackend(script(number)))
    for _ in run:
        pass
    assert run.result.output is not None
"""
JUDGED = """
import pytest
from agents import CASES, looping

@pytest.mark.looplet(agent=looping, cases=CASES)
def eval_polite(run, judge):
    return judge.score("Is the amount named?", run)
"""
MODELS = """
import time
import pytest
from looplet import Reply

class Judge:
    name = "judge"

    def chat(self, prompt):
        time.sleep(LATENCY_S)
        return Reply(text='{"reason": "It is.", "score": 8}')

@pytest.hookimpl(optionalhook=True)
def pytest_looplet_make_backend(name, config):
    return Judge() if name == "slow" else None
"""
HUNG = """
import threading
import pytest
from agents import agent, script

CASES = [{"id": f"case-{n}", "task": str(n), "script": script(n)} for n in range(40)]

def hanging(task, llm):
    if int(task) == 7 and FAILING:
        raise ValueError("the error that ends it")
    if int(task) > 7:
        threading.Event().wait(60)
    return agent(task, llm)

@pytest.mark.looplet(agent=hanging, cases=CASES)
def eval_amount(run):
    return run.output is not None
"""


def suite(folder: Path, *, runs: int, latency_s: float) -> None:
    (folder / "evals").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "pytest.ini").write_text("[pytest]\npythonpath = .\n", encoding="utf-8")
    agents = AGENT.replace("LATENCY_S", str(latency_s)).replace("RUNS", str(runs))
    (folder / "agents.py").write_text(agents, encoding="utf-8")
    (folder / "evals/eval_amounts.py").write_text(EVALS, encoding="utf-8")
    (folder / "test_amounts.py").write_text(TESTS.replace("RUNS", str(runs)), encoding="utf-8")
    (folder / "empty/test_nothing.py").write_text("def test_nothing(): pass\n", encoding="utf-8")


def session_s(folder: Path, *options: str) -> float:
    """Wall time: agents wait for their models, and other processes compete."""
    began = time.perf_counter()
    subprocess.run([*PYTEST, *PLUGIN, *options], cwd=folder, env=environment(), check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


def two_hundred(root: Path, rounds: int) -> None:
    folder = root / "200"
    suite(folder, runs=RUNS, latency_s=LATENCY_S)
    evals = f"--looplet-concurrency={IN_FLIGHT}"
    measures = {"empty": partial(session_s, folder, "empty"), "evals": partial(session_s, folder, "evals", evals)}
    if rounds > 1:  # these take 14 s a round
        measures["pytest"] = partial(session_s, folder, "test_amounts.py")
        measures["pytest -n 8"] = partial(session_s, folder, "test_amounts.py", "-n", "8")
    samples = in_turn(measures, rounds)
    medians = {name: statistics.median(values) for name, values in samples.items()}
    print(f"{RUNS} runs of {LATENCY_S * 1000:.0f} ms (wall time, median of {rounds} rounds, all in turn)")
    for name, seconds in medians.items():
        print(f"  {name:<12} {seconds:6.2f} s   {seconds / medians['evals']:5.2f} x of evals")
    over = medians["evals"] - medians["empty"]
    fastest = min(samples["evals"]) - min(samples["empty"])  # what no other process of the machine has a share in
    waiting = LATENCY_S * -(-RUNS // IN_FLIGHT)
    print(f"  {IN_FLIGHT} in flight: {over:.2f} s over an empty session, {fastest:.2f} s in the fastest round")
    print(f"  (target: {TARGET_S} s), of which {waiting:.2f} s are waiting for models")


def judged(root: Path, rounds: int) -> None:
    folder = root / "judged"
    suite(folder, runs=RUNS, latency_s=LATENCY_S)
    (folder / "evals/eval_amounts.py").write_text(JUDGED, encoding="utf-8")
    (folder / "conftest.py").write_text(MODELS.replace("LATENCY_S", str(LATENCY_S)), encoding="utf-8")
    options = ("evals", "--looplet-backend=mock", "--looplet-judge=slow", f"--looplet-concurrency={IN_FLIGHT}")

    def session(ahead: str) -> float:
        shutil.rmtree(folder / ".looplet", ignore_errors=True)  # verdicts are kept
        return session_s(folder, *options, "-o", f"looplet_judge_ahead={ahead}")

    settings = ("true", "false") if rounds > 1 else ("true",)  # the other one takes 12 s a round
    medians = interleaved({ahead: partial(session, ahead) for ahead in settings}, rounds)
    print(f"{RUNS} evals whose judge takes {LATENCY_S * 1000:.0f} ms, the runs nothing, {IN_FLIGHT} in flight")
    for ahead, seconds in medians.items():
        print(f"  looplet_judge_ahead = {ahead:<6} {seconds:5.2f} s")


def two_thousand(root: Path) -> None:
    folder = root / "2000"
    suite(folder, runs=MANY, latency_s=MANY_LATENCY_S)
    ideal = MANY * MANY_LATENCY_S / MANY_IN_FLIGHT
    took = session_s(folder, "evals", f"--looplet-concurrency={MANY_IN_FLIGHT}")
    most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"{MANY} runs of {MANY_LATENCY_S * 1000:.0f} ms, {MANY_IN_FLIGHT} in flight, evals and report included")
    print(f"  {took:.2f} s: {took / ideal:.2f} x of ideal (target: {TARGET_RATIO})")
    print(f"  {most:.0f} MB at most (target: {TARGET_MB})")


def ends(root: Path, name: str, *options: str, failing: bool = False, number: int | None = None) -> None:
    """How long a session lasts after the moment in which everything hangs, 32 calls that block for 60 s."""
    folder = root / name.replace(" ", "-")
    suite(folder, runs=1, latency_s=0)
    (folder / "evals/eval_amounts.py").write_text(HUNG.replace("FAILING", str(failing)), encoding="utf-8")
    command = [*PYTEST, *PLUGIN, "evals", f"--looplet-concurrency={IN_FLIGHT}", *options]
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, env=environment(), stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        if number is not None:
            while len(list(folder.glob(".looplet/runs/*/outcome.json"))) < 8:
                time.sleep(0.01)
            began = time.perf_counter()
            os.killpg(process.pid, number)  # as a terminal does: workers get it, too
        said, _ = process.communicate()
    took = time.perf_counter() - began
    kept = next((line for line in said.splitlines() if "runs finished" in line), "said nothing")
    since = "after it" if number is not None else "in all"
    print(f"  {name:<12} {took:5.2f} s {since}; {kept}")


def main() -> None:
    rounds = rounds_from_command_line(__doc__ or "", full=7, quick=1)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        two_hundred(root, rounds)
        judged(root, rounds)
        two_thousand(root)
        print(f"{IN_FLIGHT} calls in flight that block for 60 s")
        ends(root, "Ctrl-C", number=signal.SIGINT)
        ends(root, "Ctrl-C -n 2", "-n", "2", number=signal.SIGINT)
        ends(root, "-x", "-x", failing=True)
        ends(root, "-x -n 2", "-x", "-n", "2", failing=True)


if __name__ == "__main__":
    main()
