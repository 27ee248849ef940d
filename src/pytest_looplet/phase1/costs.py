"""What runs cost, by the ini key looplet_prices and `genai-prices`, and the limit that ends paying."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from looplet.evals.prices import PriceTable
from looplet.types import Usage
from pytest_looplet.options import OPTIONS
from pytest_looplet.phase1.store import STORE

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from looplet.result import RunResult
    from pytest_looplet.backends import Backend
    from pytest_looplet.phase1.in_flight import Loop

_TABLE = pytest.StashKey[PriceTable]()
_SOLD_AT = {"openai": "https://api.openai.com", "anthropic": "https://api.anthropic.com"}


def price_table(config: pytest.Config) -> PriceTable:
    """The prices of this session; a line that is none is a UsageError."""
    if _TABLE not in config.stash:
        try:
            config.stash[_TABLE] = PriceTable.from_lines(config.stash[OPTIONS].prices, source="looplet_prices")
        except ValueError as error:
            raise pytest.UsageError(str(error)) from None
    return config.stash[_TABLE]


def check_prices(config: pytest.Config, backends: Iterable[Backend]) -> None:
    """Refuse a cost limit for a model whose price nobody knows, before it is asked anything."""
    limit = config.stash[OPTIONS].max_cost
    for backend in backends:
        price = price_table(config).cost(backend.model, Usage(1, 1), provider=provider_of(backend))
        if limit is not None and backend.live and price is None:
            raise pytest.UsageError(
                f"--looplet-max-cost needs to know what {backend.model!r} costs; add its price to the ini file, "
                "per million tokens of input and output (0 0 for a model of your own):\n"
                f"looplet_prices =\n    {backend.model} 0.15 0.60"
            )


def provider_of(backend: Backend) -> str | None:
    """Whose public prices are meant. A server of your own may serve a model with the name of one that is sold."""
    sold_at = _SOLD_AT.get(backend.name)
    return backend.name if sold_at and (backend.base_url or sold_at).startswith(sold_at) else None


def amount(cost: object) -> float | None:
    """What a backend said something cost, None where it said no number: see Usage, which makes floats of all others."""
    return cost if isinstance(cost, float) else None


def note_spent(config: pytest.Config, cost: float | None) -> None:
    """Count what a judge or another model call of an eval cost towards --looplet-max-cost."""
    store = config.stash.get(STORE, None)
    spent = amount(cost)
    if store is not None and spent is not None:
        store.tally.spend(spent)


def is_spent(config: pytest.Config) -> bool:
    """Say whether --looplet-max-cost was reached, by all processes of the session."""
    limit, store = config.stash[OPTIONS].max_cost, config.stash.get(STORE, None)
    if limit is None or store is None:
        return False
    store.tally.refresh()
    return bool(store.tally.spent >= limit)


def spent_by(loops: Iterable[Loop], backend: Backend, table: PriceTable) -> float | None:
    """What the replies of one run cost so far, also of one that never came back. None where nothing is known."""
    provider = provider_of(backend)
    costs = [_cost(usage, loop.model or backend.model, table, provider) for loop in loops for usage in loop.replies]
    known = [cost for cost in costs if cost is not None]
    return sum(known) if known else None


def _cost(usage: Usage, model: str, table: PriceTable, provider: str | None) -> float | None:
    said = amount(usage.cost)
    return said if said is not None else table.cost(model, usage, provider=provider)


def with_costs(result: RunResult, models: Sequence[str], table: PriceTable, provider: str | None) -> RunResult:
    """The result with a price on the usage of every loop whose backend gave none. `models` are the loops', in order."""
    if not result.all:
        return _priced(result, models[-1] if models else "", table, provider)
    names = models if len(models) == len(result.all) else [models[-1] if models else ""] * len(result.all)
    loops = tuple(_priced(one, name, table, provider) for one, name in zip(result.all, names, strict=True))
    return result.replace(usage=loops[-1].usage if result.usage == result.all[-1].usage else result.usage, all=loops)


def _priced(result: RunResult, model: str, table: PriceTable, provider: str | None) -> RunResult:
    usage = result.usage
    return result.replace(usage=usage.replace(cost=_cost(usage, model, table, provider)))
