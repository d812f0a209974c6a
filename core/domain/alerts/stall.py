"""Runs of which nothing is heard, that wait for a person, or that work for long.  Pure.

Silence alone is no stall: an open tool call may work for long.  What counts as life is the agent's
own events, and output or processor time of the programs that it started.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from core.domain.alerts.condition import Condition, run_subject, usual_severity
from core.domain.alerts.facts import LiveRun
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.limits import AlertLimits, StallLimits
from core.domain.runs.awaited import Awaited, AwaitedKind
from core.domain.runs.run import RunStatus, WaitingOn


def last_life(awaited: Awaited) -> datetime:
    """When the run last showed any life: an event of its agent, output, or processor time."""
    signs = (awaited.heard_at, awaited.output_at, awaited.busy_at)
    return max(sign for sign in signs if sign is not None)


def conditions_of_live_run(run: LiveRun, limits: AlertLimits, now: datetime) -> Iterator[Condition]:
    """What is to be told of a run that has not ended."""
    if run.status is not RunStatus.RUNNING or run.is_being_killed:
        return
    stall = limits.stall_of(run.workflow)
    if run.waiting_on is not None:
        yield from _waiting(run, run.waiting_on, stall, now)
    elif run.awaited is not None:
        yield from _stalled(run, run.awaited, stall, now)
    yield from _long_running(run, limits, now)


def stall_limit(awaited: Awaited, limits: StallLimits) -> timedelta:
    """How long a run may show no life, by what it waits for."""
    return limits.tool if awaited.kind is AwaitedKind.TOOL else limits.idle


def _stalled(
    run: LiveRun, awaited: Awaited, limits: StallLimits, now: datetime
) -> Iterator[Condition]:
    limit = stall_limit(awaited, limits)
    since = last_life(awaited)
    if now - since < limit:
        return
    yield _of_run(
        run,
        AlertKind.STALLED,
        since=since,
        evidence={
            "awaited": awaited.kind.value,
            "name": awaited.name,
            "awaited_since": awaited.since.isoformat(),
            "heard_at": awaited.heard_at.isoformat(),
            "output_at": None if awaited.output_at is None else awaited.output_at.isoformat(),
            "busy_at": None if awaited.busy_at is None else awaited.busy_at.isoformat(),
            "limit_seconds": limit.total_seconds(),
        },
    )


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
