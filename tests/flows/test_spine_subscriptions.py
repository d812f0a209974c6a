"""Subscriptions from a command to the rows, on a whole Signalbox."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.sandbox.slack.people import BUILDS, TEAM_ID
from core.domain.actor import SYSTEM
from core.domain.alerts.channels.subscription import Source, Subscription
from core.domain.alerts.kinds import AlertKind, Severity
from core.domain.runs.request import Place
from core.store.database.engine import Database
from tests.harness import Harness, open_harness

PLACE = Place(team_id=TEAM_ID, channel_id=BUILDS)


@pytest.fixture
async def harness(database: Database, tmp_path: Path) -> AsyncIterator[Harness]:
    """A bot without a worker."""
    async with (
        open_harness(database, tmp_path / "home", transport="socket") as opened,
        opened.serving(runs_worker=False),
    ):
        yield opened


async def kept(harness: Harness) -> list[Subscription]:
    """The rows of the channel."""
    return await harness.backend.subscriptions.of_channel(PLACE, by=SYSTEM)


async def test_a_subscription_is_made_changed_muted_and_ended(harness: Harness) -> None:
    await harness.command("alerts subscribe failed stalled workflow=builder severity>=warning")
    await harness.wait_for_private("Subscribed (number 1)")

    [made] = await kept(harness)
    assert made.kinds == {AlertKind.FAILED, AlertKind.STALLED}
    # The workflow's own name, of which `builder` is another.
    assert made.filter.workflow == "implement"
    assert made.filter.least_severity is Severity.WARNING
    assert (made.source, made.created_by) == (Source.SLACK, "ada")

    await harness.command("alerts edit")
    form = await harness.human.wait_for(harness.human.modal, what="the form")
    errors = await harness.human.submit(form["id"], {"kinds": ["killed"], "cost": "2.50"})
    assert errors is None
    await harness.wait_for_private("Changed.")
    await harness.command("alerts mute 2h", user="ben")
    await harness.wait_for_private("not even of critical alerts", user="ben")
    [changed] = await kept(harness)
    assert changed.id == made.id
    assert changed.kinds == {AlertKind.KILLED}
    assert changed.muted_by == "ben"

    await harness.command("alerts unsubscribe")
    await harness.wait_for_private("No alerts are told here any more")
    assert await kept(harness) == []


async def test_bounds_and_names_are_checked_and_said(harness: Harness) -> None:
    await harness.command("alerts subscribe failed workflow=nonsense")
    await harness.wait_for_private("`/workflow workflows` describes them.")
    await harness.command("alerts subscribe failed")
    await harness.wait_for_private("Subscribed (number 1)")
    await harness.command("alerts mute 60d")
    await harness.wait_for_private("Alerts can be muted for 1 minute to 30 days.")

    for number in range(2, 21):
        await harness.command(f"alerts subscribe failed cost={number}")
        await harness.wait_for_private(f"Subscribed (number {number})")
    await harness.command("alerts subscribe failed cost=99")
    await harness.wait_for_private("This channel already has 20 subscriptions.")

    assert len(await kept(harness)) == 20


async def test_an_archived_channel_ends_its_rows_and_tells_who_made_them(
    harness: Harness,
) -> None:
    await harness.command("alerts subscribe failed", user="ben")
    await harness.wait_for_private("Subscribed (number 1)", user="ben")
    human = harness.human
    await human.wait_for(lambda: human.messages(BUILDS), what="the public line")

    await human.archive(BUILDS)

    told = await human.wait_for(lambda: human.messages("@ben"), what="the direct message")
    assert "was archived" in human.text(told[0])
    assert "/workflow alerts subscribe failed" in human.text(told[0])
    assert await kept(harness) == []
