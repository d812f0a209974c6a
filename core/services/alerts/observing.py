"""Reads what there is to observe, and turns it into the values that the detectors take."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from core.domain.actor import User
from core.domain.alerts.condition import Scope
from core.domain.alerts.detectors.facts import (
    EndedRunFacts,
    LiveRun,
    SlackFacts,
    UnconfirmedKill,
    WorkerFacts,
)
from core.domain.drawables import SlackHealth
from core.domain.fleet.attempt import machine_name, node_of
from core.domain.fleet.workers import WorkerRecord
from core.domain.redact import redact
from core.domain.runs.activity.awaited import Awaited
from core.domain.runs.failure_analysis import FailureAnalysis
from core.domain.runs.outcome import TESTS_KEY
from core.domain.runs.run import Run, RunStatus
from core.store import users
from core.store.alerts import facts
from core.store.fleet import attempts
from core.store.runs import tasks

_TASK_CHARS = 150
# Workers that were not heard of for longer are no news.
_WORKERS_SINCE = timedelta(hours=24)
# The bot that draws writes its health at least this often while something is outdated.
_HEALTH_SILENT_AFTER = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Observed:
    """Everything that is observed at one moment."""

    ended: Sequence[EndedRunFacts]
    live: Sequence[LiveRun]
    workers: Sequence[WorkerFacts]
    kills: Sequence[UnconfirmedKill]
    slack: SlackFacts


async def observe(session: AsyncSession, now: datetime) -> Observed:
    """Read everything; each run that has ended is given once."""
    ended = await facts.claim_ended(session)
    live = await facts.live_runs(session)
    kills = await facts.unconfirmed_kills(session)
    found = [*ended, *live, *(kill.run for kill in kills)]
    owners = await users.by_ids(session, {run.user_id for run in found if run.user_id is not None})
    about = await _tasks(session, found)
    hosts = await attempts.newest_hosts(session, [kill.run.id for kill in kills]) if kills else {}
    return Observed(
        ended=[ended_facts(run, owners, about) for run in ended],
        live=[live_facts(run, owners, about) for run in live],
        workers=[
            _worker(worker) for worker in await facts.workers(session, since=now - _WORKERS_SINCE)
        ],
        kills=[
            UnconfirmedKill(
                run=(
                    live_facts(kill.run, owners, about)
                    if kill.run.is_live
                    else ended_facts(kill.run, owners, about)
                ),
                requested_at=kill.termination.requested_at,
                survivors=len(kill.termination.survivors),
                machine=machine_name(hosts[kill.run.id]) if hosts.get(kill.run.id) else None,
            )
            for kill in kills
        ],
        slack=_slack(await facts.slack_health(session), now),
    )


def live_facts(run: Run, owners: Mapping[UUID, User], about: Mapping[UUID, str]) -> LiveRun:
    """A run that has not ended, as the detectors see it."""
    awaited = Awaited.of_run(run)
    return LiveRun(
        id=run.id,
        run_id=run.run_id,
        workflow=run.workflow_name,
        task=_task(run, about),
        status=run.status,
        scope=scope_of(run, owners),
        # A requeued run waits since its last change, which was the requeue.
        created_at=run.created_at if run.attempt == 1 else run.retry_at or run.updated_at,
        started_at=run.started_at,
        waiting_on=run.waiting_on,
        # A pending run waits for a usage limit since its last change, which was the requeue.
        waiting_since=run.updated_at
        if run.status is RunStatus.PENDING
        else awaited.since
        if awaited is not None
        else run.last_activity_at,
        awaited=awaited,
        is_held=run.queue_reason is not None,
        retry_at=run.retry_at,
        is_being_killed=run.kill_requested_at is not None,
        cost_usd=run.cost_usd,
        budget_usd=run.budget_usd,
        turns=run.turns,
        max_turns=run.max_turns,
        node=None if run.worker_id is None else node_of(run.worker_id),
        parent_id=run.parent_run_id,
    )


def ended_facts(run: Run, owners: Mapping[UUID, User], about: Mapping[UUID, str]) -> EndedRunFacts:
    """A run that has ended, as the detectors see it."""
    analysis = FailureAnalysis.of_run(run)
    tests = run.metadata.get(TESTS_KEY)
    failed = tests.get("failed") if isinstance(tests, Mapping) else None
    return EndedRunFacts(
        id=run.id,
        run_id=run.run_id,
        workflow=run.workflow_name,
        task=_task(run, about),
        status=run.status,
        scope=scope_of(run, owners),
        ended_at=run.completed_at or run.updated_at,
        stop_reason=run.stop_reason,
        reasons=run.outcome_reasons,
        failed_tests=failed if isinstance(failed, int) else None,
        cause=None if analysis is None else analysis.cause.value,
        subject=None if analysis is None else analysis.subject,
        duration=run.duration,
        cost_usd=run.cost_usd,
        cost_source=run.cost_source,
        budget_usd=run.budget_usd,
        turns=run.turns,
        max_turns=run.max_turns,
        parent_id=run.parent_run_id,
    )


def scope_of(run: Run, owners: Mapping[UUID, User]) -> Scope:
    """What the filters of subscriptions see of a run."""
    owner = owners.get(run.user_id) if run.user_id is not None else None
    known = None if owner is None else owner.slack_user_id or str(owner.id)
    return Scope(
        workflow=run.workflow_name,
        repository=run.git_repo,
        owner_id=known,
        owner_name=None if owner is None else owner.name,
        cost_usd=run.cost_usd,
    )


def _task(run: Run, about: Mapping[UUID, str]) -> str:
    words = " ".join(about.get(run.id, run.task_input).split())
    return redact(words)[:_TASK_CHARS]


async def _tasks(session: AsyncSession, runs: Sequence[Run]) -> Mapping[UUID, str]:
    """What continued runs are about, by the ids of their rows: their own words are only `go on`."""
    sessions = {run.session_id for run in runs if run.parent_run_id is not None}
    if not sessions:
        return {}
    found = await tasks.of_sessions(session, sessions)
    return {run_id: place.about for run_id, place in found.items()}


def _worker(worker: WorkerRecord) -> WorkerFacts:
    return WorkerFacts(
        node=worker.node,
        machine=worker.machine,
        state=worker.state,
        heartbeat_at=worker.heartbeat_at,
        live_runs=worker.live_runs,
        stopped_at=worker.stopped_at,
        is_lost=facts.is_lost(worker),
    )


def _slack(healths: Sequence[SlackHealth], now: datetime) -> SlackFacts:
    """The workspace that is behind the most; one that nobody draws is behind since its last row."""
    behind = [
        oldest if now - health.at < _HEALTH_SILENT_AFTER else health.at
        for health in healths
        if health.outdated and (oldest := health.oldest_at) is not None
    ]
    return SlackFacts(
        outdated=sum(health.outdated for health in healths),
        oldest=min(behind, default=None),
        refused=sum(health.refused for health in healths),
    )
