"""How often a regression is caught, and how often noise is taken for one: 50 cases, 3 evals, 5 trials, 15 points.

python -m benchmarks.regression [--quick] [--no-sessions]

Cases differ in how hard they are. One of the three evals drops by 15 points, the others stay; or nothing changes at
all. First the comparison alone, many times; then whole pytest sessions with `--looplet-baseline`, each against the
report of an earlier session, where the exit status is the verdict.
"""

from __future__ import annotations

import argparse
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from looplet.evals.baseline import compare
from looplet.evals.report import build_report

CASES, EVALS, TRIALS, DROP = 50, ("amount", "order", "tone"), 5, 0.15
MARGIN = 0.05  # the default of `looplet_margin`
RATE, ALIKE = 0.8, 0.3  # of the cases: mean, and how much they differ (0: not at all, 1: each passes always or never)
USAGE = {"input_tokens": 0, "output_tokens": 0, "cached_tokens": 0, "cost": None}
DETECTED, FALSE_ALARMS = 0.90, 0.05

PROJECT = '''
import itertools
import os
import random

import pytest
from looplet import ToolCall, composable_loop

SEED, DROP = os.environ["SEED"], float(os.environ["DROP"])
RATES = {rates!r}


def policy(case):
    """A model that succeeds by chance, for each eval at the rate of its case; one eval may drop."""
    trials = itertools.count()

    def reply(prompt):
        chance = random.Random(f"{{SEED}} {{case}} {{next(trials)}}")
        rates = [RATES[case][0] * (1 - DROP / {rate}), *RATES[case][1:]]
        return ToolCall("done", {{"answer": "".join(str(int(chance.random() < rate)) for rate in rates)}})

    return reply


def agent(task, llm):
    return composable_loop(llm=llm, task=task, tools=[])


pytestmark = pytest.mark.looplet(
    agent=agent, trials={trials}, cases=[{{"id": case, "task": case, "script": policy(case)}} for case in RATES]
)
'''
EVAL = """

def eval_{name}(run):
    return float(run.output[{place}])
"""


def suite_rates(chance: random.Random) -> dict[str, list[float]]:
    """How often each case passes each eval."""
    weight = (1 - ALIKE) / ALIKE
    return {
        f"case-{number}": [chance.betavariate(RATE * weight, (1 - RATE) * weight) for _ in EVALS]
        for number in range(CASES)
    }


def session_report(rates: dict[str, list[float]], drop: float, chance: random.Random) -> dict[str, Any]:
    """The report of a session in which the first eval has dropped by `drop` points."""
    return build_report(
        (
            item(name, case, trial, float(chance.random() < rate * (1 - drop / RATE * (name == EVALS[0]))))
            for case, given in rates.items()
            for name, rate in zip(EVALS, given, strict=True)
            for trial in range(1, TRIALS + 1)
        ),
        suite="shop",
    )


def item(name: str, case: str, trial: int, score: float) -> dict[str, Any]:
    run = {"file": "eval_shop.py", "agent": "agent", "case": case, "backend": "script", "model": "m", "trial": trial}
    return {
        "id": f"eval_{name}[{case if trial == 1 else f'{case}-t{trial}'}]",  # as the plugin names it
        "eval": f"eval_{name}",
        "case": case,
        "trial": trial,
        "trials": TRIALS,
        "backend": "script",
        "outcome": "pass",
        "score": score,
        "run": run | {"stop_reason": "done", "error": None, "stale": None, "trace": None, "usage": USAGE},
    }


def simulate(rounds: int) -> dict[float, int]:
    """How often something was called worse: with the drop, that eval; without it, any."""
    chance = random.Random(17)
    alarms = {DROP: 0, 0.0: 0}
    for _ in range(rounds):
        rates = suite_rates(chance)
        before = session_report(rates, 0.0, chance)
        for drop in alarms:
            worse = [each.eval for each in compare(session_report(rates, drop, chance), before, margin=MARGIN)
                     if each.verdict == "worse"]  # fmt: skip
            alarms[drop] += f"eval_{EVALS[0]}" in worse if drop else bool(worse)
    return alarms


def run_session(folder: Path, seed: int, drop: float, report: str | None, baseline: str | None) -> bool:
    """Whether the session failed. Anything but passed and failed is no answer."""
    options = [f"--looplet-report={report}"] if report else []
    options += [f"--looplet-baseline={baseline}"] if baseline else []
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LOOPLET_", "PYTEST_"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", *options],
        cwd=folder,
        env=environment | {"SEED": str(seed), "DROP": str(drop)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode not in (0, 1):
        raise SystemExit(f"pytest ended with status {done.returncode}:\n{done.stdout}\n{done.stderr}")
    return done.returncode == 1


def sessions(pairs: int) -> dict[float, int]:
    """Session after session without a change, each against the one before; beside each, one with the drop."""
    alarms = {DROP: 0, 0.0: 0}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_project(folder)
        if run_session(folder, 0, 0.0, "0.json", None):
            raise SystemExit("the first session failed although there is nothing to compare it with")
        for number in range(1, pairs + 1):
            baseline = f"{number - 1}.json"
            alarms[0.0] += run_session(folder, number, 0.0, f"{number}.json", baseline)
            alarms[DROP] += run_session(folder, 1000 + number, DROP, None, baseline)
    return alarms


def write_project(folder: Path) -> None:
    rates = suite_rates(random.Random(17))
    evals = "".join(EVAL.format(name=name, place=place) for place, name in enumerate(EVALS))
    (folder / "evals").mkdir()
    source = PROJECT.format(rates=rates, rate=RATE, trials=TRIALS) + evals
    (folder / "evals" / "eval_shop.py").write_text(source, encoding="utf-8")
    (folder / "pyproject.toml").write_text('[tool.pytest.ini_options]\ntestpaths = ["evals"]\n', encoding="utf-8")


def say(what: str, alarms: dict[float, int], rounds: int) -> bool:
    caught, false = alarms[DROP] / rounds, alarms[0.0] / rounds
    print(f"{what:32} {caught:13.1%} {false:20.1%}   of {rounds} each")
    return caught >= DETECTED and false <= FALSE_ALARMS


def main() -> None:
    parser = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="a fifth of the simulations and of the sessions")
    parser.add_argument("--no-sessions", action="store_true", help="only the simulations")
    options = parser.parse_args()
    share = 5 if options.quick else 1
    print(
        f"{CASES} cases, {len(EVALS)} evals, {TRIALS} trials; one eval drops by {DROP * 100:.0f} points, or none does"
    )
    print(f"{'':32} {'drop caught':>13} {'noise taken for one':>20}")
    good = say("the comparison", simulate(200 // share), 200 // share)
    if not options.no_sessions:
        good &= say("pytest --looplet-baseline", sessions(20 // share), 20 // share)
    if not good and not options.quick:  # a few of them say nothing about 5 %
        raise SystemExit(f"wanted: at least {DETECTED:.0%} caught, at most {FALSE_ALARMS:.0%} false alarms")


if __name__ == "__main__":
    main()
