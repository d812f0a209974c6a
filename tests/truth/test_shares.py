"""The shares of a campaign are measured as they are said to be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest

from core.domain.runs.run import Run, RunStatus
from tests.truth.shares import Share, Shares
from tests.truth.steady import steady_plans

BEGAN = datetime(2026, 11, 30, 12, tzinfo=UTC)
RUN = Run(
    id=uuid4(),
    run_id="run_0123456789ab",
    workflow_name="fix",
    task_input="Go",
    status=RunStatus.COMPLETED,
    created_at=BEGAN,
    updated_at=BEGAN,
    session_id=uuid4(),
    started_at=BEGAN,
    completed_at=BEGAN + timedelta(seconds=100),
)


def after(seconds: float) -> datetime:
    return BEGAN + timedelta(seconds=seconds)


def test_the_estimate_nearest_to_half_time_counts() -> None:
    shares = Shares()

    shares.add_estimates(
        RUN, [(after(10), after(400)), (after(52), after(110)), (after(90), BEGAN)]
    )

    assert shares.misses == [pytest.approx(0.1)]
    assert shares.unknown == 0


@pytest.mark.parametrize("samples", [[], [(after(5), after(100)), (after(95), after(100))]])
def test_without_an_estimate_about_half_time_nothing_is_measured(
    samples: list[tuple[datetime, datetime]],
) -> None:
    shares = Shares()

    shares.add_estimates(RUN, samples)
    shares.add_estimates(replace(RUN, completed_at=None), samples)

    assert (shares.misses, shares.unknown) == ([], 1)
    assert shares.is_enough


def test_shares_that_are_too_small_are_not_enough() -> None:
    results = [True] * 95 + [False] * 5

    assert Shares(results=results).is_enough
    assert not Shares(results=[*results, False]).is_enough
    assert not Shares(steps=[True, False]).is_enough
    assert not Shares(misses=[0.1, 0.1, 0.3, 0.3, 0.3]).is_enough
    assert Shares(misses=[0.3] * 4).is_enough
    assert str(Share(95, 100)) == "95 of 100 (95.0 %)"


def test_steady_plans_repeat_and_differ() -> None:
    first, again = (steady_plans(1, 3) for _ in range(2))

    assert first == again
    assert first[0].parts != first[1].parts
