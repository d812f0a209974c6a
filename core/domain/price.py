"""What tokens cost, for estimates until the agent program reports its own figure.

US dollars per million tokens, from Anthropic's public price list (2026-11), and of the program's
own default model as the program itself charges it.  A model not listed has no estimate: unknown
is `None`, never 0.
"""

from dataclasses import dataclass
from decimal import Decimal

from core.domain.runs.run import Usage


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars per million tokens.

    Attributes:
        cache_read_override: Of cached tokens read, where it is not the usual part of `input`.
    """

    input: Decimal
    output: Decimal
    cache_read_override: Decimal | None = None

    @property
    def cache_read(self) -> Decimal:
        """A cached token read costs a tenth of an input token, mostly."""
        return self.input / 10 if self.cache_read_override is None else self.cache_read_override

    @property
    def cache_creation(self) -> Decimal:
        """A token written to the 5-minute cache costs a quarter more than an input token."""
        return self.input * Decimal("1.25")


# Matched by prefix of the model's full name.
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
    """The likely cost of `usage` on `model`; `None` if the model's price is not known."""
    price = next((p for prefix, p in _PRICES if model and model.startswith(prefix)), None)
    if price is None:
        return None
    return (
        price.input * usage.input_tokens
        + price.output * usage.output_tokens
        + price.cache_read * usage.cache_read_tokens
        + price.cache_creation * usage.cache_creation_tokens
    ) / _MILLION
