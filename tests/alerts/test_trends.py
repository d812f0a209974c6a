"""Trends on real rows: what fires, what clears, and what has too little to say anything."""

from __future__ import annotations

from decimal import Decimal

import pytest

from core.domain.alerts.episode import Resolution
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import StopReason
from core.store.database.engine import Database
from tests.alerts.world import RUNNER, AlertWorld

pytestmark = pytest.mark.any_speed


@pytest.fixture
def world(database: Database) -> AlertWorld:
    """A fleet without workers, runs and subscriptions."""
    return AlertWorld(database)


async def ends(world: AlertWorld, pattern: str) -> None:
    """Runs that end a minute apart: `.` completes, `F` fails, `K` is stopped, `U` at a limit."""
    reasons = {
        ".": StopReason.SUCCESS,
        "F": StopReason.AGENT_ERROR,
        "K": StopReason.KILLED,
        "U": StopReason.USAGE_LIMIT,
        "T": StopReason.MAX_TURNS,
    }
    for mark in pattern:
        world.wait(minutes=1)
        await world.ended_run(reasons[mark])
        await world.evaluate()


async def rates(world: AlertWorld) -> list[bool]:
    """Whether each alert about the failure rate is open, newest first."""
    return [
        alert.is_open for alert in await world.all_alerts() if alert.kind is AlertKind.FAILURE_RATE
    ]


async def test_three_failures_among_five_after_few_before_are_told(world: AlertWorld) -> None:
    await ends(world, ("F" + "." * 14) * 4 + "F.F.F")

    alert = await world.only(AlertKind.FAILURE_RATE)
    assert (alert.evidence["failures"], alert.evidence["runs"]) == (3, 5)
    assert (alert.evidence["failures_before"], alert.evidence["runs_before"]) == (4, 60)
    assert alert.evidence["p"] == pytest.approx(0.007, abs=0.0005)


TOO_LITTLE = ["." * 60 + "F.F", "." * 12 + "KKKKK", "." * 12 + "TTTTT", "FFFFF", "." * 9 + "FFFFF"]


@pytest.mark.sampled(2)
@pytest.mark.parametrize("pattern", TOO_LITTLE)
async def test_what_says_too_little_is_not_told(world: AlertWorld, pattern: str) -> None:
    await ends(world, pattern)

    assert await rates(world) == []


async def test_it_is_over_after_ten_runs_without_excess(world: AlertWorld) -> None:
    await ends(world, "." * 30 + "FFF")
    assert await rates(world) == [True]

    await ends(world, "..")
    assert await rates(world) == [True], "three of five still failed"
    await ends(world, "." * 8)

    assert await rates(world) == [False]
    assert (await world.only(AlertKind.FAILURE_RATE)).resolution is Resolution.RECOVERED


async def test_a_usage_limit_explains_failures(world: AlertWorld) -> None:
    await ends(world, "." * 30 + "FFU")
    await ends(world, "UU")

    assert await rates(world) == []


async def test_an_expensive_run_is_told_with_what_it_was_compared(world: AlertWorld) -> None:
    for number in range(12):
        world.wait(minutes=1)
        await world.ended_run(cost_usd=Decimal("1.00") + Decimal(number) / 100)
        await world.evaluate()
    await world.ended_run(cost_usd=Decimal("1.90"))
    await world.evaluate()
    assert [one.kind for one in await world.all_alerts()].count(AlertKind.COST_SPIKE) == 0

    run = await world.ended_run(cost_usd=Decimal("9.00"))
    await world.evaluate()

    alert = await world.only(AlertKind.COST_SPIKE)
    assert alert.run_id == run.id
    assert alert.evidence["compared"] == 13
    assert alert.evidence["factor"] == 8.5


async def test_too_few_runs_are_said_to_be_too_few(world: AlertWorld) -> None:
    await ends(world, "....K")

    [found] = await world.alerts.trend_readiness(by=RUNNER)

    assert (found.workflow, found.judged, found.costed) == ("implement", 4, 0)
    assert (found.missing_for_failure_rate, found.missing_for_cost_spike) == (11, 13)
