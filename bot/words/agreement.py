"""What does not agree, in words."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from bot.words.counts import plural
from core.domain.agreement import Agreement, Disagreement, Source
from core.domain.runs.run import Usage

PLACES: Mapping[Source, str] = MappingProxyType(
    {
        Source.ROW: "its row",
        Source.LEDGER: "the ledger",
        Source.TRANSCRIPT: "its transcript",
        Source.HISTORY: "the history",
        Source.RUNS: "its runs",
    }
)


def disagreement_words(found: Disagreement) -> str:
    """A sentence that names the run or the day, and what each place says."""
    return (
        f"{found.subject}: {found.what} {_value(found.one)} in {PLACES[found.in_one]}, "
        f"{_value(found.other)} in {PLACES[found.in_other]}"
    )


def agreement_words(found: Agreement) -> str:
    """What was compared."""
    return (
        f"{plural(found.runs, 'run')}, {plural(found.transcripts, 'transcript')} and "
        f"{plural(found.days, 'day')} of the history"
    )


def _value(value: object) -> str:
    if value is None:
        return "unknown"
    if isinstance(value, Usage):
        return (
            f"{value.input_tokens:,}/{value.output_tokens:,}/{value.cache_read_tokens:,}/"
            f"{value.cache_creation_tokens:,}"
        )
    return f"{value:f}" if isinstance(value, Decimal) else str(value)
