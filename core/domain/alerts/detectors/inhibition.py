"""Which conditions another one explains, so that they are not told too.  Pure."""

from __future__ import annotations

from collections.abc import Collection

from core.domain.alerts.condition import AlertKey, Condition
from core.domain.alerts.kinds import AlertKind, SubjectType

# What is to be expected of the runs of a lost worker.
_OF_LOST_RUNS = frozenset({AlertKind.STALLED, AlertKind.WAITING, AlertKind.LONG_RUNNING})


def inhibited(
    conditions: Collection[Condition], *, at_usage_limit: Collection[str] = ()
) -> frozenset[AlertKey]:
    """The keys of conditions that neither fire nor end their alert.

    A lost worker explains what is observed of its runs, and one that has no worker explains the
    queue.  A usage limit explains why a workflow fails more often.  A run whose kill is unconfirmed
    is not also told as silent.

    Args:
        conditions: Everything that is observed now.
        at_usage_limit: The workflows of which a run met a usage limit lately, or waits for one.
    """
    lost = {one.node for one in conditions if one.kind is AlertKind.WORKER_LOST}
    unconfirmed = {one.subject for one in conditions if one.kind is AlertKind.KILL_UNCONFIRMED}
    has_no_worker = any(one.kind is AlertKind.NO_WORKER for one in conditions)
    return frozenset(
        one.key
        for one in conditions
        if (one.kind in _OF_LOST_RUNS and one.node is not None and one.node in lost)
        or (one.kind in _OF_LOST_RUNS and one.subject in unconfirmed)
        or (one.kind is AlertKind.QUEUE_BACKLOG and has_no_worker)
        or (
            one.kind is AlertKind.FAILURE_RATE
            and one.subject.type is SubjectType.WORKFLOW
            and one.subject.id in at_usage_limit
        )
    )
