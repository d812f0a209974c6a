"""The columns of the table of analytics: one list for the page, its order, and its links."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal

from bot.words import counts, money, times
from core.domain.alerts.trends.judging import failures_among
from core.domain.analytics.figures import Figures
from core.domain.runs.outcome import Outcome
from core.domain.runs.run import RunStatus

_MEDIAN, _MOST = 0.5, 0.95


@dataclass(frozen=True, kw_only=True)
class Column:
    """A figure of each row.

    Attributes:
        key: In the address, to order by it.
        help: The head in more words.
        value: To order by; `None` if it is unknown.
        words: As people read it; empty if it is unknown, or if it is a count of 0.
        runs: What the list of runs is restricted to that the figure is about.
    """

    key: str
    head: str
    help: str = ""
    value: Callable[[Figures], float | None]
    words: Callable[[Figures], str]
    runs: Mapping[str, str] = field(default_factory=dict)


def spend_of(figures: Figures) -> Decimal:
    """What agents reported, and what is estimated of the others."""
    return figures.spend.reported_usd + figures.spend.estimated_usd


def spend_in_words(figures: Figures) -> str:
    """The spend; `~` marks that some of it is estimated.  Empty if nothing is known of any run."""
    spend = figures.spend
    if not spend.reported_runs and not spend.estimated_runs:
        return ""
    mark = "~" if spend.estimated_runs else ""
    return f"{mark}{money.dollars(spend_of(figures))}"


def seconds_in_words(seconds: float | None) -> str:
    """A duration; empty if it is unknown."""
    return "" if seconds is None else times.duration(timedelta(seconds=seconds))


def milliseconds_in_words(milliseconds: float | None) -> str:
    """A short duration; empty if it is unknown."""
    return "" if milliseconds is None else times.milliseconds(milliseconds)


def failure_share(figures: Figures) -> float | None:
    """The share of failures among the judged runs; `None` without any."""
    found = failures_among(figures)
    return found.share if found.total else None


def share_in_words(share: float | None) -> str:
    """A share in percent; empty if it is unknown."""
    return "" if share is None else counts.percent(share)


def clean_runs(figures: Figures) -> int:
    """The runs that completed and need no look."""
    return figures.of_status(RunStatus.COMPLETED) - figures.attention


def _count(
    key: str, head: str, number: Callable[[Figures], int], runs: Mapping[str, str] | None = None
) -> Column:
    return Column(
        key=key,
        head=head,
        value=number,
        words=lambda figures: f"{number(figures):,}" if number(figures) else "",
        runs=runs or {},
    )


COLUMNS = (
    _count("runs", "Runs", lambda figures: figures.runs),
    _count(
        "clean",
        "Clean",
        clean_runs,
        {"status": RunStatus.COMPLETED.value, "outcome": Outcome.CLEAN.value},
    ),
    _count(
        "attention",
        "To look at",
        lambda figures: figures.attention,
        {"outcome": Outcome.ATTENTION.value},
    ),
    _count(
        "unfinished",
        "Unfinished",
        lambda figures: figures.of_status(RunStatus.FAILED),
        {"status": RunStatus.FAILED.value},
    ),
    _count(
        "killed",
        "Killed",
        lambda figures: figures.of_status(RunStatus.KILLED),
        {"status": RunStatus.KILLED.value},
    ),
    Column(
        key="failures",
        head="Failures",
        help="The share of failures among the judged runs",
        value=failure_share,
        words=lambda figures: share_in_words(failure_share(figures)),
        runs={"status": RunStatus.FAILED.value},
    ),
    Column(
        key="spend",
        head="Spend",
        value=lambda figures: float(spend_of(figures)),
        words=spend_in_words,
    ),
    Column(
        key="median",
        head="Median",
        help="Half of the runs took no longer",
        value=lambda figures: figures.durations.quantile(_MEDIAN),
        words=lambda figures: seconds_in_words(figures.durations.quantile(_MEDIAN)),
    ),
    Column(
        key="p95",
        head="95 %",
        help="95 % of the runs took no longer",
        value=lambda figures: figures.durations.quantile(_MOST),
        words=lambda figures: seconds_in_words(figures.durations.quantile(_MOST)),
    ),
    _count(
        "kills",
        "Kills",
        lambda figures: figures.kills.count,
        {"status": RunStatus.KILLED.value},
    ),
    Column(
        key="kill_p95",
        head="Kill 95 %",
        help="95 % of the kills took no longer from the request to the proof",
        value=lambda figures: figures.kills.times.quantile(_MOST),
        words=lambda figures: milliseconds_in_words(figures.kills.times.quantile(_MOST)),
        runs={"status": RunStatus.KILLED.value},
    ),
)
