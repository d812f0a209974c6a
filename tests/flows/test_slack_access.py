"""Access by every route: the people with permission, and the answers to all others."""

from __future__ import annotations

from typing import Any

import pytest

from bot.sandbox.slack.people import ADA, BUILDS, GENERAL, OPERATORS, RANDOM
from bot.sandbox.slack.server import Sandbox
from bot.slack.client.errors import SlackRefused
from core.domain.actor import Role
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.sandbox import sandbox

__all__ = ["sandbox"]


async def wait_for_private(bot: RunningBot, words: str, user: str) -> dict[str, Any]:
    human = bot.sandbox.human
    return await human.wait_for(
        lambda: next((m for m in human.ephemerals(user) if words in human.text(m)), None),
        what=words,
    )


async def started_card(bot: RunningBot, channel: str = "#builds") -> str:
    human = bot.sandbox.human
    await human.slash(channel, "/workflow", "run builder Add a button")
    card = await human.wait_for(
        lambda: next((m for m in human.messages(channel) if m.get("bot_id")), None), what="card"
    )
    return str(card["ts"])


@pytest.mark.parametrize(
    ("user", "channel", "words", "reason"),
    [
        ("gus", "#builds", "full members", "guest"),
        ("ada", "#random", "/invite @signalbox", "bot not in channel"),
        ("ada", "#partners", "another organisation", "shared channel"),
    ],
)
async def test_a_command_of_the_wrong_person_or_channel_is_refused_in_private(
    sandbox: Sandbox, user: str, channel: str, words: str, reason: str
) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        await sandbox.human.slash(channel, "/workflow", "run builder x", user=user)

        await wait_for_private(bot, words, user)
        assert [found[2] for found in bot.services.refusals] == [reason]
        assert not bot.services.start_requests


async def test_an_invitation_takes_effect_at_once(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        await sandbox.human.slash("#random", "/workflow", "run builder x")
        await wait_for_private(bot, "/invite", "ada")
        assert not bot.services.start_requests

        await sandbox.human.invite("#random")
        await sandbox.human.slash("#random", "/workflow", "run builder x")

        await bot.services.wait_until(lambda: bot.services.start_requests)
        assert {start.place.channel_id for start in bot.services.start_requests if start.place} == {
            RANDOM
        }
        assert [found[2] for found in bot.services.refusals] == ["bot not in channel"]


async def test_a_guests_button_mention_and_reply_do_nothing(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        ts = await started_card(bot, "#general")

        await sandbox.human.click("#general", ts, label="Kill", user="gus")
        await sandbox.human.say("#general", "@signalbox kill", thread_ts=ts, user="gus")
        await sandbox.human.say("#general", "hm", thread_ts=ts, user="gus")

        await bot.services.wait_until(
            lambda: len(bot.services.refusals) == 3, what="three refusals"
        )
        await bot.services.wait_until_handled()
        assert not bot.services.kills
        # The reply was a conversation between people, so it gets no answer.
        assert len(sandbox.human.ephemerals("gus")) == 2


async def test_a_runner_may_not_kill_another_persons_run(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        ts = await started_card(bot)

        await sandbox.human.click("#builds", ts, label="Kill", user="ben")

        await wait_for_private(bot, "not your run", "ben")
        assert not bot.services.kills


async def test_an_operator_by_user_group_may_kill_any_run(sandbox: Sandbox) -> None:
    roles = {Role.OPERATOR: (OPERATORS,), Role.RUNNER: ("*",)}
    members = sandbox.workspace.groups[OPERATORS].members
    operator = next(user for user in members if user != ADA)
    async with open_bot(sandbox, FakeServices(), roles=roles) as bot:
        ts = await started_card(bot)

        await sandbox.human.click("#builds", ts, label="Kill", user=operator)

        await bot.services.wait_until(lambda: bot.services.kills)
        [run] = bot.services.runs.values()
        assert run.user_id is not None
        assert bot.services.users[run.user_id].slack_user_id == ADA
        assert list(bot.services.kills) == [run.id]
        assert not bot.services.refusals


async def test_a_group_that_cannot_be_read_gives_no_role(sandbox: Sandbox) -> None:
    sandbox.faults.add("usergroups.users.list", "500", times=5)
    async with open_bot(sandbox, FakeServices(), roles={Role.RUNNER: (OPERATORS,)}) as bot:
        await sandbox.human.slash("#builds", "/workflow", "run builder x")

        await wait_for_private(bot, "no role", "ada")
        assert not bot.services.start_requests


async def test_an_allow_list_closes_other_channels(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices(), allowed_channels=frozenset({BUILDS})) as bot:
        await sandbox.human.slash("#general", "/workflow", "run builder x")
        await wait_for_private(bot, "[channels] allow", "ada")

        await sandbox.human.slash("#builds", "/workflow", "run builder x")

        await bot.services.wait_until(lambda: bot.services.start_requests)
        assert GENERAL not in {
            start.place.channel_id for start in bot.services.start_requests if start.place
        }


async def test_access_is_refused_while_slack_is_unreachable(sandbox: Sandbox) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        sandbox.faults.add("users.info", "500", times=3)

        await sandbox.human.slash("#builds", "/workflow", "run builder x")

        await wait_for_private(bot, "try again", "ada")
        assert not bot.services.start_requests


async def test_a_name_that_slack_does_not_know_is_an_error_with_that_name(
    sandbox: Sandbox,
) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        with pytest.raises(SlackRefused) as caught:
            await bot.slack.call("users.info", user="U0NOBODY")

        assert caught.value.name == "user_not_found"
