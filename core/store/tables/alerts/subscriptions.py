"""Tables of what channels want: subscriptions to alerts, digests, and progress posts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Date, ForeignKey, Index, Integer, Interval, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter, DigestPeriod, Source, Subscription
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.alerts.posts.digest import Digest
from core.domain.alerts.posts.progress import ProgressPost
from core.store.tables.base import Row, check_in
from core.store.tables.types import COST, Json


class SubscriptionRow(Row):
    """One row of `alert_subscriptions`."""

    __tablename__ = "alert_subscriptions"
    __table_args__ = (
        CheckConstraint(check_in("source", Source), name="valid_subscription_source"),
        CheckConstraint(check_in("digest", DigestPeriod), name="valid_digest"),
        CheckConstraint("digest_hour BETWEEN 0 AND 23", name="valid_digest_hour"),
        CheckConstraint("least_severity BETWEEN 1 AND 3", name="valid_least_severity"),
        Index(
            "idx_alert_subscriptions_active",
            "team_id",
            "channel_id",
            postgresql_where=text("ended_at IS NULL"),
        ),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str] = mapped_column(String(32))
    source: Mapped[str] = mapped_column(String(50))
    kinds: Mapped[list[str]] = mapped_column(Json, server_default="[]")
    workflow: Mapped[str | None] = mapped_column(String(100))
    repository: Mapped[str | None] = mapped_column(String(500))
    owner: Mapped[str | None] = mapped_column(String(64))
    least_severity: Mapped[int | None]
    least_cost_usd: Mapped[Decimal | None] = mapped_column(COST)
    pending_for: Mapped[timedelta | None] = mapped_column(Interval)
    mention: Mapped[str | None] = mapped_column(String(100))
    broadcasts: Mapped[bool] = mapped_column(server_default=text("false"))
    time_zone: Mapped[str] = mapped_column(String(64), server_default="UTC")
    quiet_hours: Mapped[str | None] = mapped_column(String(20))
    digest: Mapped[str | None] = mapped_column(String(50))
    digest_hour: Mapped[int] = mapped_column(Integer, server_default="9")
    progress_every: Mapped[timedelta | None] = mapped_column(Interval)
    muted_until: Mapped[datetime | None]
    muted_by: Mapped[str | None]
    created_by: Mapped[str | None]
    created_by_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]
    ended_reason: Mapped[str | None] = mapped_column(String(100))

    def to_subscription(self) -> Subscription:
        """The domain value."""
        return Subscription(
            id=self.id,
            team_id=self.team_id,
            channel_id=self.channel_id,
            source=Source(self.source),
            kinds=frozenset(AlertKind(kind) for kind in self.kinds),
            filter=AlertFilter(
                workflow=self.workflow,
                repository=self.repository,
                owner=self.owner,
                least_severity=(
                    None if self.least_severity is None else Severity(self.least_severity)
                ),
                least_cost_usd=self.least_cost_usd,
            ),
            pending_for=self.pending_for,
            mention=self.mention,
            broadcasts=self.broadcasts,
            time_zone=self.time_zone,
            quiet_hours=(
                None
                if self.quiet_hours is None
                else QuietHours.parse(self.quiet_hours, time_zone=self.time_zone)
            ),
            digest=None if self.digest is None else DigestPeriod(self.digest),
            digest_hour=self.digest_hour,
            progress_every=self.progress_every,
            muted_until=self.muted_until,
            muted_by=self.muted_by,
            created_by=self.created_by,
            created_by_id=self.created_by_id,
            created_at=self.created_at,
            updated_at=self.updated_at,
            ended_at=self.ended_at,
            ended_reason=self.ended_reason,
        )


def subscription_values(subscription: Subscription) -> dict[str, Any]:
    """The columns of a subscription."""
    wanted = subscription.filter
    severity = wanted.least_severity
    return {
        "id": subscription.id,
        "team_id": subscription.team_id,
        "channel_id": subscription.channel_id,
        "source": subscription.source.value,
        "kinds": sorted(kind.value for kind in subscription.kinds),
        "workflow": wanted.workflow,
        "repository": wanted.repository,
        "owner": wanted.owner,
        "least_severity": None if severity is None else int(severity),
        "least_cost_usd": wanted.least_cost_usd,
        "pending_for": subscription.pending_for,
        "mention": subscription.mention,
        "broadcasts": subscription.broadcasts,
        "time_zone": subscription.time_zone,
        "quiet_hours": (
            None if subscription.quiet_hours is None else str(subscription.quiet_hours)
        ),
        "digest": None if subscription.digest is None else subscription.digest.value,
        "digest_hour": subscription.digest_hour,
        "progress_every": subscription.progress_every,
        "muted_until": subscription.muted_until,
        "muted_by": subscription.muted_by,
        "created_by": subscription.created_by,
        "created_by_id": subscription.created_by_id,
        "created_at": subscription.created_at,
        "updated_at": subscription.updated_at,
        "ended_at": subscription.ended_at,
        "ended_reason": subscription.ended_reason,
    }


class DigestRow(Row):
    """One row of `alert_digests`: a digest that a channel got, with its figures."""

    __tablename__ = "alert_digests"
    __table_args__ = (
        CheckConstraint(check_in("period", DigestPeriod), name="valid_digest_period"),
        Index("uq_alert_digests_due", "subscription_id", "until", unique=True),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    subscription_id: Mapped[UUID] = mapped_column(ForeignKey("alert_subscriptions.id"))
    team_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str] = mapped_column(String(32))
    period: Mapped[str] = mapped_column(String(50))
    since: Mapped[datetime]
    until: Mapped[datetime]
    figures: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    created_at: Mapped[datetime]

    def to_digest(self) -> Digest:
        """The domain value."""
        return Digest(
            id=self.id,
            subscription_id=self.subscription_id,
            team_id=self.team_id,
            channel_id=self.channel_id,
            period=DigestPeriod(self.period),
            since=self.since,
            until=self.until,
            figures=self.figures,
        )


class ProgressPostRow(Row):
    """One row of `run_progress_posts`: the progress of a run that posts it at intervals."""

    __tablename__ = "run_progress_posts"
    __table_args__ = (
        Index("idx_run_progress_posts_due", "due_at", postgresql_where=text("due_at IS NOT NULL")),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("workflow_runs.id"), primary_key=True)
    every: Mapped[timedelta] = mapped_column(Interval)
    due_at: Mapped[datetime | None]
    taken_at: Mapped[datetime | None]
    count: Mapped[int] = mapped_column(server_default="0")
    figures: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")

    def to_post(self) -> ProgressPost:
        """The domain value."""
        return ProgressPost(
            run_id=self.run_id,
            every=self.every,
            due_at=self.due_at,
            taken_at=self.taken_at,
            count=self.count,
            figures=self.figures,
        )


class RunDayRow(Row):
    """One row of `run_days`: the ended runs of one workflow on one day, in UTC.

    Attributes:
        judged: Runs that completed or failed, without those that a person stopped and those that
            a usage limit ended.
        failures: Those of the judged runs that failed, turn and budget limits apart.
        costed: Runs whose cost is known; `cost_usd` is their sum.
    """

    __tablename__ = "run_days"

    day: Mapped[date] = mapped_column(Date, primary_key=True)
    workflow_name: Mapped[str] = mapped_column(String(100), primary_key=True)
    ended: Mapped[int] = mapped_column(server_default="0")
    judged: Mapped[int] = mapped_column(server_default="0")
    failures: Mapped[int] = mapped_column(server_default="0")
    costed: Mapped[int] = mapped_column(server_default="0")
    cost_usd: Mapped[Decimal] = mapped_column(COST, server_default="0")
