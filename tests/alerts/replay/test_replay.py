"""A drawn day of runs gives exactly the expected alerts, though the bot is killed again and again.

`make alerts-replay` replays whole weeks.
"""

from __future__ import annotations

import pytest

from core.store.database.engine import Database
from tests.alerts.replay.campaign import replay

pytestmark = pytest.mark.any_speed


@pytest.mark.sampled(5, group="campaigns")
@pytest.mark.parametrize("seed", [1])
async def test_a_day_gives_exactly_the_expected_alerts(database: Database, seed: int) -> None:
    replayed = await replay(database, seed=seed, runs=8, days=1, crashes=20)

    assert replayed.found.lines == []
    assert replayed.found.alerts > 30
    assert replayed.found.messages > 100
    assert replayed.cut == 20
