"""Tables of alerts: their episodes, what happened to them, and what channels were told."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Identity, Index, String, text
from sqlalchemy.orm import Mapped, mapped_column

from core.domain.alerts.channels.delivery import AlertGroup, GroupType, Handling
from core.domain.alerts.condition import Scope
from core.domain.alerts.episode import OPEN_STATES, AlertState, Episode, Resolution
from core.domain.alerts.history import AlertEvent, AlertEventRecord
from core.domain.alerts.kinds import AlertKind, Severity, Subject, SubjectType
from core.store.tables.base import Row, check_in

IS_OPEN = text(check_in("state", OPEN_STATES))


class AlertRow(Row):
    """One row of `alerts`: an episode of one subject in a state."""

    __tablename__ = "alerts"
    __table_args__ = (
        CheckConstraint(check_in("state", AlertState), name="valid_alert_state"),
        CheckConstraint(check_in("subject_type", SubjectType), name="valid_subject_type"),
        CheckConstraint(check_in("resolution", Resolution), name="valid_resolution"),
        CheckConstraint("severity BETWEEN 1 AND 3", name="valid_severity"),
        Index(
            "uq_alerts_open",
            "kind",
            "subject_type",
            "subject_id",
            unique=True,
            postgresql_where=IS_OPEN,
        ),
        Index("idx_alerts_fired_at", "fired_at", postgresql_where=text("fired_at IS NOT NULL")),
        # What has ended is deleted after a time.
        Index(
            "idx_alerts_resolved_at",
            "resolved_at",
            postgresql_where=text("resolved_at IS NOT NULL"),
        ),
        Index("idx_alerts_subject", "kind", "subject_type", "subject_id", "fired_at"),
        Index("idx_alerts_run_id", "run_id", postgresql_where=text("run_id IS NOT NULL")),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(50))
    subject_type: Mapped[str] = mapped_column(String(50))
    subject_id: Mapped[str] = mapped_column(String(255))
    state: Mapped[str] = mapped_column(String(50))
    severity: Mapped[int]
    opened_at: Mapped[datetime]
    observed_at: Mapped[datetime]
    fired_at: Mapped[datetime | None]
    recovering_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    resolution: Mapped[str | None] = mapped_column(String(50))
    occurrences: Mapped[int] = mapped_column(server_default="1")
    is_unstable: Mapped[bool] = mapped_column(server_default=text("false"))
    evidence: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    scope: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")
    run_id: Mapped[UUID | None] = mapped_column(ForeignKey("workflow_runs.id"))
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str | None]
    snoozed_until: Mapped[datetime | None]
    snoozed_by: Mapped[str | None]
    version: Mapped[int] = mapped_column(BigInteger, server_default="1")

    def to_episode(self) -> Episode:
        """The domain value."""
        return Episode(
            id=self.id,
            kind=AlertKind(self.kind),
            subject=Subject(type=SubjectType(self.subject_type), id=self.subject_id),
            state=AlertState(self.state),
            severity=Severity(self.severity),
            opened_at=self.opened_at,
            observed_at=self.observed_at,
            fired_at=self.fired_at,
            recovering_at=self.recovering_at,
            resolved_at=self.resolved_at,
            resolution=None if self.resolution is None else Resolution(self.resolution),
            occurrences=self.occurrences,
            is_unstable=self.is_unstable,
            evidence=self.evidence,
            scope=_to_scope(self.scope),
            run_id=self.run_id,
            acknowledged_at=self.acknowledged_at,
            acknowledged_by=self.acknowledged_by,
            snoozed_until=self.snoozed_until,
            snoozed_by=self.snoozed_by,
            version=self.version,
        )


def alert_values(episode: Episode) -> dict[str, Any]:
    """The columns of an episode."""
    scope = episode.scope
    return {
        "id": episode.id,
        "kind": episode.kind.value,
        "subject_type": episode.subject.type.value,
        "subject_id": episode.subject.id,
        "state": episode.state.value,
        "severity": int(episode.severity),
        "opened_at": episode.opened_at,
        "observed_at": episode.observed_at,
        "fired_at": episode.fired_at,
        "recovering_at": episode.recovering_at,
        "resolved_at": episode.resolved_at,
        "resolution": None if episode.resolution is None else episode.resolution.value,
        "occurrences": episode.occurrences,
        "is_unstable": episode.is_unstable,
        "evidence": dict(episode.evidence),
        "scope": {
            "workflow": scope.workflow,
            "repository": scope.repository,
            "owner_id": scope.owner_id,
            "owner_name": scope.owner_name,
            "cost_usd": None if scope.cost_usd is None else str(scope.cost_usd),
        },
        "run_id": episode.run_id,
        "acknowledged_at": episode.acknowledged_at,
        "acknowledged_by": episode.acknowledged_by,
        "snoozed_until": episode.snoozed_until,
        "snoozed_by": episode.snoozed_by,
        "version": episode.version,
    }


def _to_scope(stored: Mapping[str, Any]) -> Scope:
    cost = stored.get("cost_usd")
    return Scope(
        workflow=stored.get("workflow"),
        repository=stored.get("repository"),
        owner_id=stored.get("owner_id"),
        owner_name=stored.get("owner_name"),
        cost_usd=None if cost is None else Decimal(cost),
    )


class AlertEventRow(Row):
    """One row of `alert_events`: something that happened to an alert, for its thread."""

    __tablename__ = "alert_events"
    __table_args__ = (
        CheckConstraint(check_in("what", AlertEvent), name="valid_alert_event"),
        Index("idx_alert_events_alert_id", "alert_id", "id"),
    )

    id: Mapped[int] = mapped_column(BigInteger, Identity(always=True), primary_key=True)
    alert_id: Mapped[UUID] = mapped_column(ForeignKey("alerts.id", ondelete="CASCADE"))
    at: Mapped[datetime]
    what: Mapped[str] = mapped_column(String(50))
    by: Mapped[str | None]
    data: Mapped[Mapping[str, Any]] = mapped_column(server_default="{}")

    def to_record(self) -> AlertEventRecord:
        """The domain value."""
        return AlertEventRecord(
            id=self.id,
            alert_id=self.alert_id,
            at=self.at,
            what=AlertEvent(self.what),
            by=self.by,
            data=self.data,
        )


class AlertGroupRow(Row):
    """One row of `alert_groups`: one message of a channel, about one or more alerts."""

    __tablename__ = "alert_groups"
    __table_args__ = (
        CheckConstraint(check_in("type", GroupType), name="valid_group_type"),
        Index("idx_alert_groups_channel", "team_id", "channel_id", "opened_at"),
        Index("idx_alert_groups_opened_at", "opened_at"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True)
    team_id: Mapped[str] = mapped_column(String(32))
    channel_id: Mapped[str] = mapped_column(String(32))
    type: Mapped[str] = mapped_column(String(50))
    kind: Mapped[str | None] = mapped_column(String(50))
    opened_at: Mapped[datetime]
    members: Mapped[int] = mapped_column(server_default="1")
    mention: Mapped[str | None]

    def to_group(self) -> AlertGroup:
        """The domain value."""
        return AlertGroup(
            id=self.id,
            team_id=self.team_id,
            channel_id=self.channel_id,
            type=GroupType(self.type),
            opened_at=self.opened_at,
            kind=None if self.kind is None else AlertKind(self.kind),
            members=self.members,
            mention=self.mention,
        )


class AlertDeliveryRow(Row):
    """One row of `alert_deliveries`: what became of one alert in one channel."""

    __tablename__ = "alert_deliveries"
    __table_args__ = (
        CheckConstraint(check_in("handling", Handling), name="valid_handling"),
        Index("idx_alert_deliveries_group_id", "group_id"),
        Index(
            "idx_alert_deliveries_held", "held_until", postgresql_where=text("handling = 'held'")
        ),
    )

    alert_id: Mapped[UUID] = mapped_column(
        ForeignKey("alerts.id", ondelete="CASCADE"), primary_key=True
    )
    team_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    channel_id: Mapped[str] = mapped_column(String(32), primary_key=True)
    handling: Mapped[str] = mapped_column(String(50))
    group_id: Mapped[UUID | None] = mapped_column(ForeignKey("alert_groups.id", ondelete="CASCADE"))
    subscription_id: Mapped[UUID | None] = mapped_column(ForeignKey("alert_subscriptions.id"))
    held_until: Mapped[datetime | None]
    created_at: Mapped[datetime]
