"""Digests: what happened in a day or a week, for the channels that want one."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid4

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.subscription import DigestPeriod, Subscription
from core.domain.alerts.posts.digest import Digest
from core.domain.alerts.posts.digest_figures import DigestFigures, SlowRun
from core.domain.drawables import DrawableId, DrawableKind, DrawablePlace, DrawableRequest
from core.domain.feed import ChangeKind
from core.domain.redact import redact
from core.domain.runs.run import Run
from core.services.alerts.digest_times import DueDigest, due_digest
from core.services.context import ServiceContext
from core.store import changes
from core.store.alerts import digests, subscriptions
from core.store.runs import tasks
from core.store.slack import drawables

log = logging.getLogger(__name__)

_SLOWEST = 5
_MAX_WORKFLOWS = 10
_TASK_CHARS = 100


@dataclass(frozen=True)
class DigestService:
    """Writes digests when they are due, each once, and reads them.

    All methods raise `Unavailable` if the database cannot be reached.
    """

    context: ServiceContext

    async def write_due(self) -> int:
        """Write all digests that are due, each in a transaction of its own; returns the number."""
        now = self.context.clock()
        async with self.context.transaction() as session:
            wanted = [one for one in await subscriptions.active(session) if one.digest is not None]
            last = await digests.newest(session, [one.id for one in wanted]) if wanted else {}
        written = 0
        for subscription in wanted:
            due = due_digest(subscription, last=last.get(subscription.id), now=now)
            if due is not None:
                written += await self._write(subscription, due, now)
        return written

    async def digest(self, key: str) -> Digest | None:
        """The digest with this id, which is the key of its drawable; `None` if there is none."""
        try:
            digest_id = UUID(key)
        except ValueError:
            return None
        async with self.context.transaction() as session:
            return await digests.get(session, digest_id)

    async def _write(self, subscription: Subscription, due: DueDigest, now: datetime) -> bool:
        async with self.context.transaction() as session:
            figures = await figures_of(session, subscription, due)
            digest = Digest(
                id=uuid4(),
                subscription_id=subscription.id,
                team_id=subscription.team_id,
                channel_id=subscription.channel_id,
                period=subscription.digest or DigestPeriod.DAILY,
                since=due.since,
                until=due.until,
                figures=figures.to_json(),
            )
            if not await digests.add(session, digest, now=now):
                return False
            if subscription.is_muted(now):
                return True
            await _request(session, digest)
        log.info(
            "wrote the digest of %s for %s",
            digest.until,
            digest.channel_id,
            extra={
                "event": "digest.written",
                "digest_id": str(digest.id),
                "channel_id": digest.channel_id,
                "skipped": due.skipped,
            },
        )
        return True


async def figures_of(
    session: AsyncSession, subscription: Subscription, due: DueDigest
) -> DigestFigures:
    """The figures of a period and of the one before, for what a subscription is about."""
    wanted = subscription.filter
    within = digests.ended_within(wanted, since=due.since, until=due.until)
    kinds = subscription.chosen_kinds
    is_weekly = subscription.digest is DigestPeriod.WEEKLY
    return DigestFigures(
        runs=await digests.run_totals(session, *within),
        before=await digests.run_totals(
            session, *digests.ended_within(wanted, since=due.before, until=due.since)
        ),
        kills=await digests.kill_totals(session, wanted, since=due.since, until=due.until),
        slowest=tuple(
            await _slow_runs(session, await digests.slowest(session, *within, limit=_SLOWEST))
        ),
        failures=tuple(await digests.failures(session, *within, limit=_MAX_WORKFLOWS)),
        days=tuple(await digests.by_day(session, *within, time_zone=subscription.time_zone))
        if is_weekly
        else (),
        alerts_fired=await digests.alerts_fired(
            session, wanted, kinds, since=due.since, until=due.until
        ),
        alerts_open=await digests.alerts_open(session, wanted, kinds),
        skipped=due.skipped,
        workflow=wanted.workflow,
        repository=wanted.repository,
        owner=wanted.owner,
    )


async def _slow_runs(session: AsyncSession, found: Sequence[Run]) -> list[SlowRun]:
    about = await tasks.of_sessions(session, {run.session_id for run in found}) if found else {}
    return [
        SlowRun(
            run_id=run.run_id,
            about=_line(about[run.id].about if run.id in about else run.task_input),
            workflow=run.workflow_name,
            seconds=round(run.duration.total_seconds()) if run.duration is not None else 0,
            status=run.status,
        )
        for run in found
    ]


def _line(task: str) -> str:
    return redact(" ".join(task.split()))[:_TASK_CHARS]


async def _request(session: AsyncSession, digest: Digest) -> None:
    wanted = DrawableRequest(
        drawable=DrawableId(DrawableKind.DIGEST, str(digest.id)),
        place=DrawablePlace(team_id=digest.team_id, channel_id=digest.channel_id),
    )
    if await drawables.request(session, wanted):
        await changes.record(session, ChangeKind.DRAWABLE, str(wanted.drawable), "requested")
