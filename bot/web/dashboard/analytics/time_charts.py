"""The charts of analytics by day, with what is usual behind them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

from bot.charts.by_day import Band, lines_by_day, stacked_days
from bot.charts.palette import PAGE, Tone
from bot.charts.specs import Axis, Measure, Series
from bot.web.dashboard.analytics.columns import (
    milliseconds_in_words,
    seconds_in_words,
    share_in_words,
    spend_in_words,
)
from bot.web.dashboard.analytics.outcomes import outcome_rows, outcome_series, outcome_words
from bot.web.dashboard.analytics.time_scale import TimeScale, scale_of
from bot.web.dashboard.analytics.trend_words import (
    remark,
    unusual_days,
    usual_seconds,
    usual_share,
    usual_usd,
)
from bot.web.dashboard.charts.shown import ShownChart
from bot.words import counts
from core.domain.alerts.trends.judging import failures_among
from core.domain.analytics.figures import Figures
from core.domain.analytics.trends import DayTrend, duration_trend, failure_trend, spend_trend

_MEDIAN, _MOST = 0.5, 0.95
_NOTHING = Figures()
_MARKS = "A diamond marks a day that differs by more than chance explains."


@dataclass(frozen=True)
class DayCharts:
    """The charts of some days.

    Attributes:
        history: The figures of the days, and of those before them.
    """

    days: Sequence[date]
    history: Mapping[date, Figures]

    def charts(self) -> list[ShownChart]:
        """All charts; one of kills only if there were any."""
        return [
            self.spend(),
            self.outcomes(),
            self.failures(),
            self.durations(),
            *([self.kill_times()] if any(one.kills.times.count for one in self._shown) else []),
        ]

    @property
    def _shown(self) -> list[Figures]:
        return [self.history.get(day, _NOTHING) for day in self.days]

    def spend(self) -> ShownChart:
        """What each day cost."""
        shown, trend = self._shown, spend_trend(self.history, self.days)
        reported = [float(one.spend.reported_usd) for one in shown]
        estimated = [float(one.spend.estimated_usd) for one in shown]
        series = [Series(name="Reported", tone=Tone.ACCENT, values=reported)]
        if any(estimated):
            series.append(Series(name="Estimated", tone=Tone.ATTENTION, values=estimated))
        axis = Axis(title="US dollars", measure=Measure.USD)
        return ShownChart(
            name="spend",
            title="Spend by day",
            label=f"{self._period}: {_extremes(self.days, shown)}",
            note=(
                "Grey: where 95 % of days lie if they are like the same weekday of the eight weeks "
                f"before. {_MARKS}"
            ),
            spec=stacked_days(
                self.days,
                series,
                axis,
                PAGE,
                band=_band(trend),
                marked=[one.is_unusual for one in trend],
            ),
            head=("Day", "Spend", "Usual", ""),
            rows=[
                (day.isoformat(), spend_in_words(one), usual_usd(found), remark(found))
                for day, one, found in zip(self.days, shown, trend, strict=True)
            ],
        )

    def outcomes(self) -> ShownChart:
        """How the runs of each day ended."""
        shown = self._shown
        parts = outcome_series(shown)
        return ShownChart(
            name="outcomes",
            title="Ended runs by day and outcome",
            label=f"{self._period}: {outcome_words(shown)}.",
            spec=stacked_days(self.days, parts, Axis(title="Runs"), PAGE),
            head=("Day", *(part.name for part in parts)),
            rows=outcome_rows([day.isoformat() for day in self.days], parts),
        )

    def failures(self) -> ShownChart:
        """The share of failures of each day."""
        shown, trend = self._shown, failure_trend(self.history, self.days)
        series = Series(name="Failures", tone=Tone.FAILED, values=[one.value for one in trend])
        axis = Axis(title="Share of runs", measure=Measure.SHARE)
        judged = [failures_among(one) for one in shown]
        return ShownChart(
            name="failures",
            title="Failures by day",
            label=(
                f"{self._period}: {sum(one.cases for one in judged):,} of "
                f"{counts.plural(sum(one.total for one in judged), 'judged run')} failed; "
                f"{unusual_days(self.days, trend)}."
            ),
            note=(
                "Runs that were killed, or met a usage limit, are not judged. Grey: where 95 % of "
                f"days lie if runs fail as in the 30 days before. {_MARKS}"
            ),
            spec=lines_by_day(
                self.days,
                [series],
                axis,
                PAGE,
                band=_band(trend),
                marked=[one.is_unusual for one in trend],
            ),
            head=("Day", "Failures", "Judged", "Share", "Usual", ""),
            rows=[
                (
                    day.isoformat(),
                    f"{one.cases:,}" if one.total else "",
                    f"{one.total:,}" if one.total else "",
                    share_in_words(found.value),
                    usual_share(found),
                    remark(found),
                )
                for day, one, found in zip(self.days, judged, trend, strict=True)
            ],
        )

    def durations(self) -> ShownChart:
        """How long the runs of each day took."""
        shown, trend = self._shown, duration_trend(self.history, self.days)
        most = [one.durations.quantile(_MOST) for one in shown]
        scale = scale_of(most)
        series = [
            Series(
                name="Half within", tone=Tone.ACCENT, values=scale.of(one.value for one in trend)
            ),
            Series(name="95 % within", tone=Tone.QUIET, values=scale.of(most)),
        ]
        return ShownChart(
            name="durations",
            title="Duration by day",
            label=f"{self._period}: {unusual_days(self.days, trend)}.",
            note=f"Grey: where the median of 95 % of days lies, by the four weeks before. {_MARKS}",
            spec=lines_by_day(
                self.days,
                series,
                Axis(title=scale.unit, measure=Measure.PLAIN),
                PAGE,
                band=_band(trend, scale.size),
                marked=[one.is_unusual for one in trend],
            ),
            head=("Day", "Half within", "95 % within", "Usual median", ""),
            rows=[
                (
                    day.isoformat(),
                    seconds_in_words(found.value),
                    seconds_in_words(high),
                    usual_seconds(found),
                    remark(found),
                )
                for day, high, found in zip(self.days, most, trend, strict=True)
            ],
        )

    def kill_times(self) -> ShownChart:
        """How long kills took from the request to the proof."""
        shown = [one.kills.times for one in self._shown]
        halves, most = ([one.quantile(share) for one in shown] for share in (_MEDIAN, _MOST))
        number = sum(one.count for one in shown)
        scale = TimeScale(1000, "seconds")
        series = [
            Series(name="Half within", tone=Tone.KILLED, values=scale.of(halves)),
            Series(name="95 % within", tone=Tone.QUIET, values=scale.of(most)),
        ]
        axis = Axis(title=scale.unit, measure=Measure.PLAIN)
        return ShownChart(
            name="kill-times",
            title="Kills: from request to proof",
            label=f"{self._period}: {counts.plural(number, 'kill')} timed.",
            spec=lines_by_day(self.days, series, axis, PAGE),
            head=("Day", "Kills", "Half within", "95 % within"),
            rows=[
                (
                    day.isoformat(),
                    f"{one.count:,}" if one.count else "",
                    milliseconds_in_words(half),
                    milliseconds_in_words(high),
                )
                for day, one, half, high in zip(self.days, shown, halves, most, strict=True)
            ],
        )

    @property
    def _period(self) -> str:
        return f"From {self.days[0].isoformat()} to {self.days[-1].isoformat()}"


def _band(trend: Sequence[DayTrend], size: float = 1) -> Band:
    return Band(
        ranges=[
            None if one.usual is None else (one.usual.low / size, one.usual.high / size)
            for one in trend
        ]
    )


def _extremes(days: Sequence[date], shown: Sequence[Figures]) -> str:
    total = sum(shown, _NOTHING)
    words = spend_in_words(total)
    if not words:
        return "nothing is known to have been spent."
    day, most = max(
        zip(days, shown, strict=True),
        key=lambda pair: pair[1].spend.reported_usd + pair[1].spend.estimated_usd,
    )
    return f"{words} in all, most on {day.isoformat()} with {spend_in_words(most)}."
