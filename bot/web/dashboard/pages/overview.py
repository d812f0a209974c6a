"""The first page: what needs a person now, what runs, and how today went."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from bot.web.api.table import ApiServices
from bot.web.dashboard.page import AnyPage, Content, Page, PageCall, Section
from bot.web.dashboard.pages.alerts import AlertRow, most_urgent_first
from bot.web.dashboard.pages.runs import RunRow
from bot.web.route import LenientParameters, NoParameters
from core.domain.actor import Actor
from core.domain.alerts.kinds import AlertKind
from core.domain.feed import ChangeKind
from core.domain.runs.run import LIVE_STATUSES, RunStatus
from core.domain.runs.search import RunSearch
from core.domain.runs.stats import Period

# Runs of each list.  The rest is one press away: hundreds of rows are read by nobody, and cost the
# browser half a second.
_SHOWN_WAITING = 20
_SHOWN_LIVE = 50
_SHOWN_ENDED = 20
# Among so many the most urgent ones are looked for.
_SORTED_ALERTS = 200
_ENDED = frozenset(status for status in RunStatus if status.is_final)
# What failed longer ago has been seen, or never will be.
_RECENT = timedelta(days=1)


class OverviewQuery(LenientParameters):
    """The first page has no parameters."""


@dataclass(frozen=True)
class _Listed:
    """The newest of some runs.

    Attributes:
        total: Those that are not shown, too; at most the most that are counted.
    """

    rows: Sequence[RunRow]
    total: int
    is_total_exact: bool

    @property
    def more(self) -> int:
        """How many are not shown."""
        return max(self.total - len(self.rows), 0)


@dataclass(frozen=True)
class OverviewPage:
    """Shows what matters now."""

    services: ApiServices

    async def load(self, call: PageCall[NoParameters, OverviewQuery]) -> Content:
        """What needs a person first, then what runs, then today."""
        services, actor = self.services, call.actor
        waiting = await self._list(RunSearch(is_waiting=True), actor, limit=_SHOWN_WAITING)
        live = await self._list(
            RunSearch(statuses=frozenset(LIVE_STATUSES)), actor, limit=_SHOWN_LIVE
        )
        failed = await self._list(
            RunSearch(statuses=frozenset({RunStatus.FAILED}), since=services.clock() - _RECENT),
            actor,
            limit=_SHOWN_ENDED,
        )
        recent = await self._list(
            RunSearch(statuses=_ENDED, since=services.clock() - _RECENT),
            actor,
            limit=_SHOWN_ENDED,
        )
        stats = await services.stats.stats(Period.DAY, by=actor)
        fleet = await services.fleet.workers(by=actor)
        alerts = await services.alerts.page(
            by=actor, kinds=(), is_open=True, run=None, after=None, limit=_SORTED_ALERTS
        )
        now = services.clock()
        rows = [*waiting.rows, *live.rows, *failed.rows, *recent.rows]
        told = [AlertRow.of(one, now) for one in most_urgent_first(alerts.items)[:_SHOWN_ENDED]]
        return Content(
            title="Overview",
            sections=(
                Section(
                    name="needs",
                    template="overview/needs.html",
                    values={
                        "waiting": waiting,
                        "alerts": _not_listed(told, waiting.rows),
                        "failed": _left_behind(failed.rows, told, rows),
                        "more_failed": failed.more,
                        "more_alerts": max(alerts.total - len(told), 0),
                    },
                ),
                Section(name="live", template="overview/live.html", values={"live": live}),
                Section(
                    name="today",
                    template="overview/today.html",
                    values={
                        "stats": stats,
                        "fleet": fleet,
                        "recent": recent.rows,
                        "ended": sorted(_ENDED),
                    },
                ),
            ),
            owners=frozenset(row.run.user_id for row in rows if row.run.user_id is not None),
        )

    async def _list(self, search: RunSearch, actor: Actor, *, limit: int) -> _Listed:
        found = await self.services.lists.page(
            search, by=actor, after=None, limit=limit, explains_waiting=True
        )
        rows = [RunRow.of(one, self.services, is_explained=True) for one in found.items]
        return _Listed(rows, found.total, is_total_exact=found.is_total_exact)

    def pages(self) -> list[AnyPage]:
        """The pages of this module."""
        return [
            Page(
                path="/",
                name="overview",
                nav="overview",
                path_parameters=NoParameters,
                query=OverviewQuery,
                load=self.load,
                changes=frozenset({ChangeKind.RUN, ChangeKind.WORKER, ChangeKind.ALERT}),
            )
        ]


def _not_listed(told: Sequence[AlertRow], listed: Sequence[RunRow]) -> list[AlertRow]:
    """The alerts but those whose state is over, and those about a waiting run that is listed."""
    ids = {row.shown.run_id for row in listed}
    return [
        one
        for one in told
        if one.shown.recovering_at is None
        and (one.shown.kind is not AlertKind.WAITING or one.shown.run_id not in ids)
    ]


def _left_behind(
    failed: Sequence[RunRow], told: Sequence[AlertRow], known: Sequence[RunRow]
) -> list[RunRow]:
    """The failed runs that no alert tells, and from which nobody has gone on."""
    ids = {one.shown.run_id for one in told}
    newest: dict[UUID, datetime] = {}
    for row in known:
        at, session = row.run.created_at, row.run.session_id
        newest[session] = max(at, newest.get(session, at))
    return [
        row
        for row in failed
        if row.shown.run_id not in ids and row.run.created_at >= newest[row.run.session_id]
    ]
