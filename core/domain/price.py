"""Prices of tokens, to estimate a cost until the agent program reports it.

In US dollars per million tokens, from Anthropic's public price list (2026-11).  The price of the
program's default model is the one that the program itself applies.  A model that is not listed
has no estimate: an unknown cost is `None`, never 0.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.runs.run import Usage


@dataclass(frozen=True, kw_only=True)
class Price:
    """The prices of a model in US dollars per million tokens.

    Attributes:
        cache_read_override: The price of tokens read from the cache, if it is not a tenth of
            `input`.
    """

    input: Decimal
    output: Decimal
    cache_read_override: Decimal | None = None

    @property
    def cache_read(self) -> Decimal:
        """The price of tokens read from the cache: usually a tenth of input tokens."""
        return self.input / 10 if self.cache_read_override is None else self.cache_read_override

    @property
    def cache_creation(self) -> Decimal:
        """The price of tokens written to the 5-minute cache: 25 % more than input tokens."""
        return self.input * Decimal("1.25")


# By a prefix of the model's full name; the first match counts.
_PRICES: tuple[tuple[str, Price], ...] = (
    ("claude-opus-4-1", Price(input=Decimal(15), output=Decimal(75))),
    ("claude-opus-4-2", Price(input=Decimal(15), output=Decimal(75))),
    (
        "claude-opus-5-5",
        Price(input=Decimal(4), output=Decimal(20), cache_read_override=Decimal("0.2")),
    ),
    ("claude-opus", Price(input=Decimal(5), output=Decimal(25))),
    ("claude-sonnet", Price(input=Decimal(3), output=Decimal(15))),
    ("claude-haiku", Price(input=Decimal(1), output=Decimal(5))),
)
_MILLION = Decimal(1_000_000)


def estimate_usd(model: str | None, usage: Usage) -> Decimal | None:
    """Estimate the cost of `usage` in US dollars; `None` if the model's price is unknown."""
    matches = (price for prefix, price in _PRICES if model and model.startswith(prefix))
    price = next(matches, None)
    if price is None:
        return None
    return (
        price.input * usage.input_tokens
        + price.output * usage.output_tokens
        + price.cache_read * usage.cache_read_tokens
        + price.cache_creation * usage.cache_creation_tokens
    ) / _MILLION
