"""Digests that were written, and the figures that they are made of."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.alerts.channels.subscription import AlertFilter
from core.domain.alerts.episode import OPEN_STATES
from core.domain.alerts.kinds import AlertKind, SubjectType
from core.domain.alerts.posts.digest import Digest
from core.domain.alerts.posts.digest_figures import DayFigures, KillFigures, WorkflowFailures
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.stats import RunStats
from core.store import stats
from core.store.runs.columns import to_run
from core.store.tables.alerts.episodes import AlertRow
from core.store.tables.alerts.subscriptions import DigestRow
from core.store.tables.runs import RunRow
from core.store.tables.terminations import TerminationRow
from core.store.tables.users import UserRow

# Ends of which a workflow is no cause.
_NO_FAILURES = (StopReason.MAX_TURNS, StopReason.BUDGET, StopReason.USAGE_LIMIT)


async def add(session: AsyncSession, digest: Digest, *, now: datetime) -> bool:
    """Add a digest; `False` if the subscription has one of this time."""
    added = await session.scalar(
        insert(DigestRow)
        .values(
            id=digest.id,
            subscription_id=digest.subscription_id,
            team_id=digest.team_id,
            channel_id=digest.channel_id,
            period=digest.period.value,
            since=digest.since,
            until=digest.until,
            figures=dict(digest.figures),
            created_at=now,
        )
        .on_conflict_do_nothing()
        .returning(DigestRow.id)
    )
    return added is not None


async def get(session: AsyncSession, digest_id: UUID) -> Digest | None:
    """One digest; `None` if there is none."""
    row = await session.scalar(select(DigestRow).where(DigestRow.id == digest_id))
    return None if row is None else row.to_digest()


async def newest(session: AsyncSession, subscription_ids: Collection[UUID]) -> dict[UUID, datetime]:
    """Until when the newest digest of each subscription goes; those without one are missing."""
    rows = await session.execute(
        select(DigestRow.subscription_id, func.max(DigestRow.until).label("until"))
        .where(DigestRow.subscription_id.in_(list(subscription_ids)))
        .group_by(DigestRow.subscription_id)
    )
    return {row.subscription_id: row.until for row in rows}


def ended_within(
    wanted: AlertFilter, *, since: datetime, until: datetime
) -> tuple[ColumnElement[bool], ...]:
    """Conditions: the runs that ended in `[since, until)` and pass a filter, by an index."""
    return (
        RunRow.completed_at >= since,
        RunRow.completed_at < until,
        *runs_that_pass(wanted),
    )


async def run_totals(session: AsyncSession, *conditions: ColumnElement[bool]) -> RunStats:
    """Ended runs by status and reason, and what they cost."""
    return await stats.totals_of_runs(session, *conditions)


async def kill_totals(
    session: AsyncSession, wanted: AlertFilter, *, since: datetime, until: datetime
) -> KillFigures:
    """The kills that were requested in `[since, until)`."""
    found = await stats.totals_of_kills(
        session,
        TerminationRow.requested_at >= since,
        TerminationRow.requested_at < until,
        *runs_that_pass(wanted),
    )
    return KillFigures(
        count=found.count,
        confirmed=found.confirmed,
        unconfirmed=found.unconfirmed,
        p95_ms=None if found.overall is None else found.overall.p95,
    )


async def slowest(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int
) -> Sequence[Run]:
    """The ended runs that took longest, the longest first."""
    rows = await session.scalars(
        select(RunRow)
        .where(*conditions, RunRow.duration_seconds > 0)
        .order_by(RunRow.duration_seconds.desc(), RunRow.run_id)
        .limit(limit)
    )
    return [to_run(row) for row in rows]


async def failures(
    session: AsyncSession, *conditions: ColumnElement[bool], limit: int
) -> list[WorkflowFailures]:
    """The workflows with failures, the most failures first."""
    failed = func.count().filter(
        RunRow.status == RunStatus.FAILED,
        or_(RunRow.stop_reason.is_(None), RunRow.stop_reason.not_in(_NO_FAILURES)),
    )
    rows = await session.execute(
        select(RunRow.workflow_name, failed.label("failures"), func.count().label("ended"))
        .where(*conditions)
        .group_by(RunRow.workflow_name)
        .having(failed > 0)
        .order_by(failed.desc(), RunRow.workflow_name)
        .limit(limit)
    )
    return [
        WorkflowFailures(workflow=row.workflow_name, failures=row.failures, ended=row.ended)
        for row in rows
    ]


async def by_day(
    session: AsyncSession, *conditions: ColumnElement[bool], time_zone: str
) -> list[DayFigures]:
    """Ended runs by day of a time zone, oldest first; days without runs are missing."""
    day = func.date(func.timezone(time_zone, RunRow.completed_at))
    counts = {
        status: func.count().filter(RunRow.status == status)
        for status in RunStatus
        if status.is_final
    }
    rows = await session.execute(
        select(day.label("day"), *(count.label(status.value) for status, count in counts.items()))
        .where(*conditions)
        .group_by(day)
        .order_by(day)
    )
    return [
        DayFigures(day=row.day, completed=row.completed, failed=row.failed, killed=row.killed)
        for row in rows
    ]


async def alerts_fired(
    session: AsyncSession,
    wanted: AlertFilter,
    kinds: Collection[AlertKind],
    *,
    since: datetime,
    until: datetime,
) -> dict[AlertKind, int]:
    """The alerts of these kinds that fired in `[since, until)`, by kind, the most first."""
    rows = await session.execute(
        select(AlertRow.kind, func.count().label("alerts"))
        .where(
            AlertRow.fired_at >= since,
            AlertRow.fired_at < until,
            AlertRow.kind.in_(sorted(kinds)),
            *_of_alerts(wanted),
        )
        .group_by(AlertRow.kind)
        .order_by(func.count().desc(), AlertRow.kind)
    )
    return {AlertKind(row.kind): row.alerts for row in rows}


async def alerts_open(
    session: AsyncSession, wanted: AlertFilter, kinds: Collection[AlertKind]
) -> int:
    """How many alerts of these kinds have fired and are open."""
    found: int | None = await session.scalar(
        select(func.count()).where(
            AlertRow.state.in_(sorted(OPEN_STATES)),
            AlertRow.fired_at.is_not(None),
            AlertRow.kind.in_(sorted(kinds)),
            *_of_alerts(wanted),
        )
    )
    return found or 0


def runs_that_pass(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    """Conditions of a filter by workflow, repository and owner; as `AlertFilter.matches`."""
    conditions: list[ColumnElement[bool]] = []
    if wanted.workflow is not None:
        conditions.append(RunRow.workflow_name == wanted.workflow)
    if wanted.repository is not None:
        conditions.append(_is_repository(RunRow.git_repo, wanted.repository))
    if wanted.owner is not None:
        owners = select(UserRow.id).where(UserRow.slack_user_id == wanted.owner)
        conditions.append(RunRow.user_id.in_(owners))
    return conditions


def _of_alerts(wanted: AlertFilter) -> list[ColumnElement[bool]]:
    def scope(name: str) -> Any:
        return AlertRow.scope[name].as_string()

    is_about_run = AlertRow.subject_type == SubjectType.RUN.value
    conditions: list[ColumnElement[bool]] = []
    if wanted.workflow is not None:
        conditions.append(or_(scope("workflow").is_(None), scope("workflow") == wanted.workflow))
    if wanted.repository is not None:
        conditions.append(
            or_(~is_about_run, _is_repository(scope("repository"), wanted.repository))
        )
    if wanted.owner is not None:
        conditions.append(or_(~is_about_run, scope("owner_id") == wanted.owner))
    if wanted.least_severity is not None:
        conditions.append(AlertRow.severity >= int(wanted.least_severity))
    return conditions


def _is_repository(address: Any, wanted: str) -> ColumnElement[bool]:
    """Whether an address is the wanted one, or ends with it after a slash or a colon."""
    have = func.regexp_replace(func.rtrim(func.lower(address), "/"), r"\.git$", "")
    want = wanted.lower().rstrip("/").removesuffix(".git")
    return and_(
        address.is_not(None),
        or_(
            have == want,
            have.endswith(f"/{want}", autoescape=True),
            have.endswith(f":{want}", autoescape=True),
        ),
    )
