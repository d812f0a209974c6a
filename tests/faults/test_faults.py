"""The fault suite in short: a few concurrent faults, and tests of its parts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from tests.faults.fleet import open_fleet
from tests.faults.plan import WEIGHTS, Kind, Plan, plan_of
from tests.faults.results import (
    InjectionResult,
    Progress,
    Violation,
    ViolationKind,
    delay_summary,
    results_table,
)
from tests.faults.trial import Trial

SEED = 20
AT_ONCE = (
    Kind.WORKER_KILLED,
    Kind.BOT_KILLED,
    Kind.AGENT_KILLED,
    Kind.POSTGRES_FAST,
    Kind.SLACK_LOST_ANSWER,
    Kind.DELIVERIES,
)


def short_plan(number: int, kind: Kind) -> Plan:
    """An injection of one run, made soon."""
    plan = plan_of(SEED, number, kinds=[kind])
    return replace(
        plan, tasks=plan.tasks[:1], delay=min(plan.delay, 3.0), seconds=min(plan.seconds, 1.0)
    )


@pytest.mark.sampled(5, group="campaigns")
# Starting four processes alone takes long on a busy machine.
@pytest.mark.slow
@pytest.mark.timeout(1200)
async def test_a_fleet_loses_and_doubles_nothing_under_six_concurrent_faults(
    tmp_path: Path,
) -> None:
    async with open_fleet() as fleet:
        trials = [
            Trial(fleet, short_plan(number, kind), SEED, tmp_path)
            for number, kind in enumerate(AT_ONCE)
        ]
        results = await asyncio.gather(*(trial.run() for trial in trials))

    assert not [result.summary for result in results if result.violations]
    # One of them may have had no victim.
    assert sum(bool(result.skipped) for result in results) <= 1, results
    assert sum(make_result.runs for make_result in results) >= len(AT_ONCE)


def test_a_number_always_means_the_same_injection() -> None:
    assert plan_of(1, 17) == plan_of(1, 17)
    assert plan_of(1, 17) != plan_of(2, 17)
    assert len({plan_of(1, number).describe() for number in range(50)}) > 40


def test_five_hundred_injections_contain_every_kind() -> None:
    drawn = {plan_of(1, number).kind for number in range(500)}

    assert drawn == set(WEIGHTS) == set(Kind) - {Kind.AFTER}


def make_result(
    number: int, kind: Kind = Kind.BOT_KILLED, *wrong: ViolationKind, skipped: str = ""
) -> InjectionResult:
    return InjectionResult(
        seed=SEED,
        number=number,
        kind=kind,
        description="the description",
        runs=2,
        seconds=1.5,
        violations=tuple(Violation(one, "run_1", "is wrong") for one in wrong),
        skipped=skipped,
    )


def test_progress_is_loaded_for_its_own_seed(tmp_path: Path) -> None:
    progress = Progress.load(tmp_path / "progress", seed=SEED)
    progress.add(make_result(3, Kind.DISK_FULL, ViolationKind.LOST))
    progress.add(replace(make_result(4), seed=SEED + 1))

    again = Progress.load(tmp_path / "progress", seed=SEED)

    assert again.results == {3: make_result(3, Kind.DISK_FULL, ViolationKind.LOST)}


def test_the_table_counts_by_kind_without_skipped_injections() -> None:
    table = results_table(
        [
            make_result(1, Kind.BOT_KILLED, ViolationKind.LOST, ViolationKind.COST),
            make_result(2),
            make_result(3, Kind.DISK_FULL, skipped="needs root"),
        ]
    )

    assert "| bot SIGKILL | 2 | 4 | 1 | 0 | 0 | 0 | 1 |" in table
    assert "| disk full | 0 (+1 skipped) | 0 | 0 | 0 | 0 | 0 | 0 |" in table
    assert "| **all** | 2 (+1 skipped) | 4 | 1 | 0 | 0 | 0 | 1 |" in table


def test_the_delays_of_results_are_summarized() -> None:
    fast, slow = (
        replace(make_result(1), result_delays=(0.5, 1.0)),
        replace(make_result(2), result_delays=(90.25,)),
    )

    assert delay_summary([fast, slow]) == (
        "results of 3 runs were in Slack after their ends: median 1.0 s, p99 90.2 s, longest 90.2 s"
    )
    assert delay_summary([make_result(3)]) == ""
