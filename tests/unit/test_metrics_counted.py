"""What a process counts where it happens."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from bot.slack.client.meter import COUNTED_NAMES, CallOutcome, counted_name
from bot.slack.client.rates import RATES
from bot.slack.drawing.lag import DrawingLag
from bot.web.metrics.counted import OTHER_WORKFLOW, CountedMetrics, phase_durations
from core.domain.drawables import DrawableId
from core.domain.kills.termination import Phase, Termination
from core.domain.runs.run import CostSource, Run, RunStatus, StopReason
from tests.database import NOW, new_run

ENDED = NOW + timedelta(seconds=70)


def counts() -> CountedMetrics:
    counted = CountedMetrics(version="1.2.3")
    counted.expect_workflows(["implement", "review"])
    return counted


def value(counted: CountedMetrics, name: str, **labels: str) -> float | None:
    return counted.registry.get_sample_value(name, labels)


def ended_run(reason: StopReason = StopReason.SUCCESS, **fields: object) -> Run:
    run = new_run(
        uuid4(),
        status=reason.final_status,
        stop_reason=reason,
        started_at=NOW + timedelta(seconds=10),
        completed_at=ENDED,
    )
    return replace(run, **fields)  # type: ignore[arg-type]


def kill(*phases: tuple[Phase, int], seen: int = 1) -> Termination:
    return Termination(
        id=uuid4(),
        run_id=uuid4(),
        phase=phases[-1][0],
        requested_at=NOW,
        phases=dict(phases),
        processes_seen=seen,
    )


def test_an_ended_run_is_counted_with_its_duration_and_cost() -> None:
    counted = counts()

    counted.run_ended(
        ended_run(
            StopReason.MAX_TURNS, cost_usd=Decimal("1.4468734"), cost_source=CostSource.REPORTED
        )
    )

    assert (
        value(
            counted,
            "signalbox_runs_total",
            status="failed",
            stop_reason="max_turns",
            workflow="implement",
        )
        == 1
    )
    labels = {"status": "failed", "workflow": "implement"}
    assert value(counted, "signalbox_run_duration_seconds_sum", **labels) == 60
    assert (
        value(counted, "signalbox_cost_usd_total", source="reported", workflow="implement")
        == 1.4468734
    )


def test_a_run_that_never_began_has_no_duration() -> None:
    counted = counts()

    counted.run_ended(ended_run(StopReason.KILLED, started_at=None))

    assert (
        value(
            counted,
            "signalbox_runs_total",
            status="killed",
            stop_reason="killed",
            workflow="implement",
        )
        == 1
    )
    assert (
        value(
            counted, "signalbox_run_duration_seconds_count", status="killed", workflow="implement"
        )
        is None
    )


def test_every_way_to_end_begins_at_zero() -> None:
    counted = counts()

    found = {
        reason: value(
            counted,
            "signalbox_runs_total",
            status=reason.final_status.value,
            stop_reason=reason.value,
            workflow="review",
        )
        for reason in StopReason
    }

    assert set(found.values()) == {0}


@given(names=st.lists(st.text(max_size=30), max_size=30))
def test_unknown_workflows_share_one_label(names: list[str]) -> None:
    counted = counts()
    known = {"implement", "review"}

    for name in names:
        counted.run_ended(ended_run(workflow_name=name))

    samples = [
        sample
        for family in counted.registry.collect()
        for sample in family.samples
        if sample.name == "signalbox_runs_total"
    ]
    assert {sample.labels["workflow"] for sample in samples} == {*known, OTHER_WORKFLOW}
    assert sum(sample.value for sample in samples) == len(names)


def test_only_the_first_attempt_counts_as_a_wait() -> None:
    counted = counts()
    run = ended_run(status=RunStatus.RUNNING)

    counted.run_began(run)
    counted.run_began(replace(run, attempt=2))

    assert value(counted, "signalbox_run_wait_seconds_count") == 1
    assert value(counted, "signalbox_run_wait_seconds_sum") == 10


def test_a_confirmed_kill_is_counted_with_its_phases() -> None:
    counted = counts()
    phases = (
        (Phase.REQUESTED, 0),
        (Phase.ACKNOWLEDGED, 40),
        (Phase.INTERRUPTED, 50),
        (Phase.CONFIRMED, 1250),
    )

    for length in range(2, len(phases) + 1):
        counted.kill_advanced(kill(*phases[:length]))

    assert value(counted, "signalbox_kills_total", result="confirmed") == 1
    assert value(counted, "signalbox_kill_duration_seconds_sum") == 1.25
    name = "signalbox_kill_phase_duration_seconds_sum"
    assert value(counted, name, phase="requested") == 0.04
    assert value(counted, name, phase="interrupted") == 1.2
    assert value(counted, name, phase="confirmed") is None


def test_a_kill_that_is_confirmed_late_is_counted_as_both() -> None:
    counted = counts()
    unconfirmed = ((Phase.REQUESTED, 0), (Phase.KILLED, 8000), (Phase.UNCONFIRMED, 10_000))

    counted.kill_advanced(kill(*unconfirmed))
    counted.kill_advanced(kill(*unconfirmed, (Phase.CONFIRMED, 60_000)))

    assert value(counted, "signalbox_kills_total", result="confirmed") == 0
    assert value(counted, "signalbox_kills_total", result="unconfirmed") == 1
    assert value(counted, "signalbox_kills_total", result="confirmed_late") == 1
    assert value(counted, "signalbox_kill_phase_duration_seconds_count", phase="killed") == 1
    assert value(counted, "signalbox_kill_duration_seconds_sum") == 60


def test_the_kill_of_a_run_that_had_no_process_has_no_duration() -> None:
    counted = counts()

    counted.kill_advanced(kill((Phase.REQUESTED, 0), (Phase.CONFIRMED, 0), seen=0))

    assert value(counted, "signalbox_kills_total", result="confirmed") == 1
    assert value(counted, "signalbox_kill_duration_seconds_count") == 0


@given(times=st.lists(st.integers(-10, 100_000), min_size=1, max_size=len(Phase)))
def test_phase_durations_are_never_negative(times: list[int]) -> None:
    phases = dict(zip(Phase, times, strict=False))

    durations = phase_durations(kill(*phases.items()))

    assert [phase for phase, _ in durations] == list(phases)[:-1]
    assert all(seconds >= 0 for _, seconds in durations)


def test_a_call_that_was_not_sent_has_no_duration() -> None:
    counted = counts()

    counted.slack_called("chat.update", CallOutcome.RATE_LIMITED, 0.2)
    counted.slack_called("chat.update", CallOutcome.HELD_BACK, None)

    name = "signalbox_slack_calls_total"
    assert value(counted, name, method="chat.update", outcome="rate_limited") == 1
    assert value(counted, name, method="chat.update", outcome="held_back") == 1
    name = "signalbox_slack_call_duration_seconds_count"
    assert value(counted, name, method="chat.update") == 1


@given(method=st.text(max_size=40))
def test_methods_get_a_known_label(method: str) -> None:
    assert counted_name(method) in COUNTED_NAMES
    assert all(counted_name(known) == known for known in RATES)


def test_the_first_429_of_a_method_is_an_increase() -> None:
    counted = counts()
    counted.expect_calls(COUNTED_NAMES, tuple(CallOutcome))

    name = "signalbox_slack_calls_total"
    assert value(counted, name, method="chat.update", outcome="rate_limited") == 0


def test_the_lag_counts_from_when_a_drawable_was_first_seen_outdated() -> None:
    counted = counts()
    now = 100.0
    lag = DrawingLag(counted, lambda: now)
    card, home = DrawableId("thread", "run_1"), DrawableId("home", "U1")

    lag.found_outdated([card])
    now = 103.0
    lag.found_outdated([card, home])
    now = 104.0
    oldest = lag.oldest_seconds
    lag.record_drawn(card)
    lag.record_drawn(card)

    assert oldest == 4
    assert lag.oldest_seconds == 1
    assert value(counted, "signalbox_drawing_lag_seconds_count", kind="thread") == 1
    assert value(counted, "signalbox_drawing_lag_seconds_sum", kind="thread") == 4


def test_a_process_that_draws_no_longer_has_no_lag() -> None:
    lag = DrawingLag(counts(), lambda: 5.0)
    lag.found_outdated([DrawableId("thread", "run_1")])

    lag.forget()

    assert lag.oldest_seconds == 0
