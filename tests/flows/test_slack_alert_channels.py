"""Channels that begin and end for the bot: an offer of alerts, and the end of subscriptions."""

from __future__ import annotations

import pytest

from bot.sandbox.slack.people import ADA, RANDOM
from bot.sandbox.slack.server import Sandbox
from bot.slack import ids
from core.domain.actor import Role
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.flows.test_slack_subscriptions import (
    alerts,
    bot,
    only,
    wait_for_post,
    wait_for_private,
)
from tests.sandbox import sandbox

__all__ = ["bot", "sandbox"]


async def test_who_invites_the_bot_is_offered_a_subscription(bot: RunningBot) -> None:
    human = bot.sandbox.human
    await human.invite("#random", user="ben")

    offer = await wait_for_private(bot, "Thanks for the invitation", user="ben")
    await human.click("#random", str(offer["ts"]), action_id=ids.SUBSCRIBE_ALERTS, user="ben")
    form = await human.wait_for(lambda: human.modal("ben"), what="the form")
    assert await human.submit(form["id"], {"kinds": ["failed"]}, user="ben") is None

    await wait_for_private(bot, "Subscribed (number 1)", user="ben")
    assert only(bot).channel_id == RANDOM
    assert not human.ephemerals("ada")


async def test_nobody_is_offered_what_they_may_not_do(sandbox: Sandbox) -> None:
    roles = {Role.RUNNER: (ADA,), Role.VIEWER: ("*",)}
    async with open_bot(sandbox, FakeServices(), roles=roles) as bot:
        await sandbox.human.invite("#random", user="ben")
        await bot.services.wait_until_handled()

        assert not sandbox.human.ephemerals("ben")
        await sandbox.wait_until_idle()


END_WORDS = {"archive": "was archived", "delete": "was deleted", "kick": "was removed from"}


@pytest.mark.parametrize("channel", ["#builds", "#secret"])
@pytest.mark.parametrize("how", END_WORDS)
async def test_the_end_of_a_channel_ends_its_subscriptions_and_tells_who_made_them(
    sandbox: Sandbox, channel: str, how: str
) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        await sandbox.human.invite(channel, user="ada")
        for text, user in (("failed", "ada"), ("stalled", "ada"), ("killed", "ben")):
            await alerts(bot, f"subscribe {text}", channel=channel, user=user)
            await wait_for_post(bot, f"to alerts: `{text}`", channel=channel)

        await end_channel(bot, channel, how)

        human = sandbox.human
        for user, count in (("ada", "2 subscriptions"), ("ben", "1 subscription")):
            told = await wait_for_post(bot, END_WORDS[how], channel=f"@{user}")
            assert count in told
            assert len(human.messages(f"@{user}")) == 1
        assert "/workflow alerts subscribe stalled" in human.text(human.messages("@ada")[0])
        assert not bot.subscriptions.kept
        await sandbox.wait_until_idle()


async def end_channel(bot: RunningBot, channel: str, how: str) -> None:
    human = bot.sandbox.human
    if how == "archive":
        await human.archive(channel)
    elif how == "delete":
        await human.delete_channel(channel)
    else:
        await human.kick(channel)


async def test_the_end_of_a_channel_without_subscriptions_tells_nobody(bot: RunningBot) -> None:
    await bot.sandbox.human.archive("#builds")
    await bot.services.wait_until_handled()

    assert not bot.sandbox.human.messages("@ada")
