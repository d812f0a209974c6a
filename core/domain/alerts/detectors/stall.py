"""Runs of which nothing is heard, that wait for a person, or that work for long.  Pure.

Silence alone is no stall: an open tool call may work for long.  What counts as life is the agent's
own events, and output or processor time of the programs that it started, or that its worker
started to prepare its workspace.  An announced silence is none: the pause before a retry counts
from its end.  A run that waits for a worker, for a person, or for its kill has no silence to judge.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from core.domain.alerts.condition import Condition, run_subject, usual_severity
from core.domain.alerts.detectors.facts import LiveRun
from core.domain.alerts.detectors.limits import AlertLimits, StallLimits
from core.domain.alerts.kinds import AlertKind
from core.domain.fleet.workers import SILENT_AFTER
from core.domain.runs.activity.awaited import Awaited, AwaitedKind
from core.domain.runs.run import RunStatus, WaitingOn


def silent_since(awaited: Awaited) -> datetime:
    """Since when the run shows no life although it should."""
    life = awaited.life_at
    return life if awaited.expected_at is None else max(life, awaited.expected_at)


def conditions_of_live_run(
    run: LiveRun, limits: AlertLimits, now: datetime, *, reported_at: datetime | None = None
) -> Iterator[Condition]:
    """What is to be told of a run that has not ended.

    Args:
        run: The run.
        limits: The team's limits.
        now: The present time.
        reported_at: The last heartbeat of its worker, if that is known.  What happened after the
            heartbeats stopped is not in the rows, so the silence is measured up to there.
    """
    if run.is_being_killed:
        return
    if run.waiting_on is WaitingOn.USAGE_LIMIT and run.status is RunStatus.PENDING:
        # No worker executes it meanwhile.
        yield from _waiting(run, run.waiting_on, limits.stall_of(run.workflow), now)
    if run.status is not RunStatus.RUNNING:
        return
    stall = limits.stall_of(run.workflow)
    if run.waiting_on is not None:
        yield from _waiting(run, run.waiting_on, stall, now)
    elif run.awaited is not None:
        is_silent = reported_at is not None and now - reported_at > SILENT_AFTER
        known_until = reported_at if is_silent and reported_at is not None else now
        yield from _stalled(run, run.awaited, stall, known_until)
    yield from _long_running(run, limits, now)


def stall_limit(awaited: Awaited, limits: StallLimits) -> timedelta:
    """How long a run may show no life, by what it waits for."""
    return limits.tool if awaited.kind is AwaitedKind.TOOL else limits.idle


def _stalled(
    run: LiveRun, awaited: Awaited, limits: StallLimits, known_until: datetime
) -> Iterator[Condition]:
    limit = stall_limit(awaited, limits)
    since = silent_since(awaited)
    if known_until - since < limit:
        return
    yield _of_run(
        run,
        AlertKind.STALLED,
        since=since,
        evidence={
            **_awaited_evidence(awaited),
            "limit_seconds": limit.total_seconds(),
        },
    )


def _awaited_evidence(awaited: Awaited) -> dict[str, Any]:
    """What is awaited, with the keys of a run's metadata but for those that are clear here."""
    stored = awaited.to_json()
    return {"awaited": stored.pop("kind"), "awaited_since": stored.pop("since"), **stored}


def _waiting(
    run: LiveRun, waiting_on: WaitingOn, limits: StallLimits, now: datetime
) -> Iterator[Condition]:
    since = run.waiting_since
    if since is None or now - since < limits.person:
        return
    yield _of_run(
        run,
        AlertKind.WAITING,
        since=since,
        evidence={
            "waiting_on": waiting_on.value,
            "limit_seconds": limits.person.total_seconds(),
        },
    )


def _long_running(run: LiveRun, limits: AlertLimits, now: datetime) -> Iterator[Condition]:
    if run.started_at is None or now - run.started_at < limits.long_running:
        return
    yield _of_run(
        run,
        AlertKind.LONG_RUNNING,
        since=run.started_at,
        evidence={"limit_seconds": limits.long_running.total_seconds()},
    )


def _of_run(
    run: LiveRun, kind: AlertKind, *, since: datetime, evidence: dict[str, Any]
) -> Condition:
    return Condition(
        kind=kind,
        subject=run_subject(run.run_id),
        since=since,
        severity=usual_severity(kind),
        evidence={"task": run.task, "turns": run.turns, **evidence},
        scope=run.scope,
        run_id=run.id,
        node=run.node,
    )
