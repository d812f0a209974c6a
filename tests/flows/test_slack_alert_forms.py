"""Examples, the form of a subscription, and who may use it, over Slack's protocols."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from bot.sandbox.slack.people import ADA, BUILDS, OPERATORS, PRIVATE
from bot.sandbox.slack.server import Sandbox
from bot.slack import ids
from core.domain.actor import Role
from core.domain.alerts.channels.subscription import Source
from core.domain.alerts.kinds import AlertKind
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.fakes.subscriptions import FakeSubscriptions
from tests.flows.test_slack_subscriptions import (
    alerts,
    bot,
    only,
    open_form,
    wait_for_post,
    wait_for_private,
)
from tests.sandbox import sandbox

__all__ = ["bot", "sandbox"]


async def press_row(bot: RunningBot, message: dict[str, Any], row: int, user: str = "ada") -> None:
    """Press the button of one row of a list."""
    rows = [block for block in message["blocks"] if "accessory" in block]
    await bot.sandbox.human.click(
        "#builds", str(message["ts"]), block_id=rows[row]["block_id"], user=user
    )


async def test_an_example_shows_what_would_come_and_where(bot: RunningBot) -> None:
    await alerts(bot, "subscribe stalled")
    await wait_for_post(bot, "subscribed this channel")

    stalled = await alerts(bot, "test")
    killed = await alerts(bot, "test killed")

    assert "*Example* of `stalled`" in stalled
    assert "Example: add rate limiting to the API" in stalled
    assert "would come at once" in stalled
    assert "would *not* get it" in killed
    assert len(bot.sandbox.human.messages("#builds")) == 1


@pytest.mark.parametrize("text", ["", "subscribe"])
async def test_without_arguments_a_form_subscribes_the_channel(sandbox: Sandbox, text: str) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        form = await open_form(bot, text)

        errors = await sandbox.human.submit(
            form["id"],
            {
                "kinds": ["failed", "max_turns"],
                "workflow": "implement",
                "owner": [ADA],
                "severity": "Only critical",
                "cost": "2.50",
                "for": "15m",
                "group": "@operators",
                "quiet": "22:00-07:00",
                "time_zone": "Europe/Berlin",
                "digest": "Every Monday",
                "digest_hour": "7",
                "progress": "10m",
            },
        )

        assert errors is None
        await wait_for_private(bot, "Subscribed (number 1)")
        made = only(bot)
        assert made.channel_id == BUILDS
        assert made.kinds == {AlertKind.FAILED, AlertKind.MAX_TURNS}
        assert (made.filter.workflow, made.filter.owner) == ("implement", ADA)
        assert made.mention == f"<!subteam^{OPERATORS}>"
        assert (str(made.digest), made.digest_hour) == ("weekly", 7)
        await wait_for_post(bot, "subscribed this channel to alerts")
        await sandbox.wait_until_idle()


async def test_the_form_shows_its_errors_at_their_fields(bot: RunningBot) -> None:
    form = await open_form(bot)

    wrong = await bot.sandbox.human.submit(form["id"], {"for": "soon", "quiet": "late"})
    unknown = await bot.sandbox.human.submit(
        form["id"], {"for": "15m", "quiet": "", "group": "@nobody"}
    )

    assert wrong is not None
    assert set(wrong) == {ids.FIELD_FOR, ids.FIELD_QUIET}
    assert unknown is not None
    assert set(unknown) == {ids.FIELD_GROUP}
    assert not bot.subscriptions.kept


async def test_a_row_of_the_list_opens_the_form_that_changes_it(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await alerts(bot, "subscribe failed mention=@operators")
    await alerts(bot, "subscribe stalled")
    await alerts(bot, "list")

    await press_row(bot, await wait_for_private(bot, "2 subscriptions"), 0)
    form = await human.wait_for(human.modal, what="the form")
    shown = {block.get("block_id"): block for block in form["blocks"]}
    assert shown[ids.FIELD_GROUP]["element"]["initial_value"] == "@operators"
    errors = await human.submit(form["id"], {"kinds": ["killed"], "group": ""})

    assert errors is None
    await wait_for_private(bot, "Changed.")
    first, second = bot.subscriptions.kept.values()
    assert first.kinds == {AlertKind.KILLED}
    assert first.mention is None
    assert second.kinds == {AlertKind.STALLED}
    await wait_for_post(bot, "changed a subscription of this channel")


async def test_the_only_subscription_needs_no_number(bot: RunningBot) -> None:
    await alerts(bot, "subscribe failed")

    form = await open_form(bot, "edit")

    assert form["title"]["text"] == "Change alerts"


async def test_what_the_configuration_keeps_is_not_changed_here(sandbox: Sandbox) -> None:
    kept = FakeSubscriptions()
    async with open_bot(sandbox, FakeServices(), subscriptions=kept) as bot:
        await alerts(bot, "subscribe failed")
        made = only(bot)
        kept.kept[made.id] = replace(made, source=Source.CONFIG)

        listed = await alerts(bot, "list")

        assert "kept in `signalbox.toml`" in listed
        for text in ("edit", "edit 1", "unsubscribe", "unsubscribe 1", "unsubscribe all"):
            assert "change it there" in await alerts(bot, text)
        assert kept.kept
        await sandbox.wait_until_idle()


async def test_where_no_form_can_open_it_is_said_what_to_type(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.say("#builds", "@signalbox alerts subscribe")

    await wait_for_private(bot, "`@signalbox alerts subscribe usual`")

    await human.say("#builds", "@signalbox alerts subscribe usual")
    await wait_for_private(bot, "Subscribed (number 1)")
    await human.say("#builds", "@signalbox alerts edit")
    await wait_for_private(bot, "No form can be opened from here")


async def test_a_viewer_sees_subscriptions_and_changes_none(sandbox: Sandbox) -> None:
    roles = {Role.RUNNER: (ADA,), Role.VIEWER: ("*",)}
    async with open_bot(sandbox, FakeServices(), roles=roles) as bot:
        await alerts(bot, "subscribe failed")

        assert "1 subscription" in await alerts(bot, "list", user="ben")
        for text in ("subscribe", "subscribe stalled", "mute 2h", "unsubscribe 1", "edit 1"):
            assert "role runner" in await alerts(bot, text, user="ben")
        assert len(bot.subscriptions.kept) == 1
        assert sandbox.human.modal("ben") is None
        await sandbox.wait_until_idle()


async def test_only_members_of_a_channel_subscribe_it_by_a_form(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        await sandbox.human.invite("#secret", user="ada")
        form = await open_form(bot, user="cleo")
        view = sandbox.workspace.view(form["id"])
        assert view is not None
        # A client can send any metadata.
        forged = view.document["private_metadata"].replace(BUILDS, PRIVATE)
        view.document["private_metadata"] = forged

        errors = await sandbox.human.submit(form["id"], {"kinds": ["failed"]}, user="cleo")

        assert errors is not None
        assert "Only members of a channel" in errors[ids.FIELD_KINDS]
        assert not bot.subscriptions.kept
        await sandbox.wait_until_idle()
