"""Episodes of alerts: their states, and what holds for all observations and acts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from core.domain.alerts.condition import Condition, run_subject, usual_severity
from core.domain.alerts.episode import (
    ALERT_TRANSITIONS,
    OPEN_STATES,
    AlertState,
    Episode,
    Resolution,
    acknowledge,
    advance,
    open_episode,
    resolve,
    snooze,
)
from core.domain.alerts.history import AlertEvent, events_between
from core.domain.alerts.kinds import KIND_RULES, AlertKind, Lifetime, Severity

NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)
STATES = [kind for kind in AlertKind if KIND_RULES[kind].lifetime is Lifetime.STATE]
EVENTS = [kind for kind in AlertKind if KIND_RULES[kind].lifetime is Lifetime.EVENT]


def condition(kind: AlertKind, since: datetime = NOW, **fields: Any) -> Condition:
    return Condition(
        **{
            "kind": kind,
            "subject": run_subject("run_0123456789ab"),
            "since": since,
            "severity": usual_severity(kind),
            **fields,
        }
    )


def begun(kind: AlertKind = AlertKind.STALLED, now: datetime = NOW, **fields: Any) -> Episode:
    return open_episode(uuid4(), condition(kind, now), now, **fields)


def test_the_table_of_transitions_is_complete_and_every_state_is_reachable() -> None:
    reached = {AlertState.PENDING}
    for _ in AlertState:
        reached |= {target for state in reached for target in ALERT_TRANSITIONS[state]}

    assert set(ALERT_TRANSITIONS) == set(AlertState)
    assert reached == set(AlertState)
    assert set(AlertState) - OPEN_STATES == {AlertState.RESOLVED, AlertState.LAPSED}


def test_every_kind_has_a_rule() -> None:
    assert set(KIND_RULES) == set(AlertKind)


@pytest.mark.parametrize("kind", STATES)
def test_a_state_fires_when_it_has_lasted_for_its_time(kind: AlertKind) -> None:
    wait = KIND_RULES[kind].pending_for
    episode = begun(kind, pending_for=wait + timedelta(seconds=30))
    early = advance(
        episode,
        condition(kind),
        NOW + wait + timedelta(seconds=29),
        pending_for=wait + timedelta(seconds=30),
    )
    due = advance(
        early,
        condition(kind),
        NOW + wait + timedelta(seconds=30),
        pending_for=wait + timedelta(seconds=30),
    )

    assert (early.state, due.state) == (AlertState.PENDING, AlertState.FIRING)
    assert due.fired_at == NOW + wait + timedelta(seconds=30)


def test_a_state_that_is_over_while_pending_lapses_untold() -> None:
    pending = begun(AlertKind.NO_WORKER)

    ended = advance(pending, None, NOW + timedelta(seconds=59))

    assert (ended.state, ended.is_told) == (AlertState.LAPSED, False)
    assert list(events_between(pending, ended, NOW)) == []


def test_a_state_that_returns_while_recovering_is_the_same_alert() -> None:
    firing = begun(AlertKind.WORKER_LOST)
    recovering = advance(firing, None, NOW + timedelta(seconds=10))
    returned = advance(recovering, condition(AlertKind.WORKER_LOST), NOW + timedelta(seconds=20))
    over = advance(returned, None, NOW + timedelta(seconds=30))
    ended = advance(over, None, NOW + timedelta(seconds=60))

    assert recovering.state is AlertState.RECOVERING
    assert (returned.state, returned.occurrences) == (AlertState.FIRING, 2)
    assert over.state is AlertState.RECOVERING
    assert (ended.state, ended.resolution) == (AlertState.RESOLVED, Resolution.RECOVERED)


@pytest.mark.parametrize("earlier", [0, 1, 2, 3])
def test_the_third_episode_in_an_hour_is_unstable_and_stays_for_30_quiet_minutes(
    earlier: int,
) -> None:
    episode = begun(earlier_episodes=earlier)
    over = advance(episode, None, NOW + timedelta(minutes=1))
    early = advance(over, None, NOW + timedelta(minutes=30, seconds=59))
    ended = advance(early, None, NOW + timedelta(minutes=31))

    assert episode.is_unstable is (earlier >= 2)
    assert early.is_open is (earlier >= 2)
    assert ended.state is AlertState.RESOLVED


def test_the_30_minutes_begin_anew_when_an_unstable_state_returns() -> None:
    episode = begun(earlier_episodes=2)
    over = advance(episode, None, NOW + timedelta(minutes=1))
    again = advance(over, condition(AlertKind.STALLED), NOW + timedelta(minutes=20))
    over_again = advance(again, None, NOW + timedelta(minutes=21))

    assert advance(over_again, None, NOW + timedelta(minutes=50)).is_open
    assert not advance(over_again, None, NOW + timedelta(minutes=51)).is_open


@pytest.mark.parametrize("kind", EVENTS)
def test_what_happened_once_is_open_for_a_day_whatever_is_observed(kind: AlertKind) -> None:
    episode = begun(kind)
    later = advance(episode, None, NOW + timedelta(hours=24) - timedelta(seconds=1))
    ended = advance(later, None, NOW + timedelta(hours=24))

    assert episode.state is later.state is AlertState.FIRING
    assert (ended.state, ended.resolution) == (AlertState.RESOLVED, Resolution.CLOSED)


@pytest.mark.parametrize("kind", [AlertKind.COMPLETED, AlertKind.KILLED])
def test_a_notice_has_ended_when_it_is_told(kind: AlertKind) -> None:
    episode = begun(kind)

    assert (episode.state, episode.resolution) == (AlertState.RESOLVED, Resolution.NOTICE)
    assert [event.what for event in events_between(None, episode, NOW)] == [
        AlertEvent.FIRED,
        AlertEvent.RESOLVED,
    ]


def test_an_explained_condition_neither_fires_nor_ends() -> None:
    pending = begun(AlertKind.NO_WORKER)
    firing = begun(AlertKind.STALLED)
    later = NOW + timedelta(hours=1)

    still_pending = advance(pending, condition(AlertKind.NO_WORKER), later, is_inhibited=True)
    still_firing = advance(firing, condition(AlertKind.STALLED), later, is_inhibited=True)

    assert still_pending.state is AlertState.PENDING
    assert still_firing.state is AlertState.FIRING


def test_a_resolve_beats_an_acknowledgement_that_comes_after_it() -> None:
    ended = resolve(begun(), Resolution.RECOVERED, NOW)

    assert acknowledge(ended, "ada", NOW) is ended
    assert snooze(ended, "ada", NOW + timedelta(hours=1)) is ended


def test_a_resolve_ends_an_acknowledged_alert_too() -> None:
    taken = acknowledge(begun(), "ada", NOW)

    ended = resolve(taken, Resolution.RUN_ENDED, NOW)

    assert (ended.state, ended.acknowledged_by) == (AlertState.RESOLVED, "ada")


def test_the_same_person_again_changes_nothing() -> None:
    taken = acknowledge(begun(), "ada", NOW)

    assert acknowledge(taken, "ada", NOW + timedelta(minutes=1)) is taken
    assert acknowledge(taken, "bob", NOW + timedelta(minutes=1)).acknowledged_by == "bob"


def shown(episode: Episode) -> tuple[object, ...]:
    """What a person can see of an alert."""
    return (
        episode.state,
        episode.severity,
        dict(episode.evidence),
        episode.scope,
        episode.occurrences,
        episode.recovering_at,
        episode.resolution,
        episode.acknowledged_by,
        episode.snoozed_until,
    )


class Episodes(RuleBasedStateMachine):
    """One subject, with any observations of it and any acts on its alert."""

    @initialize(kind=st.sampled_from(AlertKind), earlier=st.integers(0, 4), ago=st.integers(0, 300))
    def begin(self, kind: AlertKind, earlier: int, ago: int) -> None:
        self.now = NOW
        self.kind = kind
        first = condition(kind, NOW - timedelta(seconds=ago))
        self.episode = open_episode(UUID(int=1), first, NOW, earlier_episodes=earlier)
        self.seen = [self.episode]
        self.events = [event.what for event in events_between(None, self.episode, NOW)]

    def _become(self, after: Episode, *, told: bool = True) -> None:
        before = self.episode
        if not before.is_open:
            assert after is before, "nothing changes after the end"
        if shown(after) == shown(before):
            assert after.version == before.version
        else:
            assert after.version > before.version
        if after.state is not before.state:
            reachable = ALERT_TRANSITIONS[before.state]
            beyond = {state for one in reachable for state in ALERT_TRANSITIONS[one]}
            assert after.state in reachable | beyond
        if told:
            self.events += [event.what for event in events_between(before, after, self.now)]
        self.episode = after
        self.seen.append(after)

    @precondition(lambda self: self.episode.is_open)
    @rule(
        seconds=st.integers(1, 4000),
        is_observed=st.booleans(),
        severity=st.sampled_from(Severity),
        value=st.integers(0, 2),
        is_inhibited=st.booleans(),
        has_run_ended=st.booleans(),
    )
    def look(
        self,
        *,
        seconds: int,
        is_observed: bool,
        severity: Severity,
        value: int,
        is_inhibited: bool,
        has_run_ended: bool,
    ) -> None:
        self.now += timedelta(seconds=seconds)
        found = (
            condition(self.kind, self.now, severity=severity, evidence={"value": value})
            if is_observed
            else None
        )
        before = self.episode

        self._become(
            advance(
                before,
                found,
                self.now,
                is_inhibited=is_inhibited and is_observed,
                has_run_ended=has_run_ended and not is_observed,
            )
        )

        if (
            before.is_unstable
            and before.is_told
            and self.episode.resolution is Resolution.RECOVERED
        ):
            quiet_since = before.recovering_at
            assert quiet_since is not None
            assert self.now - quiet_since >= timedelta(minutes=30)

    @rule(name=st.sampled_from(["ada", "bob"]))
    def take_care(self, name: str) -> None:
        self._become(acknowledge(self.episode, name, self.now), told=False)

    @rule(minutes=st.integers(1, 60))
    def leave_alone(self, minutes: int) -> None:
        self._become(snooze(self.episode, "ada", self.now + timedelta(minutes=minutes)), told=False)

    @rule(resolution=st.sampled_from([Resolution.CONTINUED, Resolution.RUN_ENDED]))
    def end(self, resolution: Resolution) -> None:
        self._become(resolve(self.episode, resolution, self.now))

    @invariant()
    def it_fires_at_most_once(self) -> None:
        assert self.events.count(AlertEvent.FIRED) == int(self.episode.is_told)
        assert len({one.fired_at for one in self.seen if one.fired_at is not None}) <= 1

    @invariant()
    def its_end_is_told_exactly_if_its_beginning_was(self) -> None:
        has_ended = self.episode.state is AlertState.RESOLVED
        assert self.events.count(AlertEvent.RESOLVED) == int(has_ended)

    @invariant()
    def its_columns_agree_with_its_state(self) -> None:
        state = self.episode.state
        told = {AlertState.FIRING, AlertState.RECOVERING, AlertState.RESOLVED}
        assert self.episode.is_told is (state in told)
        assert (self.episode.recovering_at is not None) is (state is AlertState.RECOVERING)
        assert (self.episode.resolved_at is not None) is not self.episode.is_open
        assert (self.episode.resolution is not None) is not self.episode.is_open


TestEpisodes = Episodes.TestCase
