from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import genai_prices
import pytest
from genai_prices.data import providers

from core.domain.price import PRICES, estimate_usd
from core.domain.runs.run import Usage

# Prices with a date take the day on which the table was last compared.
COMPARED_AT = datetime(2026, 11, 29, tzinfo=UTC)
# Retired before the agent program that runs here.
RETIRED = ("claude-2", "claude-3", "claude-v1")
MODELS = [
    model.id
    for provider in providers
    if provider.id == "anthropic"
    for model in provider.models
    if not model.id.startswith(RETIRED)
]
MILLION = Usage(input_tokens=1_000_000)


def listed_elsewhere(model: str, usage: Usage) -> Decimal:
    """What `genai-prices` says; its input tokens include those of the cache."""
    cached = usage.cache_read_tokens + usage.cache_creation_tokens
    return genai_prices.calc_price(
        genai_prices.Usage(
            input_tokens=usage.input_tokens + cached,
            output_tokens=usage.output_tokens,
            cache_read_tokens=usage.cache_read_tokens,
            cache_write_tokens=usage.cache_creation_tokens,
        ),
        model_ref=model,
        provider_id="anthropic",
        genai_request_timestamp=COMPARED_AT,
    ).total_price


@pytest.mark.parametrize("model", [*PRICES, *MODELS, "claude-opus-4-20250514"])
@pytest.mark.parametrize(
    "usage",
    [
        Usage(input_tokens=1_000),
        Usage(output_tokens=1_000),
        Usage(cache_read_tokens=1_000),
        Usage(cache_creation_tokens=1_000),
        Usage(input_tokens=50, output_tokens=70, cache_read_tokens=250_000),
    ],
    ids=["input", "output", "read", "written", "long"],
)
def test_every_model_costs_what_the_common_price_list_says(model: str, usage: Usage) -> None:
    assert estimate_usd(model, usage) == listed_elsewhere(model, usage)


@pytest.mark.parametrize(
    "model", [None, "", "sonnet", "some-model", "claude-opus-6", "claude-opus"]
)
def test_the_price_of_an_unknown_model_is_unknown(model: str | None) -> None:
    assert estimate_usd(model, MILLION) is None


@pytest.mark.parametrize("suffix", ["-20260101", "-latest", "[1m]", "-20260101[1m]"])
def test_a_date_does_not_change_the_price(suffix: str) -> None:
    assert estimate_usd(f"claude-opus-5-5{suffix}", MILLION) == Decimal(4)


def test_several_requests_are_long_if_they_are_so_on_average() -> None:
    assert estimate_usd("claude-sonnet-4-5", MILLION, requests=5) == Decimal(3)
    assert estimate_usd("claude-sonnet-4-5", MILLION, requests=4) == Decimal(6)
