"""Whether what is stored several times agrees: rows, ledger, history by day, transcripts.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from core.domain.runs.run import Run
from core.domain.sessions.ledger import LedgerEntry, LedgerSum

# Of a sum of parts that are each rounded to seven digits.
_ROUNDING = Decimal("0.000001")


class Source(StrEnum):
    """Where a number is from."""

    ROW = "row"
    LEDGER = "ledger"
    TRANSCRIPT = "transcript"
    HISTORY = "history"
    RUNS = "runs"


@dataclass(frozen=True, kw_only=True)
class Disagreement:
    """Two places that say different things.

    Attributes:
        subject: The id of a run, or a day.
        what: What they say it of, such as `turns`.
        one: What the place `in_one` says, and `other` what `in_other` says; `None` is unknown.
    """

    subject: str
    what: str
    in_one: Source
    one: object
    in_other: Source
    other: object


@dataclass(frozen=True, kw_only=True)
class Agreement:
    """What a check has found.

    Attributes:
        runs: How many runs were looked at.
        transcripts: Of how many of them the conversation, too.
        days: How many days of the history.
        orphans: Events whose run there is not, among the newest.
    """

    runs: int = 0
    transcripts: int = 0
    days: int = 0
    orphans: int = 0
    disagreements: Sequence[Disagreement] = ()


def ledger_disagreements(run: Run, entries: Sequence[LedgerEntry]) -> Iterator[Disagreement]:
    """Where the row of an ended run and the ledger's entries of its attempts differ.

    What is unknown of one of several attempts is unknown of the run, so it is not compared.
    """
    spent = LedgerSum.of_entries(entries)

    def differs(what: str, row: object, ledger: object) -> Disagreement:
        return Disagreement(
            subject=run.run_id,
            what=what,
            in_one=Source.ROW,
            one=row,
            in_other=Source.LEDGER,
            other=ledger,
        )

    if run.turns != spent.turns:
        yield differs("turns", run.turns, spent.turns)
    if not spent.unknown:
        if not _is_same(run.cost_usd, spent.known_usd, len(entries)):
            yield differs("cost", run.cost_usd, spent.known_usd)
        elif run.cost_usd is not None and run.cost_source is not spent.known_source:
            yield differs("source of the cost", run.cost_source, spent.known_source)
    if not spent.unknown_usage and run.usage != spent.usage:
        yield differs("tokens", run.usage, spent.usage)


def _is_same(one: Decimal | None, other: Decimal | None, parts: int) -> bool:
    if one is None or other is None:
        return one is other
    return abs(one - other) <= _ROUNDING * max(parts, 1)
