"""Formatting of counts, tokens, sizes and shares."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.domain.runs.run import Usage


def compact_count(number: int) -> str:
    """A large number in short form: `940`, `1.2k`, `35k`, `1.4M`."""
    if number < 1_000:
        return str(number)
    for size, unit in ((1_000, "k"), (1_000_000, "M"), (1_000_000_000, "G")):
        scaled = number / size
        if scaled < 9.95:
            return f"{scaled:.1f}{unit}"
        if scaled < 999.5:
            return f"{scaled:.0f}{unit}"
    return f"{number / 1_000_000_000:,.0f}G"


def tokens(usage: Usage, *, is_estimated: bool = False) -> str:
    """Tokens in and out, and cached tokens, which have prices of their own."""
    cached = usage.cache_read_tokens + usage.cache_creation_tokens
    parts = [f"{compact_count(usage.input_tokens)} in", f"{compact_count(usage.output_tokens)} out"]
    if cached:
        parts.append(f"{compact_count(cached)} cached")
    return ", ".join(parts) + (" (estimated)" if is_estimated else "")


def plural(number: int, one: str, many: str | None = None) -> str:
    """A number with its noun: `1 file`, `2 files`."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def ordinal(number: int) -> str:
    """A position in a sequence: `1st`, `2nd`, `13th`."""
    if number % 100 in (11, 12, 13):
        return f"{number:,}th"
    return f"{number:,}{({1: 'st', 2: 'nd', 3: 'rd'}).get(number % 10, 'th')}"


def megabytes(size: float) -> str:
    """A size in megabytes, given in bytes: `1,204.5 MB`."""
    return f"{size / 1e6:,.1f} MB"


def percent(share: float) -> str:
    """A share (0 to 1) in percent; it shows 100 only for exactly 1."""
    if share == 1:
        return "100 %"
    return f"{min(share * 100, 99.9):.1f} %"
