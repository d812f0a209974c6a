"""The page of what runs came to, over days, weeks and years."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date

from aiohttp import hdrs, web

from bot.web.api.table import ApiServices
from bot.web.dashboard.analytics.breakdown import (
    DIMENSION_HEADS,
    Row,
    cells_of,
    heads_of,
    rows_of,
)
from bot.web.dashboard.analytics.csv_export import csv_of
from bot.web.dashboard.analytics.name_charts import NameCharts
from bot.web.dashboard.analytics.query import (
    CSV_PATH,
    PATH,
    RANGES,
    AnalyticsPageQuery,
    ShownPeriod,
    period_of,
    question_of,
)
from bot.web.dashboard.analytics.summary import Tile, tiles_of
from bot.web.dashboard.analytics.time_charts import DayCharts
from bot.web.dashboard.charts.shown import ShownChart
from bot.web.dashboard.headers import PAGE_HEADERS
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Part, Section
from bot.web.dashboard.pages.run_filters import FilterChip, pairs
from bot.web.route import NoParameters
from core.domain.actor import Actor
from core.domain.analytics.figures import Figures
from core.domain.analytics.report import NO_PERSON, NO_REPOSITORY, Dimension, Group

_SHOWN_ROWS = 200
_Call = PageCall[NoParameters, AnalyticsPageQuery]


@dataclass(frozen=True)
class AnalyticsPage:
    """Shows the history of runs."""

    services: ApiServices

    async def load(self, call: _Call) -> Content:
        """The figures of the period, their charts, and the table."""
        query = call.query
        period = self._period(query)
        by_day = await self._groups(
            query, period.read_from, period.last, Dimension.DAY, by=call.actor
        )
        history = {one.day: one.figures for one in by_day if one.day is not None}
        owner = await self._owner(query, period, by=call.actor)
        if query.by is Dimension.DAY:
            groups = [one for one in by_day if one.day is not None and one.day >= period.first]
        else:
            groups = await self._groups(query, period.first, period.last, query.by, by=call.actor)
        rows = rows_of(query, period, groups, owner=owner)
        # A year of days takes some tenths of a second, which nobody else has to wait for.
        tiles, charts = await asyncio.to_thread(_shown, query.by, period, history, rows)
        return Content(
            title="Analytics",
            sections=(
                Section(
                    name="filters",
                    template="analytics/filters.html",
                    values={
                        "query": query,
                        "period": period,
                        "ranges": list(RANGES),
                        "workflows": pairs(one.name for one in self.services.runs.workflows),
                        "chips": _chips(query, owner),
                        "path": PATH,
                    },
                ),
                Section(
                    name="summary",
                    template="analytics/summary.html",
                    values={
                        "tiles": tiles,
                        "period": period,
                    },
                ),
                Section(
                    name="history",
                    template="analytics/history.html",
                    values={
                        "charts": charts if rows else [],
                        "tabs": [
                            (
                                label,
                                query.url(
                                    by=None if one is Dimension.DAY else one.value, sort=None
                                ),
                                one is query.by,
                            )
                            for one, label in DIMENSION_HEADS.items()
                        ],
                        "heads": heads_of(query),
                        "rows": [(row, cells_of(row)) for row in rows[:_SHOWN_ROWS]],
                        "omitted": max(len(rows) - _SHOWN_ROWS, 0),
                        "csv_url": query.url(path=CSV_PATH),
                        "head": DIMENSION_HEADS[query.by],
                    },
                ),
            ),
        )

    async def csv(self, call: _Call, _: web.Request) -> web.Response:
        """The whole table as a file."""
        query = call.query
        period = self._period(query)
        groups = await self._groups(query, period.first, period.last, query.by, by=call.actor)
        rows = rows_of(query, period, groups, owner=None)
        name = f"signalbox-{query.by.value}-{period.first}-{period.last}.csv"
        return web.Response(
            # Spreadsheets take it for UTF-8 only with the mark.
            body=csv_of(rows, query.by).encode("utf-8-sig", "replace"),
            content_type="text/csv",
            charset="utf-8",
            headers={**PAGE_HEADERS, hdrs.CONTENT_DISPOSITION: f'attachment; filename="{name}"'},
        )

    def _period(self, query: AnalyticsPageQuery) -> ShownPeriod:
        return period_of(query, self.services.clock().astimezone(UTC).date())

    async def _groups(
        self,
        query: AnalyticsPageQuery,
        first: date,
        last: date,
        by_what: Dimension,
        *,
        by: Actor,
    ) -> list[Group]:
        question = question_of(query, first, last, (by_what,))
        return list((await self.services.analytics.report(question, by=by)).groups)

    async def _owner(
        self, query: AnalyticsPageQuery, period: ShownPeriod, *, by: Actor
    ) -> str | None:
        """How the person is called to whom the page is restricted; `None` if that is unknown."""
        if query.person is None or query.person == NO_PERSON:
            return None
        groups = await self._groups(query, period.first, period.last, Dimension.PERSON, by=by)
        return next((one.person.name for one in groups if one.person is not None), None)

    def pages(self) -> list[AnyPage]:
        """The page of this module."""
        return [
            Page(
                path=PATH,
                name="analytics",
                nav="analytics",
                path_parameters=NoParameters,
                query=AnalyticsPageQuery,
                load=self.load,
                has_charts=True,
                parts=(
                    Part(
                        path=CSV_PATH,
                        name="analytics_csv",
                        path_parameters=NoParameters,
                        query=AnalyticsPageQuery,
                        answer=self.csv,
                    ),
                ),
            )
        ]


def _shown(
    by: Dimension, period: ShownPeriod, history: Mapping[date, Figures], rows: Sequence[Row]
) -> tuple[list[Tile], list[ShownChart]]:
    """The first figures, and the charts."""
    tiles = tiles_of(history, period.days, period.days_before)
    if by is Dimension.DAY:
        return tiles, DayCharts(period.days, history).charts()
    return tiles, NameCharts(rows, by).charts()


def _chips(query: AnalyticsPageQuery, owner: str | None) -> list[FilterChip]:
    """The filters that are set, each with the address without it."""
    chips = []
    if query.workflow is not None:
        chips.append(FilterChip(f"workflow {query.workflow}", query.url(workflow=None)))
    if query.repository is not None:
        label = f"repository {query.repository}"
        if query.repository == NO_REPOSITORY:
            label = "without a repository"
        chips.append(FilterChip(label, query.url(repository=None)))
    if query.person is not None:
        label = f"owner {owner or query.person}"
        if query.person == NO_PERSON:
            label = "without an owner"
        chips.append(FilterChip(label, query.url(person=None)))
    if query.first is not None:
        chips.append(FilterChip(f"from {query.first}", query.url(without=("from",))))
    if query.last is not None:
        chips.append(FilterChip(f"until {query.last}", query.url(without=("to",))))
    return chips
