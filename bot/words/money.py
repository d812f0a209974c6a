"""Formatting of money."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.domain.runs.run import CostSource


def dollars(amount: Decimal) -> str:
    """US dollars with as many digits as matter: `$12.40`, `$0.032`, `$0.0045`."""
    if amount == 0:
        return "$0.00"
    size = abs(amount)
    if size < Decimal("0.00005"):
        return "under $0.0001"
    digits = 2 if size >= Decimal("0.1") else 3 if size >= Decimal("0.01") else 4
    rounded = amount.quantize(Decimal(1).scaleb(-digits), rounding=ROUND_HALF_UP)
    return f"${rounded:,}"


def cost(amount: Decimal | None, source: CostSource | None, *, is_live: bool) -> str:
    """A cost and its source; an unknown cost is not shown as 0."""
    if amount is None:
        return "not reported yet" if is_live else "not reported"
    if source is None:
        return dollars(amount)
    return f"{dollars(amount)} {source.value}"
