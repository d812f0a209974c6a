"""The fleet and Slack: lost workers, no worker, a queue that does not move, late messages.  Pure.

An absence is told only of what was there: a team that has not started its first worker yet is told
when a run waits for one, and a worker that stopped in order is not missed.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import datetime, timedelta
from enum import StrEnum

from core.domain.alerts.condition import Condition, run_subject, usual_severity
from core.domain.alerts.detectors.facts import (
    EndedRunFacts,
    LiveRun,
    SlackFacts,
    UnconfirmedKill,
    WorkerFacts,
)
from core.domain.alerts.detectors.limits import AlertLimits
from core.domain.alerts.kinds import FLEET, SLACK, AlertKind, Subject, SubjectType
from core.domain.fleet.attempt import STALLED_AFTER
from core.domain.fleet.workers import SILENT_AFTER, WorkerState
from core.domain.runs.run import RunStatus

# A lost worker whose node never came back is no news after a day.
_LOST_SHOWN = timedelta(hours=24)


class Presence(StrEnum):
    """Whether a worker's node is there.

    `NEW`: no heartbeat was ever expected.  `UP`: its heartbeats come.  `GRACE`: some are missing,
    which an outage of the database or a busy machine explains.  `DOWN`: it is lost.  `LEFT`: it
    stopped in order.
    """

    NEW = "new"
    UP = "up"
    GRACE = "grace"
    DOWN = "down"
    LEFT = "left"


def presence_of(worker: WorkerFacts | None, now: datetime) -> Presence:
    """Whether a worker's node is there, by its newest process."""
    if worker is None:
        return Presence.NEW
    if worker.state is WorkerState.GONE:
        return Presence.DOWN if worker.is_lost else Presence.LEFT
    silent = now - worker.heartbeat_at
    if silent <= SILENT_AFTER:
        return Presence.UP
    return Presence.GRACE if silent <= STALLED_AFTER else Presence.DOWN


def conditions_of_fleet(
    workers: Collection[WorkerFacts],
    live: Collection[LiveRun],
    limits: AlertLimits,
    now: datetime,
) -> Iterator[Condition]:
    """What is to be told of the workers and of the queue."""
    presences = {worker.node: presence_of(worker, now) for worker in workers}
    for worker in workers:
        is_news = now - worker.heartbeat_at < _LOST_SHOWN
        if presences[worker.node] is Presence.DOWN and is_news:
            yield _worker_lost(worker)
    waiting = [
        run
        for run in live
        if run.status is RunStatus.PENDING
        and not run.is_held
        # What waits for the time of its next attempt needs no worker yet.
        and (run.retry_at is None or run.retry_at <= now)
    ]
    oldest = min((run.created_at for run in waiting), default=None)
    takes_runs = any(
        presences[worker.node] in {Presence.UP, Presence.GRACE} and worker.state is WorkerState.UP
        for worker in workers
    )
    if not takes_runs and (oldest is not None or Presence.DOWN in presences.values()):
        last = max((worker.heartbeat_at for worker in workers), default=None)
        yield Condition(
            kind=AlertKind.NO_WORKER,
            subject=FLEET,
            since=max(at for at in (oldest, last) if at is not None),
            severity=usual_severity(AlertKind.NO_WORKER),
            evidence={
                "pending": len(waiting),
                "last_heard_at": None if last is None else last.isoformat(),
            },
        )
    if oldest is not None and now - oldest >= limits.queue:
        yield Condition(
            kind=AlertKind.QUEUE_BACKLOG,
            subject=FLEET,
            since=oldest,
            severity=usual_severity(AlertKind.QUEUE_BACKLOG),
            evidence={
                "pending": len(waiting),
                "oldest_at": oldest.isoformat(),
                "limit_seconds": limits.queue.total_seconds(),
            },
        )


def condition_of_kill(kill: UnconfirmedKill) -> Condition:
    """A kill of which the proof failed."""
    run = kill.run
    return Condition(
        kind=AlertKind.KILL_UNCONFIRMED,
        subject=run_subject(run.run_id),
        since=kill.requested_at,
        severity=usual_severity(AlertKind.KILL_UNCONFIRMED),
        evidence={"task": run.task, "survivors": kill.survivors, "machine": kill.machine},
        scope=run.scope,
        run_id=run.id,
        node=None if isinstance(run, EndedRunFacts) else run.node,
    )


def conditions_of_slack(
    slack: SlackFacts, limits: AlertLimits, now: datetime
) -> Iterator[Condition]:
    """What is to be told of Slack itself."""
    is_late = slack.oldest is not None and now - slack.oldest >= limits.slack_lag
    if not is_late:
        return
    yield Condition(
        kind=AlertKind.SLACK_TROUBLE,
        subject=SLACK,
        since=now if slack.oldest is None else slack.oldest,
        severity=usual_severity(AlertKind.SLACK_TROUBLE),
        evidence={"outdated": slack.outdated, "refused": slack.refused},
    )


def _worker_lost(worker: WorkerFacts) -> Condition:
    return Condition(
        kind=AlertKind.WORKER_LOST,
        subject=Subject(type=SubjectType.WORKER, id=worker.node),
        since=worker.heartbeat_at,
        severity=usual_severity(AlertKind.WORKER_LOST),
        evidence={
            "machine": worker.machine,
            "last_heard_at": worker.heartbeat_at.isoformat(),
            "live_runs": worker.live_runs,
        },
        node=worker.node,
    )
