"""What tokens cost: by your own table, then by `genai-prices` if it is installed. An unknown price is None, never 0."""

from __future__ import annotations

import math
from fnmatch import fnmatchcase
from typing import TYPE_CHECKING

from looplet._record import Record

if TYPE_CHECKING:
    from collections.abc import Iterable

    from looplet.types import Usage

_MILLION = 1_000_000
_EXAMPLE = "gpt-4o-mini 0.15 0.60 0.075"
_FORM = f"give MODEL INPUT OUTPUT [CACHED], in money per million tokens, for example {_EXAMPLE!r}"


class Price(Record):
    """Money per million tokens of the models that `pattern` fits; `cached` is for input read from the cache."""

    pattern: str
    input: float
    output: float
    cached: float

    def of(self, usage: Usage) -> float | None:
        """None where no tokens were reported, unless they cost nothing."""
        if usage.total_tokens <= 0:
            return None if self.input or self.output else 0.0
        cached = min(usage.cached_tokens, usage.input_tokens)  # they are a part of the input tokens
        fresh = usage.input_tokens - cached
        return (fresh * self.input + cached * self.cached + usage.output_tokens * self.output) / _MILLION


class PriceTable:
    """Prices by model name. Of several patterns that fit a name, the one with the most letters of its own counts."""

    def __init__(self, prices: Iterable[Price] = ()) -> None:
        self._prices = sorted(prices, key=lambda price: (_is_pattern(price.pattern), -_letters(price.pattern)))

    @classmethod
    def from_lines(cls, lines: Iterable[str], *, source: str = "prices") -> PriceTable:
        """Read `MODEL INPUT OUTPUT [CACHED]` lines; the model may hold `*`, `?` and `[...]`, empty lines are left out.

        Without its own price, cached input costs what other input does. `source` is the name that errors begin with.
        """
        prices: dict[str, Price] = {}
        for number, line in enumerate(lines, 1):
            if line.strip():
                price = _price(line, f"{source}, line {number}: {line.strip()!r}")
                if price.pattern in prices:
                    raise ValueError(
                        f"{source}, line {number}: {price.pattern!r} has a price already; give one line each"
                    )
                prices[price.pattern] = price
        return cls(prices.values())

    def cost(self, model: str, usage: Usage, *, provider: str | None = None) -> float | None:
        """What `usage` of `model` costs. `provider` ("openai", "anthropic") says whose prices `genai-prices` looks up.

        Without a provider only this table counts: a model of your own may have the name of one that is sold.
        """
        price = self.find(model)
        if price is not None:
            return price.of(usage)
        return _public_cost(model, usage, provider) if provider else None

    def find(self, model: str) -> Price | None:
        return next((price for price in self._prices if _fits(model, price.pattern)), None)


def _price(line: str, where: str) -> Price:
    pattern, *texts = line.split()
    try:
        numbers = [float(text) for text in texts]
    except ValueError:
        numbers = []
    if not 2 <= len(numbers) <= 3 or not all(math.isfinite(number) and number >= 0 for number in numbers):
        raise ValueError(f"{where} is no price; {_FORM}")
    return Price(pattern, numbers[0], numbers[1], numbers[-1] if len(numbers) == 3 else numbers[0])


def _fits(model: str, pattern: str) -> bool:
    return model == pattern or fnmatchcase(model, pattern)


def _is_pattern(text: str) -> bool:
    return any(char in text for char in "*?[")


def _letters(pattern: str) -> int:
    return sum(char not in "*?[]" for char in pattern)


def _public_cost(model: str, usage: Usage, provider: str) -> float | None:
    """By the prices that `genai-prices` brings along; it asks no server unless it is told to."""
    try:
        import genai_prices  # optional, and 1,000 models are read only where their prices are wanted
    except ImportError:
        return None
    if usage.total_tokens <= 0:
        return None
    counts = genai_prices.Usage(
        input_tokens=usage.input_tokens,
        cache_read_tokens=min(usage.cached_tokens, usage.input_tokens),
        output_tokens=usage.output_tokens,
    )
    try:
        return float(genai_prices.calc_price(counts, model_ref=model, provider_id=provider).total_price)
    except LookupError:  # no such provider, or no such model there
        return None
