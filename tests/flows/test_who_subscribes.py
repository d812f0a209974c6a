"""Who may subscribe a channel in Slack, where the settings ask for a higher role."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.slack.people import ADA, BUILDS, TEAM_ID
from core.domain.actor import SYSTEM
from core.domain.runs.request import Place
from core.store.database.engine import Database
from tests.harness import CONFIG, Harness, open_harness

SETTINGS = f"""
[roles]
operator = ["{ADA}"]
runner = ["*"]

[alerts]
subscribe = "operator"
"""
REFUSED = "Only people with the role operator can subscribe channels to alerts; yours is runner."


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    """A bot without a worker, whose channels only operators subscribe."""
    config = f"{CONFIG}\n{SETTINGS}"
    async with (
        open_harness(database, tmp_path / "home", transport="socket", config=config) as opened,
        opened.serving(runs_worker=False),
    ):
        yield opened


async def test_a_runner_is_told_who_may(harness: Harness) -> None:
    await harness.command_and_wait("alerts subscribe failed", "Subscribed (number 1)")

    for text in ("subscribe", "subscribe killed", "mute 2h", "unsubscribe 1", "edit 1"):
        await harness.command_and_wait(f"alerts {text}", REFUSED, user="ben")
    await harness.command_and_wait("alerts list", "1 subscription", user="ben")

    assert harness.human.modal("ben") is None
    place = Place(team_id=TEAM_ID, channel_id=BUILDS)
    [kept] = await harness.backend.subscriptions.of_channel(place, by=SYSTEM)
    assert (kept.created_by, kept.muted_until) == ("ada", None)


async def test_only_who_may_is_offered_alerts_at_an_invitation(harness: Harness) -> None:
    await harness.human.invite("#secret", user="ben")
    await harness.human.invite("#random", user="ada")

    await harness.wait_for_private("Thanks for the invitation to <#C0RANDOM03>", user="ada")
    await harness.sandbox.wait_until_idle()

    assert harness.private_messages("ben") == []
