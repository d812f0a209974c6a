"""Whether somebody may act on a channel from elsewhere, asked of the sandbox over HTTP."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from bot.sandbox.slack.people import (
    ADA,
    ARCHIVED,
    BEN,
    BOT_USER_ID,
    BUILDS,
    PARTNERS,
    PRIVATE,
    RANDOM,
    TEAM_ID,
)
from bot.sandbox.slack.server import Sandbox
from bot.slack.client.errors import SlackError
from bot.slack.inbound.access import NotAdmitted
from core.domain.actor import Action, Actor, Origin, Role
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.sandbox import sandbox

__all__ = ["sandbox"]

# A token that acts for itself.
PROGRAM = Actor(role=Role.RUNNER, origin=Origin.API, name="ci", token="ci")


@pytest.fixture
async def bot(sandbox: Sandbox) -> AsyncIterator[RunningBot]:
    async with open_bot(sandbox, FakeServices(), is_drawing=False) as opened:
        yield opened
        await sandbox.wait_until_idle()


def member(slack_user_id: str) -> Actor:
    """A member of the workspace whose token acts as they may."""
    return Actor(
        role=Role.RUNNER,
        origin=Origin.API,
        external_id=slack_user_id,
        team_id=TEAM_ID,
        name="ada",
        token="ada",
    )


async def admit(bot: RunningBot, channel_id: str, by: Actor) -> None:
    await bot.runtime.channels.require(channel_id, Action.SUBSCRIBE, by=by)


@pytest.mark.parametrize("by", [PROGRAM, member(BEN)], ids=["program", "member"])
async def test_a_channel_with_the_bot_is_open_to_programs_and_its_members(
    bot: RunningBot, by: Actor
) -> None:
    await admit(bot, BUILDS, by)

    assert bot.services.refusals == []


@pytest.mark.parametrize(
    ("channel_id", "by", "reason", "words"),
    [
        (RANDOM, PROGRAM, "bot not in channel", "/invite @signalbox"),
        (RANDOM, member(ADA), "bot not in channel", "/invite @signalbox"),
        ("C0NOWHERE1", PROGRAM, "bot not in channel", "Signalbox is not in this channel"),
        (ARCHIVED, PROGRAM, "archived channel", "archived"),
        (PARTNERS, member(ADA), "shared channel", "another organisation"),
        ("D0NOBODY01", PROGRAM, "foreign direct message", "only for the person who writes it"),
        ("D0NOBODY01", member(ADA), "foreign direct message", "not part of this conversation"),
    ],
)
async def test_a_refusal_says_why_and_is_audited(
    bot: RunningBot, channel_id: str, by: Actor, reason: str, words: str
) -> None:
    with pytest.raises(NotAdmitted) as refusal:
        await admit(bot, channel_id, by)

    assert words in refusal.value.user_message
    assert bot.services.refusals == [(by, Action.SUBSCRIBE, reason)]


async def test_a_member_acts_on_no_channel_that_they_are_not_in(bot: RunningBot) -> None:
    bot.sandbox.workspace.channel(BUILDS).members.discard(BEN)
    by = member(BEN)

    with pytest.raises(NotAdmitted, match="not in channel") as refusal:
        await admit(bot, BUILDS, by)

    assert "You are not in this channel." in refusal.value.user_message
    assert bot.services.refusals == [(by, Action.SUBSCRIBE, "not in channel")]
    await admit(bot, BUILDS, member(ADA))
    await admit(bot, BUILDS, PROGRAM)


async def test_a_refusal_is_not_remembered_and_an_admission_is(bot: RunningBot) -> None:
    channel = bot.sandbox.workspace.channel(BUILDS)
    channel.members.discard(BEN)
    with pytest.raises(NotAdmitted):
        await admit(bot, BUILDS, member(BEN))
    channel.members.add(BEN)
    await admit(bot, BUILDS, member(BEN))
    asked = len(bot.sandbox.calls("conversations.members"))

    channel.members.discard(BEN)
    await admit(bot, BUILDS, member(BEN))

    assert len(bot.sandbox.calls("conversations.members")) == asked == 2


async def test_a_private_channel_is_open_to_its_members_once_the_bot_is_in_it(
    bot: RunningBot,
) -> None:
    with pytest.raises(NotAdmitted, match="bot not in channel"):
        await admit(bot, PRIVATE, member(BEN))
    bot.sandbox.workspace.channel(PRIVATE).members.add(BOT_USER_ID)

    await admit(bot, PRIVATE, member(BEN))

    assert [reason for _, _, reason in bot.services.refusals] == ["bot not in channel"]


async def test_a_direct_message_with_the_bot_is_open_to_its_person_alone(bot: RunningBot) -> None:
    own = await bot.slack.direct_channel(BEN)

    await admit(bot, own, member(BEN))

    for other in (member(ADA), PROGRAM):
        with pytest.raises(NotAdmitted, match="foreign direct message"):
            await admit(bot, own, other)


async def test_a_member_of_a_large_channel_is_found_on_a_later_page(bot: RunningBot) -> None:
    members = bot.sandbox.workspace.channel(BUILDS).members
    members |= {f"U00{number:07}" for number in range(2000)}
    assert sorted(members).index(BEN) >= 2000

    await admit(bot, BUILDS, member(BEN))

    assert len(bot.sandbox.calls("conversations.members")) == 3


async def test_a_channel_that_the_settings_do_not_list_is_refused(sandbox: Sandbox) -> None:
    async with open_bot(
        sandbox, FakeServices(), is_drawing=False, allowed_channels=frozenset({RANDOM})
    ) as bot:
        with pytest.raises(NotAdmitted, match="channel not allowed") as refusal:
            await admit(bot, BUILDS, PROGRAM)

        assert "`[channels] allow`" in refusal.value.user_message
        await sandbox.wait_until_idle()


async def test_without_an_answer_of_slack_nobody_is_admitted(bot: RunningBot) -> None:
    bot.sandbox.faults.add("conversations.members", "internal_error")

    with pytest.raises(SlackError):
        await admit(bot, BUILDS, member(BEN))

    assert bot.services.refusals == []
    await admit(bot, BUILDS, member(BEN))
