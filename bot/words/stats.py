"""Words about the statistics of a period."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from bot.words import counts, money
from core.domain.runs.stats import KillStats, Period, Spend

PERIOD_TITLES: Mapping[Period, str] = MappingProxyType(
    {
        Period.DAY: "Last 24 hours",
        Period.WEEK: "Last 7 days",
        Period.MONTH: "Last 30 days",
    }
)


def spend_words(spend: Spend) -> str:
    """The spend: reported, estimated and unknown amounts apart."""
    parts = []
    if spend.reported_runs:
        runs = counts.plural(spend.reported_runs, "run")
        parts.append(f"{money.dollars(spend.reported_usd)} reported by {runs}")
    if spend.estimated_runs:
        runs = counts.plural(spend.estimated_runs, "run")
        parts.append(f"{money.dollars(spend.estimated_usd)} estimated for {runs}")
    if spend.unknown_runs:
        runs = counts.plural(spend.unknown_runs, "run")
        parts.append(f"not known for {runs}, not included in the sums")
    return "; ".join(parts) or "nothing: no run has begun"


def kill_parts(kills: KillStats) -> list[str]:
    """How many kills had which result."""
    parts = [f"{kills.confirmed:,} proven"]
    if kills.unconfirmed:
        parts.append(f"{kills.unconfirmed:,} unconfirmed")
    if kills.in_progress:
        parts.append(f"{kills.in_progress:,} under way")
    if kills.success_rate is not None:
        parts.append(f"success {counts.percent(kills.success_rate)}")
    return parts


def kill_remarks(kills: KillStats) -> list[str]:
    """Remarks that explain the numbers of kills."""
    remarks = []
    if kills.confirmed_late:
        remarks.append(
            f"{kills.confirmed_late:,} of the proven were unconfirmed for a while before they "
            "were proven."
        )
    if kills.before_start:
        remarks.append(
            f"{kills.before_start:,} of the proven had not begun; they are not in the table."
        )
    return remarks


def survivors_known(kills: KillStats) -> str:
    """What is known about the processes of unconfirmed kills."""
    if not kills.survivors:
        return "No process is known to be alive, but no worker could check the machine."
    left = counts.plural(kills.survivors, "process was", "processes were")
    return f"At the last check {left} still alive."
