"""Runs, workers and alerts on real Postgres, with a clock that a test moves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from core.agent.definitions.catalog import Catalog, load_catalog
from core.domain.actor import Actor, Origin, Role
from core.domain.alerts.channels.subscription import Source, Subscription
from core.domain.alerts.detectors.limits import AlertLimits
from core.domain.alerts.episode import Episode
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.message import AlertMessage
from core.domain.fleet.workers import WorkerRecord, WorkerState
from core.domain.runs.activity.awaited import AWAITED_KEY, Awaited, AwaitedKind
from core.domain.runs.outcome import OutcomeReason, outcome_of
from core.domain.runs.run import Run, StopReason
from core.domain.sessions.ledger import EntrySource
from core.services.alerts.alerts import AlertService
from core.services.alerts.evaluation import AlertEvaluation, Evaluated
from core.services.alerts.subscriptions import SubscriptionService
from core.services.context import ServiceContext
from core.store.alerts import deliveries, episodes
from core.store.database.engine import Database
from core.store.fleet import workers
from core.store.runs import runs
from tests.database import NOW, stored_run
from tests.ledger_rows import spent

RUNNER = Actor(role=Role.RUNNER, origin=Origin.SLACK, name="ada")
# An evaluation runs at least so often.
TICK = timedelta(seconds=10)


async def fired_alert(database: Database, **fields: Any) -> UUID:
    """The id of a new alert about a run that failed."""
    world = AlertWorld(database)
    run = await world.ended_run(StopReason.API_ERROR, **fields)
    await world.evaluate()
    return next(one.id for one in await world.all_alerts() if one.run_id == run.id)


@dataclass
class AlertWorld:
    """One fleet and its alerts.

    Attributes:
        now: The present time, until a test moves it.
    """

    database: Database
    limits: AlertLimits = field(default_factory=AlertLimits)
    now: datetime = NOW
    catalog: Catalog = field(default_factory=lambda: load_catalog(None))

    @property
    def context(self) -> ServiceContext:
        """The services' context, with the test's clock."""
        return ServiceContext(self.database, lambda: self.now)

    @property
    def alerts(self) -> AlertService:
        """What people do with alerts."""
        return AlertService(self.context)

    @property
    def subscriptions(self) -> SubscriptionService:
        """What channels want."""
        return SubscriptionService(self.context, self.catalog)

    def wait(self, **duration: float) -> None:
        """Let time pass."""
        self.now += timedelta(**duration)

    async def evaluate(self) -> Evaluated:
        """Look once."""
        return await AlertEvaluation(self.context, self.limits).evaluate()

    async def pass_time(self, **duration: float) -> None:
        """Let time pass, with an evaluation every 10 seconds, as the clock does."""
        end = self.now + timedelta(**duration)
        while self.now < end:
            self.now = min(self.now + TICK, end)
            await self.evaluate()

    async def subscribe(self, channel: str = "C1", **wishes: Any) -> Subscription:
        """Subscribe a channel; without wishes to the usual kinds."""
        wanted = Subscription(
            id=uuid4(),
            team_id="T1",
            channel_id=channel,
            source=Source.SLACK,
            created_at=self.now,
            **wishes,
        )
        return await self.subscriptions.subscribe(wanted, by=RUNNER)

    async def worker(
        self, node: str = "w1", *, state: WorkerState = WorkerState.UP, **fields: Any
    ) -> None:
        """Let a worker report; the next report of a node replaces the one before."""
        record = WorkerRecord(
            worker_id=f"{node}:1",
            node=node,
            host=f"{node}#boot",
            slots=4,
            state=state,
            started_at=NOW,
            heartbeat_at=self.now,
            stopped_at=self.now if state is WorkerState.GONE else None,
        )
        async with self.database.sessions.begin() as session:
            await workers.record_heartbeat(session, replace(record, **fields))

    async def start(self, **fields: Any) -> Run:
        """A run that a worker has begun just now."""
        stored = await stored_run(
            self.database, **{"created_at": self.now, "updated_at": self.now, **fields}
        )
        async with self.database.sessions.begin() as session:
            return await runs.begin(
                session, stored.run_id, attempt=1, worker_id="w1:1", now=self.now
            )

    async def hear(
        self, run: Run, *, kind: AwaitedKind = AwaitedKind.MODEL, **awaited: Any
    ) -> None:
        """Let the run's agent do something, after which it waits."""
        waits = Awaited(kind=kind, **{"since": self.now, "heard_at": self.now, **awaited})
        async with self.database.sessions.begin() as session:
            await runs.change(
                session,
                run.run_id,
                now=self.now,
                metadata={AWAITED_KEY: waits.to_json()},
                last_activity_at=waits.heard_at,
            )

    async def change(self, run: Run, **fields: Any) -> None:
        """Change other fields of a run."""
        async with self.database.sessions.begin() as session:
            await runs.change(session, run.run_id, now=self.now, **fields)

    async def finish(
        self,
        run: Run,
        reason: StopReason = StopReason.SUCCESS,
        *,
        reasons: Sequence[OutcomeReason] = (),
        **final: Any,
    ) -> None:
        """Let a run end; a cost is also that of its agent in the ledger."""
        if (cost := final.get("cost_usd")) is not None:
            source = EntrySource.of_cost(cost, final.get("cost_source"))
            await spent(self.database, run, cost, source)
        if reason is StopReason.SUCCESS:
            final |= {"outcome_reasons": tuple(reasons), "outcome": outcome_of(tuple(reasons))}
        async with self.database.sessions.begin() as session:
            await runs.finish(
                session, run.run_id, attempt=1, stop_reason=reason, now=self.now, **final
            )

    async def ended_run(self, reason: StopReason = StopReason.SUCCESS, **fields: Any) -> Run:
        """A run that has begun and ended just now."""
        final = {name: fields.pop(name) for name in ("cost_usd", "reasons") if name in fields}
        run = await self.start(**fields)
        await self.finish(run, reason, **final)
        return run

    async def all_alerts(self) -> list[Episode]:
        """All alerts that have fired, newest first."""
        return list((await self.alerts.page(by=RUNNER, limit=500)).items)

    async def only(self, kind: AlertKind) -> Episode:
        """The one alert of a kind that has fired."""
        found = [alert for alert in await self.all_alerts() if alert.kind is kind]
        assert len(found) == 1, [f"{one.kind} {one.state}" for one in await self.all_alerts()]
        return found[0]

    async def messages(self, channel: str = "C1") -> list[AlertMessage]:
        """The messages of a channel about alerts, oldest first."""
        async with self.database.sessions() as session:
            groups = await deliveries.recent_groups(session, since=NOW - timedelta(days=365))
        found = [
            await self.alerts.message(str(group.id))
            for group in groups
            if group.channel_id == channel
        ]
        return [message for message in reversed(found) if message is not None]

    async def pending(self) -> list[Episode]:
        """All open episodes, those that have not fired too."""
        async with self.database.sessions.begin() as session:
            return await episodes.open_episodes(session)
