"""Prices of tokens, to estimate a cost until the agent program reports it.

The prices are those of `genai-prices`, which a test compares; that package is too large for every
worker to load (see docs/decisions/0010-prices.md).  A model that is not listed has no estimate:
unknown is `None`, never 0 and never a guess by a similar name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from types import MappingProxyType

from core.domain.runs.run import Usage

_MILLION = Decimal(1_000_000)
# No run costs as much.  The sum of a run's attempts fits its column, which holds ten million.
_MAX_USD = Decimal(1_000_000)
# The parts of a full name that do not change the price: a date, `-latest`, and the program's own
# mark for a larger context.
_SUFFIX = re.compile(r"(-\d{8}|-latest)?(\[1m\])?$")


@dataclass(frozen=True, kw_only=True)
class Price:
    """The prices of a model in US dollars per million tokens.

    Attributes:
        cache_read: Of cached tokens read.
        long_context_from: A request with more input tokens than this, cached ones included, has
            the price `long_context` for all of its tokens.
    """

    input: Decimal
    output: Decimal
    cache_read: Decimal
    long_context_from: int | None = None
    long_context: Price | None = None

    @property
    def cache_creation(self) -> Decimal:
        """The price of tokens written to the 5-minute cache: 25 % more than input tokens."""
        return self.input * Decimal("1.25")


def _listed(
    price_in: str,
    price_out: str,
    cache_read: str,
    *,
    long_context_from: int | None = None,
    long_context: Price | None = None,
) -> Price:
    return Price(
        input=Decimal(price_in),
        output=Decimal(price_out),
        cache_read=Decimal(cache_read),
        long_context_from=long_context_from,
        long_context=long_context,
    )


_OPUS_4 = _listed("15", "75", "1.5")
_OPUS = _listed("5", "25", "0.5")
_SONNET_4 = _listed("3", "15", "0.3")

# By the model's name without a date.
PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "claude-opus-4": _OPUS_4,
        "claude-opus-4-0": _OPUS_4,
        "claude-opus-4-1": _OPUS_4,
        "claude-opus-4-5": _OPUS,
        "claude-opus-4-6": _OPUS,
        "claude-opus-4-7": _OPUS,
        "claude-opus-4-8": _OPUS,
        "claude-opus-5": _OPUS,
        "claude-opus-5-5": _listed("4", "20", "0.2"),
        "claude-sonnet-4": _SONNET_4,
        "claude-sonnet-4-0": _SONNET_4,
        "claude-sonnet-4-5": _listed(
            "3",
            "15",
            "0.3",
            long_context_from=200_000,
            long_context=_listed("6", "22.5", "0.6"),
        ),
        "claude-sonnet-4-6": _SONNET_4,
        "claude-sonnet-5": _listed("2", "10", "0.2"),
        "claude-sonnet-5-5": _listed("2", "10", "0.1"),
        "claude-haiku-4-5": _listed("1", "5", "0.1"),
        "claude-haiku-5-5": _listed(
            "0.1",
            "0.5",
            "0.01",
            long_context_from=100_000,
            long_context=_listed("0.5", "2.5", "0.05"),
        ),
        "claude-fable-5": _listed("10", "50", "1"),
        "claude-fable-5-1": _listed("10", "50", "0.25"),
        "claude-fable-5-2": _listed("8", "40", "0.2"),
        "claude-mythos-5-2": _listed("8", "40", "0.2"),
    }
)


def estimate_usd(model: str | None, usage: Usage, *, requests: int = 1) -> Decimal | None:
    """The likely cost of `usage` on `model`; `None` if the model's price is not known.

    Args:
        model: The full name; one without a version is not known.
        usage: Of one request, or of several added up.
        requests: How many; where a price depends on a request's size, their mean size counts.
    """
    price = PRICES.get(_SUFFIX.sub("", model)) if model else None
    if price is None:
        return None
    context = usage.input_tokens + usage.cache_read_tokens + usage.cache_creation_tokens
    if (
        price.long_context is not None
        and price.long_context_from is not None
        and context > price.long_context_from * max(requests, 1)
    ):
        price = price.long_context
    return (
        price.input * usage.input_tokens
        + price.output * usage.output_tokens
        + price.cache_read * usage.cache_read_tokens
        + price.cache_creation * usage.cache_creation_tokens
    ) / _MILLION


def has_price(model: str | None) -> bool:
    """Whether the price of a model is known."""
    return estimate_usd(model, Usage()) is not None


def plausible_usd(amount: Decimal | None) -> Decimal | None:
    """Return a cost, or `None` for one that cannot be true.

    That is a negative one, one that is no finite number, and one of a million dollars or more.
    """
    if amount is None or not amount.is_finite() or not 0 <= amount < _MAX_USD:
        return None
    return amount
