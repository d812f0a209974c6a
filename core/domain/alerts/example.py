"""Example alerts: what a message about each kind looks like.  Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from types import MappingProxyType

from core.domain.alerts.channels.delivery import AlertGroup, GroupType
from core.domain.alerts.episode import Episode, open_episode
from core.domain.alerts.example_conditions import (
    EXAMPLE_ENDS,
    EXAMPLE_ID,
    EXAMPLE_REASONS,
    EXAMPLE_REPOSITORY,
    EXAMPLE_RUN_ID,
    EXAMPLE_TASK,
    EXAMPLE_WORKFLOW,
    example_condition,
)
from core.domain.alerts.history import events_between
from core.domain.alerts.kinds import AlertKind
from core.domain.alerts.message import AlertMessage
from core.domain.runs.outcome import outcome_of
from core.domain.runs.request import Place
from core.domain.runs.run import Run, RunStatus, StopReason
from core.domain.runs.snapshot import RunSnapshot

_BEGAN_BEFORE = timedelta(minutes=20)


def example_message(
    kind: AlertKind, *, place: Place, now: datetime, mention: str | None = None
) -> AlertMessage:
    """A message about one example alert that fires now.

    Args:
        kind: What it tells.
        place: The channel that it would be in.
        now: The present time.
        mention: The person or user group that it mentions, in Slack's form.
    """
    episode = example_episode(kind, now)
    group = AlertGroup(
        id=EXAMPLE_ID,
        team_id=place.team_id,
        channel_id=place.channel_id,
        type=GroupType.ALERTS,
        opened_at=now,
        kind=kind,
        mention=mention,
    )
    run = {EXAMPLE_ID: RunSnapshot(run=_run(kind, now))} if episode.run_id is not None else {}
    return AlertMessage(
        group=group,
        alerts=(episode,),
        events=MappingProxyType({episode.id: tuple(events_between(None, episode, now))}),
        runs=MappingProxyType(run),
    )


def example_episode(kind: AlertKind, now: datetime) -> Episode:
    """An example alert of a kind that fires now."""
    condition = example_condition(kind, now)
    return open_episode(EXAMPLE_ID, condition, now, pending_for=timedelta(0))


def _run(kind: AlertKind, now: datetime) -> Run:
    """The row of the run that an example is about."""
    reason = EXAMPLE_ENDS.get(kind)
    reasons = EXAMPLE_REASONS if kind is AlertKind.ATTENTION else ()
    return Run(
        id=EXAMPLE_ID,
        run_id=EXAMPLE_RUN_ID,
        workflow_name=EXAMPLE_WORKFLOW,
        task_input=EXAMPLE_TASK,
        status=RunStatus.RUNNING if reason is None else reason.final_status,
        stop_reason=reason,
        created_at=now - _BEGAN_BEFORE,
        updated_at=now,
        started_at=now - _BEGAN_BEFORE,
        completed_at=None if reason is None else now,
        session_id=EXAMPLE_ID,
        git_repo=EXAMPLE_REPOSITORY,
        turns=30 if kind is AlertKind.MAX_TURNS else 18,
        max_turns=30,
        outcome_reasons=reasons,
        outcome=outcome_of(reasons) if reason is StopReason.SUCCESS else None,
    )
