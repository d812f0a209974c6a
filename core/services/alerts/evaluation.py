"""The evaluation of alerts: one look at everything, in one transaction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.detectors.limits import AlertLimits
from core.domain.alerts.episode import FLAPPING_WINDOW, Episode
from core.domain.alerts.history import AlertEvent, AlertEventRecord, events_between
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.feed import ChangeKind
from core.domain.meter import NO_METER, Meter
from core.services.alerts.judging import Judged, conditions_of, judge
from core.services.alerts.lists import release_held
from core.services.alerts.observing import observe
from core.services.alerts.telling import tell
from core.services.alerts.trending import take_in
from core.services.context import ServiceContext
from core.store import changes
from core.store.alerts import episodes, history, subscriptions

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """What one evaluation did.

    Attributes:
        was_free: Whether it took place; another process may be evaluating at that moment.
        fired: Alerts that began to be told.
        resolved: Alerts that ended.
    """

    was_free: bool
    fired: int = 0
    resolved: int = 0


@dataclass(frozen=True)
class AlertEvaluation:
    """Looks at runs, workers, the queue and Slack, and keeps alerts and their messages true.

    Attributes:
        limits: The team's limits.
        new_id: Makes the ids of rows.
        meter: Hears of each evaluation.
    """

    context: ServiceContext
    limits: AlertLimits = field(default_factory=AlertLimits)
    new_id: Callable[[], UUID] = uuid4
    meter: Meter = NO_METER

    async def evaluate(self) -> Evaluated:
        """Look once, and tell what has changed.

        Everything happens in one transaction: an evaluation that is cut short has done nothing,
        and the next one does it all.

        Raises:
            Unavailable: If the database cannot be reached.
        """
        async with self.context.transaction() as session:
            if not await episodes.try_lock_evaluation(session):
                return Evaluated(was_free=False)
            now = self.context.clock()
            judged = await self._judge(session, now)
        self.meter.alerts_evaluated(now)
        fired = [one.after for one in judged if _has_fired(one)]
        for episode in fired:
            log.info(
                "alert: %s of %s",
                episode.kind,
                episode.subject,
                extra={
                    "event": "alert.fired",
                    "alert_id": str(episode.id),
                    "kind": episode.kind.value,
                    "subject": str(episode.subject),
                },
            )
        ended = sum(not one.after.is_open and one.after.is_told for one in judged)
        return Evaluated(was_free=True, fired=len(fired), resolved=ended)

    async def _judge(self, session: AsyncSession, now: datetime) -> Sequence[Judged]:
        present = await episodes.open_episodes(session)
        wanted = await subscriptions.active(session)
        observed = await observe(session, now)
        trends = await take_in(session, observed.ended, present, now)
        cost_limit = _cost_limit(wanted, self.limits)
        conditions = conditions_of(observed, trends, self.limits, cost_limit, now)
        known = {episode.key for episode in present}
        earlier = await episodes.fired_counts(
            session,
            [one.key for one in conditions if one.key not in known],
            since=now - FLAPPING_WINDOW,
        )
        judged = judge(
            present, observed, trends, conditions, now, new_id=self.new_id, earlier=earlier
        )
        woken = await _save(session, judged, present, now)
        critical = {one.after.id for one in judged if _has_become_critical(one)}
        await release_held(session, wanted, now, at_once=critical)
        after = {episode.id: episode for episode in present}
        after.update((one.after.id, one.after) for one in judged)
        changed = {one.after.id for one in judged if one.before is not None} | woken
        await tell(
            session,
            list(after.values()),
            wanted,
            now,
            changed=changed,
            cost_limit=self.limits.cost_usd,
        )
        return judged


def _cost_limit(wanted: Sequence[Subscription], limits: AlertLimits) -> Decimal:
    """The lowest cost that anybody wants to be told of."""
    named = [
        one.filter.least_cost_usd
        for one in wanted
        if one.filter.least_cost_usd is not None and AlertKind.COST in one.chosen_kinds
    ]
    return min([limits.cost_usd, *named])


def _has_become_critical(judged: Judged) -> bool:
    before = Severity.INFO if judged.before is None else judged.before.severity
    return before < Severity.CRITICAL <= judged.after.severity


def _has_fired(judged: Judged) -> bool:
    return judged.after.is_told and (judged.before is None or not judged.before.is_told)


async def _save(
    session: AsyncSession, judged: Sequence[Judged], present: Sequence[Episode], now: datetime
) -> set[UUID]:
    """Write what has changed, and what happened; returns the alerts whose snooze has ended."""
    await episodes.add(session, [one.after for one in judged if one.before is None])
    for one in judged:
        if one.before is not None:
            await episodes.save(session, one.after)
    events = [event for one in judged for event in events_between(one.before, one.after, now)]
    ended = {one.after.id for one in judged if not one.after.is_open}
    woken = [
        episode
        for episode in present
        if episode.id not in ended
        and episode.snoozed_until is not None
        and not episode.is_snoozed(now)
    ]
    for episode in woken:
        await episodes.end_snooze(session, episode.id)
        events.append(AlertEventRecord(alert_id=episode.id, at=now, what=AlertEvent.SNOOZE_ENDED))
    await history.append(session, events)
    for event in events:
        await changes.record(session, ChangeKind.ALERT, str(event.alert_id), event.what.value)
    return {episode.id for episode in woken}
