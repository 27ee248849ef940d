"""What tokens cost, and that an unknown price is not zero."""

from __future__ import annotations

import sys
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from looplet.evals.prices import Price, PriceTable
from looplet.types import Usage

LINES = ["gpt-4o-mini 0.15 0.60 0.075", "claude-* 3 15 0.30", "claude-opus-* 5 25", "* 1 2", "qwen3:4b 0 0"]
MILLION = 1_000_000


@pytest.fixture
def public_prices(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Stands in for `genai-prices`: knows one model, and what it was asked."""
    asked: list[Any] = []

    def calc_price(usage: Any, *, model_ref: str, provider_id: str) -> Any:
        asked.append((vars(usage), model_ref, provider_id))
        if (provider_id, model_ref) != ("openai", "gpt-5"):
            raise LookupError(f"Unable to find model with model_ref={model_ref!r}")
        return SimpleNamespace(total_price=Decimal("0.25"))

    module = ModuleType("genai_prices")
    vars(module).update(calc_price=calc_price, Usage=SimpleNamespace)
    monkeypatch.setitem(sys.modules, "genai_prices", module)
    return asked


def test_a_price_is_per_million_tokens_and_cached_ones_are_a_part_of_the_input() -> None:
    table = PriceTable.from_lines(LINES)
    assert table.cost("gpt-4o-mini", Usage(MILLION, 0)) == pytest.approx(0.15)
    assert table.cost("gpt-4o-mini", Usage(0, MILLION)) == pytest.approx(0.60)
    assert table.cost("gpt-4o-mini", Usage(MILLION, MILLION, MILLION // 2)) == pytest.approx(0.075 + 0.0375 + 0.60)
    assert table.cost("claude-opus-4", Usage(MILLION, 0, MILLION)) == pytest.approx(5)  # no price of its own
    assert table.cost("gpt-4o-mini", Usage(10, 0, 99)) == pytest.approx(0.75e-6)  # a provider that counts oddly


@pytest.mark.parametrize(
    ("model", "pattern"),
    [
        ("gpt-4o-mini", "gpt-4o-mini"),
        ("gpt-4o-mini-2024", "*"),
        ("claude-sonnet-4", "claude-*"),
        ("claude-opus-4", "claude-opus-*"),
        ("Claude-opus-4", "*"),
    ],
)
def test_the_most_specific_line_counts(model: str, pattern: str) -> None:
    for lines in (LINES, LINES[::-1]):
        found = PriceTable.from_lines(lines).find(model)
        assert found is not None
        assert found.pattern == pattern


def test_a_whole_name_comes_before_any_pattern() -> None:
    table = PriceTable.from_lines(["my-model-1* 1 1", "my-model-1 2 2", "odd[name] 3 3"])
    assert table.find("my-model-1") == Price("my-model-1", 2, 2, 2)
    assert table.find("odd[name]") == Price("odd[name]", 3, 3, 3)


def test_what_is_unknown_is_none_and_what_is_free_is_zero() -> None:
    table = PriceTable.from_lines(LINES[:3] + LINES[4:])
    assert table.cost("gpt-5", Usage(10, 10)) is None
    assert PriceTable().cost("gpt-4o-mini", Usage(10, 10)) is None
    assert table.cost("gpt-4o-mini", Usage()) is None  # the provider counted nothing
    assert table.cost("qwen3:4b", Usage()) == table.cost("qwen3:4b", Usage(10, 10)) == 0.0


@pytest.mark.parametrize(
    "line", ["gpt-4o", "gpt-4o 1", "gpt-4o 1 2 3 4", "gpt-4o 1 two", "gpt-4o 1 -2", "gpt-4o nan 1", "gpt-4o 1 inf"]
)
def test_a_line_that_is_no_price_is_named_with_the_form_to_give(line: str) -> None:
    with pytest.raises(ValueError, match="no price") as caught:
        PriceTable.from_lines(["", LINES[0], f" {line} "], source="looplet_prices")
    assert str(caught.value) == (
        f"looplet_prices, line 3: {line!r} is no price; "
        "give MODEL INPUT OUTPUT [CACHED], in money per million tokens, for example 'gpt-4o-mini 0.15 0.60 0.075'"
    )


def test_two_prices_for_one_model_are_an_error() -> None:
    with pytest.raises(ValueError, match=r"^prices, line 2: 'a' has a price already; give one line each$"):
        PriceTable.from_lines(["a 1 2", "a 1 3"])


def test_public_prices_are_asked_after_the_own_ones_and_only_for_a_provider(public_prices: list[Any]) -> None:
    table = PriceTable.from_lines(["gpt-4o 1 1"])
    usage = Usage(100, 20, 300)
    assert table.cost("gpt-4o", usage, provider="openai") == pytest.approx(120e-6)
    assert table.cost("gpt-5", usage) is None
    assert table.cost("gpt-5", Usage(), provider="openai") is None
    assert public_prices == []
    assert table.cost("gpt-5", usage, provider="openai") == 0.25
    assert table.cost("gpt-6", usage, provider="openai") is None
    counts = {"input_tokens": 100, "cache_read_tokens": 100, "output_tokens": 20}
    assert public_prices == [(counts, "gpt-5", "openai"), (counts, "gpt-6", "openai")]


def test_without_genai_prices_the_price_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "genai_prices", None)
    assert PriceTable().cost("gpt-5", Usage(10, 10), provider="openai") is None


@given(st.integers(0, MILLION), st.integers(0, MILLION), st.integers(0, MILLION))
def test_more_tokens_never_cost_less(fresh: int, cached: int, output: int) -> None:
    price = Price("m", 3, 15, 0.3)
    costs = [price.of(Usage(fresh + cached, output + more, cached)) or 0.0 for more in (0, 1)]
    assert 0 <= costs[0] < costs[1]
