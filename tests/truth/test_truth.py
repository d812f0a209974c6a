"""A few generated sessions: what is shown of each run is what the scripted model counted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.core_harness import CoreHarness, core_harness
from tests.truth.account import Account
from tests.truth.campaign import Campaign
from tests.truth.drawing import plan_of
from tests.truth.plan import Disturbance, Plan

__all__ = ["core_harness"]

pytestmark = pytest.mark.slow

_SEED = 11


def plans(count: int, disturbance: Disturbance) -> Sequence[Plan]:
    """The first plans with this disturbance."""
    return [
        plan_of(_SEED, number, disturbance=disturbance, has_time_limits=False)
        for number in range(count)
    ]


@pytest.mark.sampled(5, group="campaigns")
@pytest.mark.parametrize(
    ("disturbance", "count"),
    [(Disturbance.NONE, 4), (Disturbance.RESTARTED, 2), (Disturbance.LOST, 2)],
)
async def test_all_that_is_shown_of_generated_runs_is_true(
    core_harness: CoreHarness, tmp_path: Path, disturbance: Disturbance, count: int
) -> None:
    campaign = Campaign(core_harness, tmp_path, plans(count, disturbance))

    assert await campaign.run() == []
    assert len(campaign.figures) >= count
    assert sum(one.turns for one in campaign.figures) > count
    assert campaign.shares.is_enough, campaign.shares.lines()


def test_plans_differ_and_repeat() -> None:
    first, again = (plans(30, Disturbance.NONE) for _ in range(2))

    assert first == again
    assert len({plan.describe() for plan in first}) > 15
    assert {len(plan.legs) for plan in first} == {1, 2, 3}
    assert any(plan.helpers for plan in first)


def test_an_account_of_nothing_has_no_cost() -> None:
    (plan,) = plans(1, Disturbance.NONE)

    account = Account({plan.number: plan})
    account.begin_leg(plan)
    figures = account.figures(plan, since=0)

    assert (figures.turns, figures.cost_usd, figures.last_words) == (0, None, None)
