"""The short form of `make fuzz`, on the database of the tests."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from bot.assembly.backend import open_backend
from bot.assembly.settings import load_settings
from bot.sandbox.slack.server import ACK_SECONDS, open_sandbox
from core.store.database.engine import Database
from tests.fuzz.campaign import run_campaign
from tests.fuzz.target import open_target
from tests.limits import patient
from tests.sandbox import SLACK_DATA

pytestmark = pytest.mark.full_speed

CASES = 600


async def test_mutated_deliveries_are_never_answered_with_500_or_a_traceback(
    database: Database, tmp_path: Path
) -> None:
    seed = secrets.randbelow(10**6)
    settings = load_settings(DATABASE_URL=database.dsn, SIGNALBOX_HOME=tmp_path)
    async with (
        open_sandbox(rate_limits=False, ack_timeout=patient(ACK_SECONDS)) as sandbox,
        open_backend(settings, migrates=False) as backend,
        open_target(sandbox, backend) as target,
    ):
        outcome = await run_campaign(
            target,
            sandbox,
            count=CASES,
            seed=seed,
            recorded=SLACK_DATA if SLACK_DATA.exists() else None,
        )

    assert outcome.is_clean, f"python -m tests.fuzz --seed {seed} --count {CASES}\n" + "\n".join(
        outcome.lines()
    )
    assert outcome.statuses["signed 400"] > CASES / 20
    assert outcome.statuses["signed 200"] > CASES / 20
    assert sum(outcome.statuses.values()) == CASES
