"""Lets a drawn week happen on real Postgres, with an evaluation at each tick."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from sqlalchemy import text

from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.channels.subscription import AlertFilter, Subscription
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.fleet.workers import QueueReason, WorkerRecord, WorkerState
from core.domain.kills.termination import Phase, ProcessIdentity, Termination
from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.outcome import OutcomeReason, outcome_of
from core.domain.runs.request import Place
from core.domain.runs.run import Run, StopReason, WaitingOn
from core.store import terminations, users
from core.store.alerts import run_days
from core.store.alerts.run_days import DayTotal
from core.store.fleet import workers
from core.store.runs import runs
from tests.alerts.replay.channels import SUBSCRIPTIONS
from tests.alerts.replay.crashes import Crash, crashing
from tests.alerts.replay.facts import TEAM, Event, Week, What, run_id_of
from tests.alerts.world import RUNNER, AlertWorld
from tests.database import stored_run

_BEATS = text("UPDATE workers SET heartbeat_at = :now WHERE worker_id = ANY(:alive)")
_SLACK_AT = text("UPDATE slack_health SET at = :now WHERE outdated > 0")
_SLACK = text(
    "INSERT INTO slack_health (team_id, at, outdated, oldest_at)"
    " VALUES ('T1', :now, :outdated, :oldest)"
    " ON CONFLICT (team_id) DO UPDATE SET at = excluded.at, outdated = excluded.outdated,"
    " oldest_at = excluded.oldest_at"
)
_OPEN = text(
    "SELECT id FROM alerts WHERE kind = :kind AND subject_id = :subject AND resolved_at IS NULL"
    " AND fired_at IS NOT NULL"
)


@dataclass
class Player:
    """One week in one database.

    Attributes:
        looked: The ticks whose evaluation was committed.
        crashes: How the evaluation at a tick is cut short.
        cut: How many evaluations were cut short.
    """

    world: AlertWorld
    week: Week
    crashes: dict[datetime, Crash] = field(default_factory=dict)
    looked: list[datetime] = field(default_factory=list)
    cut: int = 0
    runs: dict[int, Run] = field(default_factory=dict)
    attempts: dict[int, int] = field(default_factory=dict)
    awaited: dict[int, Awaited] = field(default_factory=dict)
    kills: dict[int, Termination] = field(default_factory=dict)
    alive: set[str] = field(default_factory=set)
    owners: dict[str, UUID] = field(default_factory=dict)
    subscriptions: dict[str, UUID] = field(default_factory=dict)

    async def play(self) -> None:
        """Let everything happen."""
        await self._past()
        events = iter(self.week.events)
        upcoming = next(events, None)
        for tick in self.week.ticks:
            while upcoming is not None and upcoming.at < tick:
                self.world.now = upcoming.at
                await getattr(self, f"_{upcoming.what.value}")(upcoming)
                upcoming = next(events, None)
            self.world.now = tick
            await self._report()
            await self._evaluate(tick)

    async def _evaluate(self, tick: datetime) -> None:
        crash = self.crashes.get(tick)
        if crash is not None:
            await crashing(self.world, crash)
            self.cut += 1
            return
        done = await self.world.evaluate()
        assert done.was_free
        self.looked.append(tick)

    async def _past(self) -> None:
        async with self.world.database.sessions.begin() as session:
            await run_days.add(
                session,
                [
                    DayTotal(
                        day=day.day,
                        workflow=day.workflow,
                        ended=day.judged,
                        judged=day.judged,
                        failures=day.failures,
                        costed=day.judged,
                        cost_usd=Decimal(day.cost_cents) / 100,
                    )
                    for day in self.week.past
                ],
            )
            for owner in ("U1", "U2", "U3"):
                user = await users.ensure(
                    session, slack_team_id=TEAM, slack_user_id=owner, name=owner, now=self.world.now
                )
                self.owners[owner] = user.id

    async def _report(self) -> None:
        async with self.world.database.sessions.begin() as session:
            await session.execute(_BEATS, {"now": self.world.now, "alive": sorted(self.alive)})
            await session.execute(_SLACK_AT, {"now": self.world.now})

    # Workers

    def _record(self, event: Event, state: WorkerState) -> WorkerRecord:
        now = self.world.now
        return WorkerRecord(
            worker_id=_worker_id(event),
            node=event.name,
            host=f"{event.name}#boot",
            slots=4,
            state=state,
            started_at=now,
            heartbeat_at=now,
            stopped_at=now if state is WorkerState.GONE else None,
        )

    async def _worker_up(self, event: Event) -> None:
        record = self._record(event, WorkerState.UP)
        async with self.world.database.sessions.begin() as session:
            await workers.mark_predecessors_gone(session, record)
            await workers.record_heartbeat(session, record)
        self.alive.add(record.worker_id)

    async def _worker_drains(self, event: Event) -> None:
        async with self.world.database.sessions.begin() as session:
            await workers.record_heartbeat(session, self._record(event, WorkerState.DRAINING))

    async def _worker_stops(self, event: Event) -> None:
        self.alive.discard(_worker_id(event))
        async with self.world.database.sessions.begin() as session:
            await workers.record_heartbeat(session, self._record(event, WorkerState.GONE))

    async def _worker_dies(self, event: Event) -> None:
        self.alive.discard(_worker_id(event))

    async def _worker_declared_lost(self, event: Event) -> None:
        now = self.world.now
        async with self.world.database.sessions.begin() as session:
            await workers.mark_gone(session, before=now - timedelta(seconds=45), now=now)

    # Runs

    async def _created(self, event: Event) -> None:
        assert event.run is not None
        budget = event.data["budget_cents"]
        parent = event.data["parent"]
        run_id = run_id_of(event.run)
        fields: dict[str, Any] = {}
        if parent is not None:
            before = self.runs[parent]
            fields = {"parent_run_id": before.id, "session_id": before.session_id}
        self.runs[event.run] = await stored_run(
            self.world.database,
            run_id=run_id,
            thread_key=run_id,
            workflow_name=event.data["workflow"],
            git_repo=event.data["repository"],
            user_id=self.owners[event.data["owner"]],
            budget_usd=None if budget is None else Decimal(budget) / 100,
            created_at=self.world.now,
            updated_at=self.world.now,
            **fields,
        )
        self.attempts[event.run] = 1

    async def _change(self, event: Event, **changes: Any) -> None:
        assert event.run is not None
        await self.world.change(self.runs[event.run], **changes)

    async def _held(self, event: Event) -> None:
        await self._change(event, queue_reason=QueueReason.FLEET)

    async def _released(self, event: Event) -> None:
        await self._change(event, queue_reason=None)

    async def _started(self, event: Event) -> None:
        assert event.run is not None
        async with self.world.database.sessions.begin() as session:
            await runs.begin(
                session,
                run_id_of(event.run),
                attempt=self.attempts[event.run],
                worker_id=_worker_id(event),
                now=self.world.now,
            )
        self.awaited[event.run] = Awaited(
            kind=AwaitedKind.WORKSPACE, since=self.world.now, heard_at=self.world.now
        )

    async def _hear(self, event: Event, awaited: Awaited, waiting_on: WaitingOn | None) -> None:
        assert event.run is not None
        self.awaited[event.run] = awaited
        await self._change(
            event,
            metadata={AWAITED_KEY: awaited.to_json()},
            last_activity_at=awaited.heard_at,
            waiting_on=waiting_on,
        )

    async def _heard(self, event: Event) -> None:
        now, kind = self.world.now, AwaitedKind(event.data["kind"])
        awaited = Awaited(kind=kind, since=now, heard_at=now, name=event.data["tool"])
        await self._hear(event, awaited, None)

    async def _output(self, event: Event) -> None:
        assert event.run is not None
        present = self.awaited[event.run]
        awaited = Awaited(
            kind=present.kind,
            since=present.since,
            heard_at=present.heard_at,
            name=present.name,
            output_at=self.world.now,
        )
        await self._hear(event, awaited, None)

    async def _waits(self, event: Event) -> None:
        now = self.world.now
        awaited = Awaited(kind=AwaitedKind.TOOL, since=now, heard_at=now, name="Bash: make")
        await self._hear(event, awaited, WaitingOn(event.data["on"]))

    async def _cost(self, event: Event) -> None:
        await self._change(event, cost_usd=Decimal(event.data["cents"]) / 100)

    async def _requeued(self, event: Event) -> None:
        assert event.run is not None
        async with self.world.database.sessions.begin() as session:
            await runs.requeue(
                session,
                run_id_of(event.run),
                attempt=self.attempts[event.run],
                now=self.world.now,
            )
        self.attempts[event.run] += 1

    async def _ended(self, event: Event) -> None:
        assert event.run is not None
        data = event.data
        reason = StopReason(data["reason"])
        final: dict[str, Any] = {}
        if data["cents"] is not None:
            final["cost_usd"] = Decimal(data["cents"]) / 100
        if reason is StopReason.SUCCESS:
            reasons = tuple(OutcomeReason(one) for one in data["reasons"])
            final |= {"outcome_reasons": reasons, "outcome": outcome_of(reasons)}
        if data["is_measured_later"]:
            final["work_due_at"] = self.world.now + timedelta(minutes=5)
        async with self.world.database.sessions.begin() as session:
            await runs.finish(
                session,
                run_id_of(event.run),
                attempt=None if reason is StopReason.KILLED else self.attempts[event.run],
                stop_reason=reason,
                now=self.world.now,
                **final,
            )

    async def _measured(self, event: Event) -> None:
        assert event.run is not None
        async with self.world.database.sessions.begin() as session:
            await runs.settle_work(session, run_id_of(event.run), now=self.world.now)

    async def _kill_requested(self, event: Event) -> None:
        assert event.run is not None
        run = self.runs[event.run]
        async with self.world.database.sessions.begin() as session:
            await runs.request_kill(session, run.run_id, now=self.world.now)
            self.kills[event.run] = await terminations.open_or_join(
                session,
                Termination(
                    id=run.id, run_id=run.id, phase=Phase.REQUESTED, requested_at=self.world.now
                ),
            )

    async def _kill_unconfirmed(self, event: Event) -> None:
        await self._kill_phase(
            event, Phase.UNCONFIRMED, (ProcessIdentity(pid=7, started_ticks=7, name="make"),)
        )

    async def _kill_confirmed(self, event: Event) -> None:
        await self._kill_phase(event, Phase.CONFIRMED, ())

    async def _kill_phase(
        self, event: Event, phase: Phase, survivors: tuple[ProcessIdentity, ...]
    ) -> None:
        assert event.run is not None
        async with self.world.database.sessions.begin() as session:
            await terminations.advance(
                session,
                self.kills[event.run].id,
                phase,
                now=self.world.now,
                survivors=survivors,
            )

    # Slack, channels and people

    async def _slack_behind(self, event: Event) -> None:
        await self._slack(event.data["outdated"], event.data["oldest"])

    async def _slack_right(self, event: Event) -> None:
        await self._slack(0, None)

    async def _slack(self, outdated: int, oldest: datetime | None) -> None:
        async with self.world.database.sessions.begin() as session:
            await session.execute(
                _SLACK, {"now": self.world.now, "outdated": outdated, "oldest": oldest}
            )

    async def _subscribed(self, event: Event) -> None:
        channel, wishes = next(
            (channel, wishes) for name, channel, wishes in SUBSCRIPTIONS if name == event.name
        )
        made = await self.world.subscribe(channel, **wishes_of(wishes))
        assert isinstance(made, Subscription)
        self.subscriptions[event.name] = made.id

    async def _unsubscribed(self, event: Event) -> None:
        await self.world.subscriptions.unsubscribe([self.subscriptions[event.name]], by=RUNNER)

    async def _muted(self, event: Event) -> None:
        channel = next(channel for name, channel, _ in SUBSCRIPTIONS if name == event.name)
        await self.world.subscriptions.mute(
            Place(team_id=TEAM, channel_id=channel),
            duration=timedelta(hours=event.data["hours"]),
            by=RUNNER,
        )

    async def _open_alerts(self, event: Event) -> list[UUID]:
        assert event.run is not None
        named = {"kind": event.data["kind"], "subject": run_id_of(event.run)}
        async with self.world.database.sessions() as session:
            return list(await session.scalars(_OPEN, named))

    async def _acknowledged(self, event: Event) -> None:
        await self.world.alerts.acknowledge(await self._open_alerts(event), by=RUNNER)

    async def _snoozed(self, event: Event) -> None:
        await self.world.alerts.snooze(
            await self._open_alerts(event),
            duration=timedelta(minutes=event.data["minutes"]),
            by=RUNNER,
        )


def wishes_of(wishes: dict[str, Any]) -> dict[str, Any]:
    """The fields of a subscription."""
    fields: dict[str, Any] = {
        "kinds": frozenset(AlertKind(kind) for kind in wishes.get("kinds", ())),
        "mention": wishes.get("mention"),
    }
    severity, cents = wishes.get("severity"), wishes.get("least_cents")
    fields["filter"] = AlertFilter(
        workflow=wishes.get("workflow"),
        repository=wishes.get("repository"),
        owner=wishes.get("owner"),
        least_severity=None if severity is None else Severity(severity),
        least_cost_usd=None if cents is None else Decimal(cents) / 100,
    )
    if "for_seconds" in wishes:
        fields["pending_for"] = timedelta(seconds=wishes["for_seconds"])
    if "quiet" in wishes:
        start, end = (time.fromisoformat(part) for part in wishes["quiet"].split("-"))
        zone = wishes["zone"]
        fields |= {
            "time_zone": zone,
            "quiet_hours": QuietHours(start=start, end=end, time_zone=zone),
        }
    return fields


def _worker_id(event: Event) -> str:
    return f"{event.name}:{event.data['start']}"


assert {f"_{what.value}" for what in What} <= set(vars(Player))
