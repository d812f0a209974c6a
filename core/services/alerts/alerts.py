"""Alerts as people and surfaces see them: read, acknowledged, snoozed."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import Action, Actor
from core.domain.alerts.details import AlertDetails
from core.domain.alerts.episode import Episode, acknowledge, snooze
from core.domain.alerts.errors import AlertNotFound, BadSnooze
from core.domain.alerts.history import AlertEvent, AlertEventRecord
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.alerts.message import AlertMessage
from core.domain.alerts.trends.readiness import TrendReadiness
from core.domain.feed import ChangeKind
from core.domain.paging import Page, PageKey
from core.services.alerts.requests import draw_again
from core.services.alerts.trending import readiness
from core.services.context import ServiceContext, audit_entry, require_permission
from core.services.runs import snapshots
from core.store import audit, changes
from core.store.alerts import deliveries, episodes, history, subscriptions
from core.store.runs import run_queries

MIN_SNOOZE = timedelta(minutes=1)
MAX_SNOOZE = timedelta(days=7)
# What "still fine" leaves a silent run; then it is told again if it is still silent.
STILL_FINE_FOR = timedelta(minutes=30)
# An event may be missing in a message that was sent so shortly after it.
UNSHOWN_GRACE = timedelta(seconds=10)


@dataclass(frozen=True)
class AlertService:
    """Reads alerts, and does what people do with them.

    All methods raise `Unavailable` if the database cannot be reached.
    """

    context: ServiceContext

    async def message(self, group_id: str) -> AlertMessage | None:
        """What one message about alerts is drawn from; `None` if there is nothing to show.

        Args:
            group_id: The id of its row in `alert_groups`, which is the key of its drawable.
        """
        found_id = _uuid(group_id)
        if found_id is None:
            return None
        async with self.context.transaction() as session:
            group = await deliveries.get_group(session, found_id)
            if group is None:
                return None
            told = await deliveries.of_group(session, found_id)
            alerts = await episodes.with_ids(session, [one.alert_id for one in told])
            if not alerts:
                return None
            runs = await run_queries.by_uuids(
                session, {alert.run_id for alert in alerts if alert.run_id is not None}
            )
            listed = await snapshots.of_listed_runs(session, runs)
            subscription = None
            if told[0].subscription_id is not None:
                subscription = await subscriptions.get(session, told[0].subscription_id)
            return AlertMessage(
                group=group,
                alerts=tuple(alerts),
                events=await history.of_alerts(session, [alert.id for alert in alerts]),
                runs={one.run.id: one for one in listed},
                told_at={one.alert_id: one.told_at or group.opened_at for one in told},
                broadcasts=subscription is not None and subscription.broadcasts,
                time_zone="UTC" if subscription is None else subscription.time_zone,
            )

    async def urgent(self, group_ids: Collection[str]) -> frozenset[str]:
        """Those of the messages in which something happened that is not shown yet.

        It runs at every poll of the drawing, so it is one query for all of them.
        """
        known = [known_id for one in group_ids if (known_id := _uuid(one)) is not None]
        async with self.context.transaction() as session:
            found = await deliveries.with_unshown_events(session, known, grace=UNSHOWN_GRACE)
            return frozenset(str(one) for one in found)

    async def page(
        self,
        *,
        by: Actor,
        kinds: Collection[AlertKind] = (),
        severities: Collection[Severity] = (),
        is_open: bool | None = None,
        run: str | None = None,
        after: PageKey | None = None,
        limit: int = 50,
    ) -> Page[Episode]:
        """Alerts that have fired, newest first.

        Raises:
            NotAllowed: If the person may not view runs.
            RunNotFound: If `run` names none.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            run_id = None if run is None else (await run_queries.resolve(session, run)).id
            return await episodes.page(
                session,
                kinds=kinds,
                severities=severities,
                is_open=is_open,
                run_id=run_id,
                after=after,
                limit=limit,
            )

    async def get(self, alert_id: UUID, *, by: Actor) -> Episode:
        """One alert.

        Raises:
            AlertNotFound: If there is none, or it never fired.
            NotAllowed: If the person may not view runs.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await episodes.get(session, alert_id)
            if found is None or not found.is_told:
                raise AlertNotFound(str(alert_id))
            return found

    async def trend_readiness(self, *, by: Actor) -> list[TrendReadiness]:
        """Whether each workflow of the last 30 days has enough runs for its trends, by name.

        Raises:
            NotAllowed: If the person may not view runs.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            return await readiness(session, self.context.clock())

    async def details(self, alert_id: UUID, *, by: Actor) -> AlertDetails:
        """One alert, with what happened to it and the channels that wanted it.

        Raises:
            AlertNotFound, NotAllowed: As for `get`.
        """
        async with self.context.transaction() as session:
            require_permission(by, Action.VIEW)
            found = await episodes.get(session, alert_id)
            if found is None or not found.is_told:
                raise AlertNotFound(str(alert_id))
            return AlertDetails(
                episode=found,
                events=(await history.of_alerts(session, [alert_id])).get(alert_id, ()),
                channels=await deliveries.channels_of(session, alert_id),
            )

    async def alerts_of(self, group_id: UUID) -> list[Episode]:
        """The alerts of a message, in the order in which they fired."""
        async with self.context.transaction() as session:
            told = await deliveries.of_group(session, group_id)
            return await episodes.with_ids(session, [one.alert_id for one in told])

    async def acknowledge(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        """Take care of alerts; those that have ended stay as they are.

        Returns:
            The alerts as they are now: an ended one was faster than the person.

        Raises:
            AlertNotFound: If one of them does not exist, or has not fired.
            NotAllowed: If the person may not.
        """
        return await self._act(
            alert_ids,
            by,
            AlertEvent.ACKNOWLEDGED,
            lambda alert, now: acknowledge(alert, by.name, now),
        )

    async def snooze(
        self, alert_ids: Collection[UUID], *, duration: timedelta, by: Actor
    ) -> list[Episode]:
        """Leave alerts untold for a time; they are told again if they are open then.

        Raises:
            BadSnooze: If the duration is not from a minute to 7 days.
            AlertNotFound, NotAllowed: As for `acknowledge`.
        """
        if not MIN_SNOOZE <= duration <= MAX_SNOOZE:
            raise BadSnooze(
                "duration",
                duration,
                user_message="An alert can be snoozed for 1 minute to 7 days.",
            )
        return await self._act(
            alert_ids,
            by,
            AlertEvent.SNOOZED,
            lambda alert, now: snooze(alert, by.name, now + duration),
        )

    async def still_fine(self, alert_ids: Collection[UUID], *, by: Actor) -> list[Episode]:
        """Say that a silent run is fine: it is told again after `STILL_FINE_FOR` at the earliest.

        Raises:
            AlertNotFound, NotAllowed: As for `acknowledge`.
        """
        return await self._act(
            alert_ids,
            by,
            AlertEvent.STILL_FINE,
            lambda alert, now: snooze(alert, by.name, now + STILL_FINE_FOR),
        )

    async def _act(
        self,
        alert_ids: Collection[UUID],
        by: Actor,
        what: AlertEvent,
        change: Callable[[Episode, datetime], Episode],
    ) -> list[Episode]:
        now = self.context.clock()
        async with self.context.transaction() as session:
            require_permission(by, Action.ACKNOWLEDGE)
            # Locked: an evaluation that resolves them meanwhile comes before or after as a whole.
            locked = await episodes.with_ids(session, alert_ids, locks=True)
            found = [alert for alert in locked if alert.is_told]
            missing = set(alert_ids) - {alert.id for alert in found}
            if missing:
                raise AlertNotFound(str(min(missing)))
            after = [change(alert, now) for alert in found]
            changed = [
                new for old, new in zip(found, after, strict=True) if new.version != old.version
            ]
            for alert in changed:
                await self._record(session, alert, what, by, now)
            await draw_again(
                session, await deliveries.groups_of(session, [alert.id for alert in changed])
            )
            return after

    async def _record(
        self, session: AsyncSession, alert: Episode, what: AlertEvent, by: Actor, now: datetime
    ) -> None:
        until = alert.snoozed_until if what is not AlertEvent.ACKNOWLEDGED else None
        await episodes.save(session, alert)
        await history.append(
            session,
            [
                AlertEventRecord(
                    alert_id=alert.id,
                    at=now,
                    what=what,
                    by=by.name,
                    data={} if until is None else {"until": until.isoformat()},
                )
            ],
        )
        await changes.record(session, ChangeKind.ALERT, str(alert.id), what.value)
        await audit.record(
            session,
            audit_entry(
                by,
                Action.ACKNOWLEDGE,
                now,
                alert=str(alert.id),
                kind=alert.kind.value,
                subject=str(alert.subject),
                what=what.value,
            ),
        )


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None
