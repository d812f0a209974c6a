"""From what is observed to episodes: which begin, which change, which end.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from core.domain.alerts.condition import AlertKey, Condition
from core.domain.alerts.detectors.endings import condition_of_end
from core.domain.alerts.detectors.fleet import (
    condition_of_kill,
    conditions_of_fleet,
    conditions_of_slack,
)
from core.domain.alerts.detectors.inhibition import inhibited
from core.domain.alerts.detectors.limits import AlertLimits
from core.domain.alerts.detectors.spending import conditions_of_spending
from core.domain.alerts.detectors.stall import conditions_of_live_run
from core.domain.alerts.episode import (
    Episode,
    Resolution,
    advance,
    lifetime_of,
    open_episode,
    resolve,
)
from core.domain.alerts.kinds import AlertKind, Lifetime, SubjectType
from core.domain.runs.run import WaitingOn
from core.services.alerts.observing import Observed
from core.services.alerts.trending import Trends

# Kinds of which nothing is observed unless a run has ended: no observation says nothing.
_ONLY_AT_ENDS = frozenset({AlertKind.FAILURE_RATE})


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One episode before and after a look; `before` is `None` if it has just begun."""

    before: Episode | None
    after: Episode


def conditions_of(
    observed: Observed, trends: Trends, limits: AlertLimits, cost_limit: Decimal, now: datetime
) -> list[Condition]:
    """Everything that is to be told now, at most one condition of a kind and subject.

    Args:
        observed: What was read.
        trends: What trends tell.
        limits: The team's limits.
        cost_limit: The cost in US dollars from which on `cost` is told to anybody.
        now: The present time.
    """
    found: list[Condition] = []
    heartbeats = {worker.node: worker.heartbeat_at for worker in observed.workers}
    for run in observed.live:
        reported_at = None if run.node is None else heartbeats.get(run.node)
        found += conditions_of_live_run(run, limits, now, reported_at=reported_at)
        found += conditions_of_spending(run, cost_limit=cost_limit, now=now)
    found += conditions_of_fleet(observed.workers, observed.live, limits, now)
    found += (condition_of_kill(kill) for kill in observed.kills)
    found += conditions_of_slack(observed.slack, limits, now)
    found += trends.conditions
    found += (condition_of_end(run) for run in observed.ended)
    return list({condition.key: condition for condition in found}.values())


def judge(
    open_episodes: Sequence[Episode],
    observed: Observed,
    trends: Trends,
    conditions: Sequence[Condition],
    now: datetime,
    *,
    new_id: Callable[[], UUID],
    earlier: Mapping[AlertKey, int],
) -> list[Judged]:
    """All episodes that begin, change or end, in the order of their conditions.

    Args:
        open_episodes: The open episodes.
        observed: What was read.
        trends: What trends tell.
        conditions: From `conditions_of`.
        now: The present time.
        new_id: Makes the id of a new episode.
        earlier: How many episodes of a subject fired within the flapping window.
    """
    held = inhibited(conditions, at_usage_limit=_at_usage_limit(observed, trends))
    by_key = {condition.key: condition for condition in conditions}
    live = {run.run_id for run in observed.live}
    parents = [
        *(run.parent_id for run in observed.live),
        *(run.parent_id for run in observed.ended),
    ]
    continued = {parent for parent in parents if parent is not None}
    judged: list[Judged] = []
    known: set[AlertKey] = set()
    for episode in open_episodes:
        known.add(episode.key)
        if (
            lifetime_of(episode) is Lifetime.EVENT
            and episode.run_id in continued
            and episode.key not in by_key
        ):
            judged.append(Judged(before=episode, after=resolve(episode, Resolution.CONTINUED, now)))
            continue
        if episode.kind in _ONLY_AT_ENDS and episode.subject.id not in trends.looked_at:
            continue
        after = advance(
            episode,
            by_key.get(episode.key),
            now,
            is_inhibited=episode.key in held,
            has_run_ended=(
                episode.subject.type is SubjectType.RUN
                and episode.kind is not AlertKind.KILL_UNCONFIRMED
                and episode.subject.id not in live
            ),
        )
        if after != episode:
            judged.append(Judged(before=episode, after=after))
    for condition in conditions:
        if condition.key not in known and condition.key not in held:
            begun = open_episode(
                new_id(), condition, now, earlier_episodes=earlier.get(condition.key, 0)
            )
            # Somebody may have gone on from a run before anything looked at its end.
            if lifetime_of(begun) is Lifetime.EVENT and begun.run_id in continued:
                begun = resolve(begun, Resolution.CONTINUED, now)
            judged.append(Judged(before=None, after=begun))
    return [one for one in judged if is_change(one)]


def is_change(judged: Judged) -> bool:
    """Whether there is anything to write: the time of the last look alone is not."""
    before = judged.before
    return before is None or replace(judged.after, observed_at=before.observed_at) != before


def _at_usage_limit(observed: Observed, trends: Trends) -> frozenset[str]:
    waiting = {run.workflow for run in observed.live if run.waiting_on is WaitingOn.USAGE_LIMIT}
    return trends.at_usage_limit | waiting
