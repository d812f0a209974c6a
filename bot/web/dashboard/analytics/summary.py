"""The first figures of analytics, each compared with the period before."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date

from bot.web.dashboard.analytics.columns import (
    clean_runs,
    milliseconds_in_words,
    seconds_in_words,
    share_in_words,
    spend_in_words,
    spend_of,
)
from bot.web.dashboard.analytics.trend_words import unusual_days, usual_seconds, usual_usd
from bot.words import counts
from bot.words.stats import spend_words
from core.domain.alerts.trends.judging import failures_among
from core.domain.analytics.figures import Figures
from core.domain.analytics.trends import (
    DayTrend,
    ShareChange,
    duration_trend,
    share_change,
    spend_trend,
)

_MEDIAN, _MOST = 0.5, 0.95
_NOTHING = Figures()
# A value so small is not told in more digits.
_LEAST_P = 0.001
_LEAST_CHANGE = 0.005
# From here on a factor says more than percents.
_MANY_TIMES = 3


@dataclass(frozen=True, kw_only=True)
class Tile:
    """A figure.

    Attributes:
        lines: What it is made of, and how it compares with before.
        is_notable: Whether the comparison is more than chance explains.
        days: The figure of each day; `None` where it is unknown.
    """

    label: str
    value: str
    lines: Sequence[str] = ()
    is_notable: bool = False
    days: Sequence[float | None] = field(default_factory=tuple)


def tiles_of(
    history: Mapping[date, Figures], days: Sequence[date], days_before: Sequence[date]
) -> list[Tile]:
    """The first figures.  Pure.

    Args:
        history: The figures of all days that were read.
        days: Those that are shown.
        days_before: Those with which they are compared as a whole.
    """
    shown = [history.get(day, _NOTHING) for day in days]
    total = sum(shown, _NOTHING)
    before = sum((history.get(day, _NOTHING) for day in days_before), _NOTHING)
    period = counts.plural(len(days_before), "day") + " before"
    spent, took = spend_trend(history, days), duration_trend(history, days)
    change = share_change(failures_among(total), failures_among(before))
    return [
        Tile(
            label="Runs ended",
            value=f"{total.runs:,}",
            lines=[
                f"{clean_runs(total):,} clean, {share_in_words(total.clean_share)}"
                if total.runs
                else "",
                _against(total.runs, before.runs, period),
            ],
            days=[float(one.runs) for one in shown],
        ),
        Tile(
            label="Failures",
            value=share_in_words(change.present.share) if change.present.total else "–",
            lines=_failure_lines(change, period),
            is_notable=change.is_clear,
            days=[_share(one) for one in shown],
        ),
        Tile(
            label="Spend",
            value=spend_in_words(total) or "–",
            lines=[
                spend_words(total.spend),
                _against(float(spend_of(total)), float(spend_of(before)), period),
                _labelled("A usual day now", usual_usd(spent[-1])),
                *_unusual_line(days, spent),
            ],
            is_notable=any(one.is_unusual for one in spent),
            days=[one.value for one in spent],
        ),
        Tile(
            label="Duration, half within",
            value=seconds_in_words(total.durations.quantile(_MEDIAN)) or "–",
            lines=[
                _labelled("95 % within", seconds_in_words(total.durations.quantile(_MOST))),
                _labelled(f"The {period}", seconds_in_words(before.durations.quantile(_MEDIAN))),
                _labelled("A usual day now", usual_seconds(took[-1])),
                *_unusual_line(days, took),
            ],
            is_notable=any(one.is_unusual for one in took),
            days=[one.value for one in took],
        ),
        Tile(
            label="Kills",
            value=f"{total.kills.count:,}",
            lines=[
                f"{total.kills.confirmed:,} proven"
                + (f", {total.kills.unconfirmed:,} unconfirmed" if total.kills.unconfirmed else "")
                if total.kills.count
                else "",
                _labelled("95 % within", milliseconds_in_words(total.kills.times.quantile(_MOST))),
                _labelled(
                    f"The {period}", milliseconds_in_words(before.kills.times.quantile(_MOST))
                ),
            ],
            is_notable=total.kills.unconfirmed > 0,
            days=[float(one.kills.count) for one in shown],
        ),
    ]


def _failure_lines(change: ShareChange, period: str) -> list[str]:
    found, before = change.present, change.before
    if not found.total:
        return ["No run was judged."]
    low, high = change.interval
    lines = [
        (
            f"{found.cases:,} of {found.total:,} judged runs; 95 % interval "
            f"{share_in_words(low)} to {share_in_words(high)}"
        )
    ]
    if change.p is None:
        return [*lines, f"Too few runs in the {period} to compare"]
    if change.is_clear:
        more = "more" if found.share > before.share else "fewer"
        verdict = f"{more}, beyond chance ({_p_in_words(change.p)})"
    else:
        verdict = f"no clear difference ({_p_in_words(change.p)})"
    return [*lines, f"{share_in_words(before.share)} in the {period}: {verdict}"]


def _p_in_words(p: float) -> str:
    return f"p < {_LEAST_P}" if p < _LEAST_P else f"p = {p:.2g}"


def _against(now: float, before: float, period: str) -> str:
    if not before:
        return f"None in the {period}" if now else ""
    change = now / before - 1
    if abs(change) < _LEAST_CHANGE:
        return f"As much as in the {period}"
    if change > _MANY_TIMES - 1:
        return f"{now / before:.1f} times the {period}"
    return f"{'+' if change > 0 else '−'}{abs(change):.0%} against the {period}".replace("%", " %")


def _labelled(label: str, words: str) -> str:
    return f"{label}: {words}" if words else ""


def _unusual_line(days: Sequence[date], trend: Sequence[DayTrend]) -> list[str]:
    number = sum(one.is_unusual for one in trend)
    words = unusual_days(days, trend)
    return [f"{words[0].upper()}{words[1:]}"] if number else []


def _share(figures: Figures) -> float | None:
    found = failures_among(figures)
    return found.share if found.total else None
