"""A short form of the campaign: one run for each kind of loss, in turn isolated and not."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.store.database.engine import Database
from tests.core_harness import CoreHarness, open_core_harness
from tests.isolation import found_isolation
from tests.losses.campaign import Loss, Losses, Plan, without_isolation
from tests.losses.script import STEPS, expected_files

pytestmark = pytest.mark.slow

# One seed for each loss; the second two are not isolated.
_SEEDS = (0, 1, 6, 7)


@pytest.fixture
async def core_harness(database: Database, tmp_path: Path) -> AsyncIterator[CoreHarness]:
    """A core without a worker: those of the campaign are processes of their own."""
    async with open_core_harness(tmp_path / "bot", database.dsn) as opened:
        yield opened


def test_the_seeds_have_every_loss() -> None:
    plans = [Plan.of(seed) for seed in _SEEDS]

    assert {plan.loss for plan in plans} == set(Loss)
    assert {plan.is_isolated for plan in plans} == {True, False}
    assert len(expected_files()) == STEPS


@pytest.mark.sampled(5, group="campaigns")
@pytest.mark.parametrize("seed", _SEEDS)
async def test_a_run_finishes_the_same_tree_after_a_loss(
    core_harness: CoreHarness, tmp_path: Path, seed: int
) -> None:
    plan = Plan.of(seed)
    if found_isolation().isolation is None:
        plan = without_isolation(plan)

    result = await Losses(core_harness, tmp_path / "runs").carry_out(plan)

    assert result.problem is None, f"{plan}: {result.problem}"
