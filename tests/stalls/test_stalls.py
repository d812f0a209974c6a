"""A few silent runs of each kind: the healthy ones are not told, the hung ones are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.store.database.engine import Database
from tests.core_harness import CoreHarness, open_core_harness
from tests.stalls.campaign import Campaign
from tests.stalls.cases import healthy_cases, hung_cases

pytestmark = pytest.mark.slow

# On two cores more agents at a time would wait for each other, and not for what the case is about.
_AT_ONCE = 6
_PACE = 2.0


@pytest.fixture
async def core_harness(database: Database, tmp_path: Path) -> AsyncIterator[CoreHarness]:
    """A core whose worker takes more runs at a time than usual."""
    config = f"[worker]\nslots = {_AT_ONCE}\n"
    async with open_core_harness(tmp_path / "home", database.dsn, config=config) as opened:
        yield opened


@pytest.mark.sampled(5, group="campaigns")
async def test_hung_runs_are_told_in_time_and_healthy_ones_are_not(
    core_harness: CoreHarness,
) -> None:
    names = [*hung_cases(_PACE), *healthy_cases(_PACE)]

    outcomes = await Campaign(core_harness, names, _PACE, _AT_ONCE).run()

    assert len(outcomes) == len(names)
    assert [f"{one.case}: {one.problem}" for one in outcomes if one.problem is not None] == []
    assert {one.case for one in outcomes if one.delay is not None} == set(hung_cases(_PACE))
