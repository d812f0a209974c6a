"""The figures of a digest, and their JSON: they are taken once and never change."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any

from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import RunStatus, StopReason
from core.domain.runs.stats import RunStats, Spend


@dataclass(frozen=True, kw_only=True)
class KillFigures:
    """The kills that were requested in a period.

    Attributes:
        p95_ms: The 95th percentile from request to proof; `None` if none was measured.
    """

    count: int = 0
    confirmed: int = 0
    unconfirmed: int = 0
    p95_ms: float | None = None


@dataclass(frozen=True, kw_only=True)
class SlowRun:
    """One of the runs that took longest."""

    run_id: str
    about: str
    workflow: str
    seconds: int
    status: RunStatus


@dataclass(frozen=True, kw_only=True)
class WorkflowFailures:
    """How many of the ended runs of a workflow failed; turn and budget limits are no failures."""

    workflow: str
    failures: int
    ended: int


@dataclass(frozen=True, kw_only=True)
class DayFigures:
    """The runs that ended on one day, in the digest's time zone."""

    day: date
    completed: int = 0
    failed: int = 0
    killed: int = 0


@dataclass(frozen=True, kw_only=True)
class DigestFigures:
    """What a digest tells.

    Attributes:
        runs: The runs that ended in the period.
        before: Those of the period before.
        slowest: The longest runs, the longest first.
        failures: By workflow, the most failures first; workflows without are left out.
        days: One entry for each day with runs; only of a weekly digest.
        alerts_fired: The alerts that fired in the period, by kind.
        alerts_open: The alerts that are open when it is written.
        skipped: How many digests before this one were not written, because no bot was running.
        workflow: What the subscription restricts it to, as are `repository` and `owner` (a Slack
            id); `None` is no restriction.
    """

    runs: RunStats = field(default_factory=RunStats)
    before: RunStats = field(default_factory=RunStats)
    kills: KillFigures = field(default_factory=KillFigures)
    slowest: tuple[SlowRun, ...] = ()
    failures: tuple[WorkflowFailures, ...] = ()
    days: tuple[DayFigures, ...] = ()
    alerts_fired: Mapping[AlertKind, int] = field(default_factory=dict)
    alerts_open: int = 0
    skipped: int = 0
    workflow: str | None = None
    repository: str | None = None
    owner: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The value in the digest's row."""
        return {
            "runs": _runs_json(self.runs),
            "before": _runs_json(self.before),
            "kills": {
                "count": self.kills.count,
                "confirmed": self.kills.confirmed,
                "unconfirmed": self.kills.unconfirmed,
                "p95_ms": self.kills.p95_ms,
            },
            "slowest": [
                {
                    "run_id": one.run_id,
                    "about": one.about,
                    "workflow": one.workflow,
                    "seconds": one.seconds,
                    "status": one.status.value,
                }
                for one in self.slowest
            ],
            "failures": [
                {"workflow": one.workflow, "failures": one.failures, "ended": one.ended}
                for one in self.failures
            ],
            "days": [
                {
                    "day": one.day.isoformat(),
                    "completed": one.completed,
                    "failed": one.failed,
                    "killed": one.killed,
                }
                for one in self.days
            ],
            "alerts_fired": {kind.value: count for kind, count in self.alerts_fired.items()},
            "alerts_open": self.alerts_open,
            "skipped": self.skipped,
            "workflow": self.workflow,
            "repository": self.repository,
            "owner": self.owner,
        }

    @classmethod
    def of_json(cls, stored: Mapping[str, Any]) -> DigestFigures:
        """Read the value in a digest's row."""
        kills = stored["kills"]
        return cls(
            runs=_runs(stored["runs"]),
            before=_runs(stored["before"]),
            kills=KillFigures(
                count=kills["count"],
                confirmed=kills["confirmed"],
                unconfirmed=kills["unconfirmed"],
                p95_ms=kills["p95_ms"],
            ),
            slowest=tuple(
                SlowRun(
                    run_id=one["run_id"],
                    about=one["about"],
                    workflow=one["workflow"],
                    seconds=one["seconds"],
                    status=RunStatus(one["status"]),
                )
                for one in stored["slowest"]
            ),
            failures=tuple(
                WorkflowFailures(
                    workflow=one["workflow"], failures=one["failures"], ended=one["ended"]
                )
                for one in stored["failures"]
            ),
            days=tuple(
                DayFigures(
                    day=date.fromisoformat(one["day"]),
                    completed=one["completed"],
                    failed=one["failed"],
                    killed=one["killed"],
                )
                for one in stored["days"]
            ),
            alerts_fired={AlertKind(kind): count for kind, count in stored["alerts_fired"].items()},
            alerts_open=stored["alerts_open"],
            skipped=stored["skipped"],
            workflow=stored["workflow"],
            repository=stored["repository"],
            owner=stored["owner"],
        )


def _runs_json(runs: RunStats) -> dict[str, Any]:
    spend = runs.spend
    return {
        "by_status": {status.value: count for status, count in runs.by_status.items()},
        "by_stop_reason": {reason.value: count for reason, count in runs.by_stop_reason.items()},
        "attention": runs.attention,
        # Text, because a number of JSON can lose digits.
        "reported_usd": str(spend.reported_usd),
        "reported_runs": spend.reported_runs,
        "estimated_usd": str(spend.estimated_usd),
        "estimated_runs": spend.estimated_runs,
        "unknown_runs": spend.unknown_runs,
    }


def _runs(stored: Mapping[str, Any]) -> RunStats:
    reasons = {StopReason(name): count for name, count in stored["by_stop_reason"].items()}
    return RunStats(
        by_status={
            status: stored["by_status"][status.value]
            for status in RunStatus
            if status.value in stored["by_status"]
        },
        # Postgres keeps no order of keys.
        by_stop_reason=dict(sorted(reasons.items(), key=lambda one: (-one[1], one[0]))),
        attention=stored["attention"],
        spend=Spend(
            reported_usd=Decimal(stored["reported_usd"]),
            reported_runs=stored["reported_runs"],
            estimated_usd=Decimal(stored["estimated_usd"]),
            estimated_runs=stored["estimated_runs"],
            unknown_runs=stored["unknown_runs"],
        ),
    )
