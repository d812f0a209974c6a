"""An alert: one episode of a subject in a state, from its beginning to its end.

`advance` is a pure function of the episode, of what is observed, and of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Any
from uuid import UUID

from core.domain.alerts.condition import NO_SCOPE, AlertKey, Condition, Scope
from core.domain.alerts.kinds import (
    CLOSED_AFTER,
    KIND_RULES,
    AlertKind,
    KindRule,
    Lifetime,
    Severity,
    Subject,
)

# So many episodes of one subject within `FLAPPING_WINDOW` are one that is unstable.
FLAPPING_EPISODES = 3
FLAPPING_WINDOW = timedelta(hours=1)
# An unstable episode is resolved when nothing was observed for so long.
UNSTABLE_KEEP = timedelta(minutes=30)


class AlertState(StrEnum):
    """The states of an episode; before its first one there is no row."""

    PENDING = "pending"
    FIRING = "firing"
    RECOVERING = "recovering"
    RESOLVED = "resolved"
    LAPSED = "lapsed"


# `lapsed` is the end of an episode that never fired, and of which nobody was told.
ALERT_TRANSITIONS: Mapping[AlertState, frozenset[AlertState]] = MappingProxyType(
    {
        AlertState.PENDING: frozenset({AlertState.FIRING, AlertState.LAPSED}),
        AlertState.FIRING: frozenset({AlertState.RECOVERING, AlertState.RESOLVED}),
        AlertState.RECOVERING: frozenset({AlertState.FIRING, AlertState.RESOLVED}),
        AlertState.RESOLVED: frozenset(),
        AlertState.LAPSED: frozenset(),
    }
)
OPEN_STATES = frozenset(state for state in AlertState if ALERT_TRANSITIONS[state])


class Resolution(StrEnum):
    """Why an episode is resolved."""

    NOTICE = "notice"
    RECOVERED = "recovered"
    CONTINUED = "continued"
    RUN_ENDED = "run_ended"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Episode:
    """One row of `alerts`.

    Attributes:
        opened_at: When the condition began; the duration that is shown counts from here.
        fired_at: When it fired; `None` while it is pending.
        recovering_at: Since when nothing is observed; `None` unless it is recovering.
        occurrences: How often it was observed anew: 1, and 1 for each return while recovering.
        is_unstable: Whether it comes and goes: it stays open until it is quiet for
            `UNSTABLE_KEEP`.
        acknowledged_by: The name of the person who takes care of it.
        snoozed_until: It is not told again until then.
        version: Rises with each change.
    """

    id: UUID
    kind: AlertKind
    subject: Subject
    state: AlertState
    severity: Severity
    opened_at: datetime
    observed_at: datetime
    fired_at: datetime | None = None
    recovering_at: datetime | None = None
    resolved_at: datetime | None = None
    resolution: Resolution | None = None
    occurrences: int = 1
    is_unstable: bool = False
    evidence: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    scope: Scope = NO_SCOPE
    run_id: UUID | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str | None = None
    snoozed_until: datetime | None = None
    snoozed_by: str | None = None
    version: int = 1

    @property
    def key(self) -> AlertKey:
        """The kind and the subject."""
        return self.kind, self.subject

    @property
    def is_open(self) -> bool:
        """Whether it can change still."""
        return self.state in OPEN_STATES

    @property
    def is_told(self) -> bool:
        """Whether it fired, so that subscribers were told."""
        return self.fired_at is not None

    def is_snoozed(self, now: datetime) -> bool:
        """Whether it is not to be told again yet."""
        return self.snoozed_until is not None and now < self.snoozed_until


def open_episode(
    episode_id: UUID,
    condition: Condition,
    now: datetime,
    *,
    pending_for: timedelta | None = None,
    earlier_episodes: int = 0,
) -> Episode:
    """The episode that begins with a condition: pending, firing, or a notice that has ended.

    Args:
        episode_id: The id of the new row.
        condition: What is observed.
        now: The present time.
        pending_for: How long it must last before it fires; `None` for the rule of its kind.
        earlier_episodes: How many episodes of the same subject and kind fired within
            `FLAPPING_WINDOW`.
    """
    rule = KIND_RULES[condition.kind]
    begun = Episode(
        id=episode_id,
        kind=condition.kind,
        subject=condition.subject,
        state=AlertState.PENDING,
        severity=condition.severity,
        opened_at=min(condition.since, now),
        observed_at=now,
        is_unstable=(rule.lifetime is Lifetime.STATE and earlier_episodes >= FLAPPING_EPISODES - 1),
        evidence=condition.evidence,
        scope=condition.scope,
        run_id=condition.run_id,
    )
    wait = rule.pending_for if pending_for is None else pending_for
    if rule.lifetime is not Lifetime.STATE:
        wait = timedelta(0)
    return _fire_if_due(begun, rule, wait, now)


def advance(
    episode: Episode,
    condition: Condition | None,
    now: datetime,
    *,
    pending_for: timedelta | None = None,
    is_inhibited: bool = False,
    has_run_ended: bool = False,
) -> Episode:
    """The episode after a look at what is observed; the same one if nothing has changed.

    Args:
        episode: An episode that is open.
        condition: What is observed of its subject now; `None` if nothing.
        now: The present time.
        pending_for: As in `open_episode`.
        is_inhibited: Another alert explains the condition: it neither fires nor is resolved.
        has_run_ended: The run that it is about has ended, so that nothing returns.
    """
    rule = KIND_RULES[episode.kind]
    seen = episode if condition is None else _observed(episode, condition, now)
    if lifetime_of(seen) is not Lifetime.STATE:
        is_due = seen.is_open and now - happened_at(seen) >= CLOSED_AFTER
        return resolve(seen, Resolution.CLOSED, now) if is_due else seen
    if condition is None:
        if has_run_ended:
            return resolve(episode, Resolution.RUN_ENDED, now)
        return episode if is_inhibited else _without_condition(episode, rule, now)
    if is_inhibited and seen.state is AlertState.PENDING:
        return seen
    if seen.state is AlertState.RECOVERING:
        return _changed(
            seen,
            state=AlertState.FIRING,
            recovering_at=None,
            occurrences=seen.occurrences + 1,
        )
    wait = rule.pending_for if pending_for is None else pending_for
    return _fire_if_due(seen, rule, wait, now) if seen.state is AlertState.PENDING else seen


def lifetime_of(episode: Episode) -> Lifetime:
    """How an episode ends: a budget that ended its run lasts no longer, but has happened."""
    if episode.kind is AlertKind.BUDGET and episode.evidence.get("has_ended"):
        return Lifetime.EVENT
    return KIND_RULES[episode.kind].lifetime


def happened_at(episode: Episode) -> datetime:
    """When an event happened: a run may stop at its budget long after the alert warned of it."""
    stopped_at = episode.evidence.get("stopped_at")
    return episode.opened_at if stopped_at is None else datetime.fromisoformat(stopped_at)


def resolve(episode: Episode, resolution: Resolution, now: datetime) -> Episode:
    """The episode at its end; one that never fired lapses.  An ended one stays as it is."""
    if not episode.is_open:
        return episode
    state = AlertState.RESOLVED if episode.is_told else AlertState.LAPSED
    return _changed(
        episode, state=state, resolved_at=now, resolution=resolution, recovering_at=None
    )


def acknowledge(episode: Episode, name: str, now: datetime) -> Episode:
    """The episode with the person who takes care of it; an ended one stays as it is."""
    if not episode.is_open or episode.acknowledged_by == name:
        return episode
    return _changed(episode, acknowledged_at=now, acknowledged_by=name)


def snooze(episode: Episode, name: str, until: datetime) -> Episode:
    """The episode, not to be told again until a time; an ended one stays as it is."""
    if not episode.is_open or (episode.snoozed_until, episode.snoozed_by) == (until, name):
        return episode
    return _changed(episode, snoozed_until=until, snoozed_by=name)


def _fire_if_due(episode: Episode, rule: KindRule, wait: timedelta, now: datetime) -> Episode:
    if now - episode.opened_at < wait:
        return episode
    fired = _changed(episode, state=AlertState.FIRING, fired_at=now)
    return resolve(fired, Resolution.NOTICE, now) if rule.lifetime is Lifetime.NOTICE else fired


def _without_condition(episode: Episode, rule: KindRule, now: datetime) -> Episode:
    if episode.state is AlertState.PENDING:
        return resolve(episode, Resolution.RECOVERED, now)
    keep = UNSTABLE_KEEP if episode.is_unstable else rule.keep
    since = episode.recovering_at if episode.recovering_at is not None else now
    if now - since >= keep:
        return resolve(episode, Resolution.RECOVERED, now)
    if episode.state is AlertState.RECOVERING:
        return episode
    return _changed(episode, state=AlertState.RECOVERING, recovering_at=now)


def _observed(episode: Episode, condition: Condition, now: datetime) -> Episode:
    """The episode with what is observed now; only the time of it is no change to show."""
    told = replace(episode, observed_at=now)
    if (
        condition.severity == episode.severity
        and condition.evidence == episode.evidence
        and condition.scope == episode.scope
    ):
        return told
    return _changed(
        told,
        severity=condition.severity,
        evidence=condition.evidence,
        scope=condition.scope,
    )


def _changed(episode: Episode, **values: Any) -> Episode:
    return replace(episode, version=episode.version + 1, **values)
