"""The charts of analytics by workflow, repository or person."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from bot.charts.by_name import ranges_by_name, stacked_bars
from bot.charts.palette import PAGE, Tone
from bot.charts.specs import Axis, Measure, Series
from bot.web.dashboard.analytics.breakdown import Row
from bot.web.dashboard.analytics.columns import (
    milliseconds_in_words,
    seconds_in_words,
    spend_in_words,
    spend_of,
)
from bot.web.dashboard.analytics.outcomes import outcome_series, outcome_words
from bot.web.dashboard.analytics.time_scale import TimeScale, scale_of
from bot.web.dashboard.charts.shown import ShownChart
from bot.words import counts
from core.domain.analytics.histogram import Histogram
from core.domain.analytics.report import Dimension

# The others are in the table.
MOST_NAMES = 12
_MEDIAN, _MOST = 0.5, 0.95
_PLURALS: Mapping[Dimension, str] = MappingProxyType(
    {
        Dimension.DAY: "days",
        Dimension.WORKFLOW: "workflows",
        Dimension.REPOSITORY: "repositories",
        Dimension.PERSON: "people",
    }
)


@dataclass(frozen=True)
class NameCharts:
    """The charts of some rows of the table.

    Attributes:
        rows: In the order of the table.
        by: What the rows are.
    """

    rows: Sequence[Row]
    by: Dimension

    def charts(self) -> list[ShownChart]:
        """All charts; one of kills only if there were any."""
        return [
            self.spend(),
            self.outcomes(),
            self.durations(),
            *(
                [self.kill_times()]
                if any(one.figures.kills.times.count for one in self._shown)
                else []
            ),
        ]

    @property
    def _shown(self) -> Sequence[Row]:
        return self.rows[:MOST_NAMES]

    @property
    def _names(self) -> list[str]:
        return [short_name(row.name, self.by) for row in self._shown]

    @property
    def _note(self) -> str:
        left = len(self.rows) - len(self._shown)
        return f"The first {MOST_NAMES} {_PLURALS[self.by]} of the table." if left else ""

    def spend(self) -> ShownChart:
        """What each cost."""
        most = max(self._shown, key=lambda row: spend_of(row.figures), default=None)
        words = (
            "" if most is None else f", most for {most.name} with {spend_in_words(most.figures)}"
        )
        series = [
            Series(
                name="Reported",
                tone=Tone.ACCENT,
                values=[float(row.figures.spend.reported_usd) for row in self._shown],
            )
        ]
        estimated = [float(row.figures.spend.estimated_usd) for row in self._shown]
        if any(estimated):
            series.append(Series(name="Estimated", tone=Tone.ATTENTION, values=estimated))
        axis = Axis(title="US dollars", measure=Measure.USD)
        return ShownChart(
            name="spend",
            title="Spend",
            label=f"What {counts.plural(len(self._shown), 'row')} of the table cost{words}.",
            note=self._note,
            spec=stacked_bars(self._names, series, axis, PAGE),
            head=("", "Spend"),
            rows=[(row.name, spend_in_words(row.figures)) for row in self._shown],
        )

    def outcomes(self) -> ShownChart:
        """How the runs of each ended."""
        shown = [row.figures for row in self._shown]
        parts = outcome_series(shown)
        return ShownChart(
            name="outcomes",
            title="Ended runs by outcome",
            label=f"{outcome_words(shown)}.",
            note=self._note,
            spec=stacked_bars(self._names, parts, Axis(title="Runs"), PAGE),
            head=("", *(part.name for part in parts)),
            rows=[
                (row.name, *(f"{value:,.0f}" if value else "" for value in values))
                for row, *values in zip(self._shown, *(part.values for part in parts), strict=True)
            ],
        )

    def durations(self) -> ShownChart:
        """How long the runs of each took."""
        return self._ranges(
            "durations", "Duration", [row.figures.durations for row in self._shown], None
        )

    def kill_times(self) -> ShownChart:
        """How long the kills of each took."""
        return self._ranges(
            "kill-times",
            "Kills: from request to proof",
            [row.figures.kills.times for row in self._shown],
            TimeScale(1000, "seconds"),
        )

    def _ranges(
        self, name: str, title: str, found: Sequence[Histogram], scale: TimeScale | None
    ) -> ShownChart:
        halves, most = ([one.quantile(share) for one in found] for share in (_MEDIAN, _MOST))
        words = seconds_in_words if scale is None else milliseconds_in_words
        scale = scale or scale_of(most)
        known = [
            (row, half, high)
            for row, half, high in zip(self._shown, halves, most, strict=True)
            if half is not None
        ]
        slowest = max(known, key=lambda one: one[2] or 0, default=None)
        label = (
            "nothing was measured"
            if slowest is None
            else f"the longest is {slowest[0].name}: 95 % within {words(slowest[2])}"
        )
        return ShownChart(
            name=name,
            title=title,
            label=f"{title}, half and 95 % of all within it; {label}.",
            note=self._note,
            spec=ranges_by_name(
                self._names,
                Series(name="Half within", tone=Tone.ACCENT, values=scale.of(halves)),
                Series(name="95 % within", tone=Tone.QUIET, values=scale.of(most)),
                Axis(title=scale.unit, measure=Measure.PLAIN),
                PAGE,
            ),
            head=("", "Measured", "Half within", "95 % within"),
            rows=[
                (row.name, f"{one.count:,}" if one.count else "", words(half), words(high))
                for row, one, half, high in zip(self._shown, found, halves, most, strict=True)
            ],
        )


def short_name(name: str, by: Dimension) -> str:
    """A name as it fits at an axis: of a repository its owner and its own name."""
    if by is not Dimension.REPOSITORY:
        return name
    parts = name.rstrip("/").removesuffix(".git").replace(":", "/").split("/")
    return "/".join(parts[-2:])
