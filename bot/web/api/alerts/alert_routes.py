"""Routes of alerts: read, acknowledged, snoozed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Any, Protocol
from uuid import UUID

from pydantic import Field, model_validator

from bot.web.api.alerts.answers import (
    SEVERITIES,
    AlertAnswer,
    AlertDetailsAnswer,
    AlertList,
    SeverityName,
    alert_answer,
    alert_details_answer,
)
from bot.web.api.alerts.durations import DurationText
from bot.web.api.values import Cursor, PageLimit, RunTarget, cursor_of
from bot.web.route import AnyRoute, Call, Method, NoParameters, Parameters, Route
from core.domain.actor import Action, Actor, Role
from core.domain.alerts.details import AlertDetails
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.paging import Page, PageKey

_TAG = "Alerts"
_ETAG_CHARS = 32
# More than the longest snooze, so that the refusal names the real bounds.
_MAX_MINUTES = 1_000_000


class AlertPath(Parameters):
    """The alert of a route."""

    alert_id: UUID


class AlertListQuery(Parameters):
    """Which alerts to list; all conditions hold together."""

    kind: list[AlertKind] = Field(default_factory=list, description="May be repeated.")
    severity: list[SeverityName] = Field(default_factory=list, description="May be repeated.")
    open: bool | None = Field(
        default=None, description="Only those that have not ended, or only those that have."
    )
    run: RunTarget | None = Field(default=None, description="Only those about this run.")
    limit: PageLimit = 50
    cursor: Cursor | None = Field(default=None, description="The `next` of the page before.")


class SnoozeBody(Parameters):
    """For how long an alert is not told again; exactly one of the two."""

    minutes: Annotated[int, Field(strict=True, ge=1, le=_MAX_MINUTES)] | None = None
    duration: DurationText | None = None

    @model_validator(mode="after")
    def _has_one(self) -> SnoozeBody:
        if (self.minutes is None) == (self.duration is None):
            raise ValueError("needs either `minutes` or `duration`")
        return self

    @property
    def length(self) -> timedelta:
        """The time that was asked for."""
        return self.duration or timedelta(minutes=self.minutes or 0)


class Alerts(Protocol):
    """Reads alerts, and does what people do with them; see `AlertService`."""

    async def page(
        self,
        *,
        by: Actor,
        kinds: Collection[AlertKind],
        is_open: bool | None,
        run: str | None,
        after: PageKey | None,
        limit: int,
        severities: Collection[Severity] = (),
    ) -> Page[Episode]:
        """A page of alerts."""
        ...

    async def details(self, alert_id: UUID, *, by: Actor) -> AlertDetails:
        """One alert with its events and channels."""
        ...

    async def acknowledge(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        """Take care of alerts."""
        ...

    async def snooze(
        self, alert_ids: Collection[UUID], *, duration: timedelta, by: Actor
    ) -> list[Episode]:
        """Leave alerts untold for a time."""
        ...

    async def still_fine(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        """Say that a silent run is fine."""
        ...


@dataclass(frozen=True)
class AlertRoutes:
    """Answers alerts, and does what programs ask to do with them."""

    alerts: Alerts
    clock: Callable[[], datetime]

    async def list_alerts(
        self, call: Call[NoParameters, AlertListQuery, NoParameters]
    ) -> AlertList:
        """A page of alerts."""
        query = call.query
        found = await self.alerts.page(
            by=call.actor,
            kinds=query.kind,
            severities=[SEVERITIES[one] for one in query.severity],
            is_open=query.open,
            run=query.run,
            after=query.cursor,
            limit=query.limit,
        )
        now = self.clock()
        answer = AlertList(
            alerts=[alert_answer(one, now) for one in found.items],
            total_count=found.total,
            total_count_is_exact=found.is_total_exact,
            next=cursor_of(found.next),
        )
        return answer.with_etag(_etag(answer))

    async def get_alert(
        self, call: Call[AlertPath, NoParameters, NoParameters]
    ) -> AlertDetailsAnswer:
        """One alert."""
        found = await self.alerts.details(call.path.alert_id, by=call.actor)
        return alert_details_answer(found, self.clock())

    async def acknowledge(self, call: Call[AlertPath, NoParameters, NoParameters]) -> AlertAnswer:
        """Take care of an alert."""
        (after,) = await self.alerts.acknowledge([call.path.alert_id], by=call.actor)
        return alert_answer(after, self.clock())

    async def snooze(self, call: Call[AlertPath, NoParameters, SnoozeBody]) -> AlertAnswer:
        """Leave an alert untold for a time."""
        (after,) = await self.alerts.snooze(
            [call.path.alert_id], duration=call.body.length, by=call.actor
        )
        return alert_answer(after, self.clock())

    async def still_fine(self, call: Call[AlertPath, NoParameters, NoParameters]) -> AlertAnswer:
        """Say that what an alert tells is fine."""
        (after,) = await self.alerts.still_fine([call.path.alert_id], by=call.actor)
        return alert_answer(after, self.clock())

    def routes(self) -> list[AnyRoute]:
        """The routes of this module."""
        return [
            Route(
                method=Method.GET,
                path="/alerts",
                name="list_alerts",
                summary="A page of alerts, the newest first",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=NoParameters,
                query=AlertListQuery,
                body=NoParameters,
                answer=AlertList,
                handler=self.list_alerts,
                has_etag=True,
                description="With `If-None-Match` the answer is 304 until an alert of the page, or "
                "the number of alerts, changes; that time passes is no change.",
            ),
            Route(
                method=Method.GET,
                path="/alerts/{alert_id}",
                name="get_alert",
                summary="An alert, with what happened to it and the channels that wanted it",
                tag=_TAG,
                role=Role.VIEWER,
                action=Action.VIEW,
                path_parameters=AlertPath,
                query=NoParameters,
                body=NoParameters,
                answer=AlertDetailsAnswer,
                handler=self.get_alert,
            ),
            _act(
                "acknowledge",
                "acknowledge_alert",
                "Say that you take care of an alert",
                self.acknowledge,
            ),
            _act(
                "snooze",
                "snooze_alert",
                "Leave an alert untold for 1 minute to 7 days",
                self.snooze,
                body=SnoozeBody,
                description="If it is open then, it is told again.",
            ),
            _act(
                "still-fine",
                "mark_alert_fine",
                "Say that a silent run is fine",
                self.still_fine,
                description="It is told again after 30 minutes at the earliest.",
            ),
        ]


def _act(
    last: str,
    name: str,
    summary: str,
    handler: Any,
    *,
    body: type[Any] = NoParameters,
    description: str = "",
) -> AnyRoute:
    return Route(
        method=Method.POST,
        path=f"/alerts/{{alert_id}}/{last}",
        name=name,
        summary=summary,
        tag=_TAG,
        role=Role.RUNNER,
        action=Action.ACKNOWLEDGE,
        path_parameters=AlertPath,
        query=NoParameters,
        body=body,
        answer=AlertAnswer,
        handler=handler,
        description=f"An alert that has ended stays as it is. {description}".rstrip(),
    )


def _etag(page: AlertList) -> str:
    """Changes with everything that a page shows, but not as time passes: sentences count it."""
    shown = page.model_dump_json(exclude={"alerts": {"__all__": {"sentence"}}})
    return hashlib.sha256(shown.encode()).hexdigest()[:_ETAG_CHARS]
