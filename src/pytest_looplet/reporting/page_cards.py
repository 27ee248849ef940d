"""The cards of the HTML report: one a run, the trials of a case side by side, what went wrong first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from looplet.evals.case import slug
from pytest_looplet.cells import with_trial
from pytest_looplet.reporting.page_runs import loops_of, run_chars

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    Card = dict[str, Any]

_WORST_FIRST = ("error", "fail", "pass", "skip")


def groups_of(report: dict[str, Any], root: Path) -> list[dict[str, Any]]:
    """The cards, grouped by what they are trials of. The worst group comes first, trials stand in their order."""
    groups: dict[tuple[Any, ...], list[Card]] = {}
    for number, card in enumerate(_cards(report, root)):
        run = card["run"]
        key = (run["file"], run["agent"], run["case"], run["backend"]) if run else (number,)
        groups.setdefault(key, []).append(card)
    ordered = sorted(groups.values(), key=lambda cards: min(_WORST_FIRST.index(card["outcome"]) for card in cards))
    named = iter(_with_ids(card for cards in ordered for card in cards))
    return [_group([next(named) for _ in cards]) for cards in ordered]


def _group(cards: list[Card]) -> dict[str, Any]:
    """With how often each eval passed, where there are several trials."""
    tally: dict[str, list[bool]] = {}
    for card in cards if len(cards) > 1 else ():
        for item in card["items"]:
            tally.setdefault(item["eval"], []).append(item["outcome"] == "pass")
    passed = {name: f"{sum(each)} of {len(each)}" for name, each in sorted(tally.items())}
    return {"run": cards[0]["run"], "cards": cards, "passed": passed}


def _cards(report: dict[str, Any], root: Path) -> list[Card]:
    """One card a run, with the verdicts on it, and one for each eval without a run."""
    verdicts: dict[int, list[dict[str, Any]]] = {}
    alone = []
    for item in report["items"]:
        if item["run"] is None:
            alone.append(_card(item["id"], None, [item]))
        else:
            verdicts.setdefault(item["run"], []).append(item)
    chars = run_chars(len(report["runs"]))
    cards = [
        _card(with_trial(run["case"], run["trial"]), run, verdicts.get(number, []))
        | {"loops": _loops(run, root, chars)}
        for number, run in enumerate(report["runs"])
    ]
    return sorted(cards, key=lambda card: int(card["run"]["trial"])) + alone


def _card(title: str, run: dict[str, Any] | None, items: list[dict[str, Any]]) -> Card:
    outcomes = [item["outcome"] for item in items]
    worst = min(outcomes, key=_WORST_FIRST.index)
    return {"title": title, "run": run, "items": items, "outcome": worst, "loops": []}


def _loops(run: dict[str, Any], root: Path, chars: int) -> list[dict[str, Any]]:
    return loops_of(root / run["trace"], run["trace"], chars) if run["trace"] else []


def _with_ids(cards: Iterable[Card]) -> list[Card]:
    """Give each card the id that links name: made of its case and backend, numbered where two are alike."""
    taken: dict[str, int] = {}
    named = []
    for card in cards:
        backend = card["run"]["backend"] if card["run"] else "no-run"
        name = f"run-{slug(card['title']) or 'unnamed'}-{slug(backend)}"
        taken[name] = taken.get(name, 0) + 1
        named.append(card | {"id": name if taken[name] == 1 else f"{name}-{taken[name]}"})
    return named
