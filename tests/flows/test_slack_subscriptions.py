"""`/workflow alerts` over Slack's protocols: commands, buttons, the form, and ends of channels."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from bot.sandbox.slack.people import ADA, BUILDS, OPERATORS
from bot.sandbox.slack.server import Sandbox
from core.domain.alerts.channels.subscription import Subscription
from core.domain.alerts.kinds import AlertKind
from tests.fakes.bot import RunningBot, open_bot
from tests.fakes.services import FakeServices
from tests.sandbox import sandbox

__all__ = ["sandbox"]


@pytest_asyncio.fixture(params=["socket", "http"])
async def bot(request: pytest.FixtureRequest, sandbox: Sandbox) -> AsyncIterator[RunningBot]:
    async with open_bot(sandbox, FakeServices(), transport=str(request.param)) as opened:
        yield opened
        await sandbox.wait_until_idle()


async def alerts(bot: RunningBot, text: str, *, channel: str = "#builds", user: str = "ada") -> str:
    """Type `/workflow alerts …`; the next private answer."""
    human = bot.sandbox.human
    before = len(human.ephemerals(user))
    answer = await human.slash(channel, "/workflow", f"alerts {text}", user=user)
    assert answer.ok
    found = await human.wait_for(lambda: human.ephemerals(user)[before:], what=f"answer to {text}")
    return human.text(found[0])


async def wait_for_private(bot: RunningBot, words: str, user: str = "ada") -> dict[str, Any]:
    human = bot.sandbox.human
    return await human.wait_for(
        lambda: next((m for m in human.ephemerals(user) if words in human.text(m)), None),
        what=words,
    )


async def wait_for_post(bot: RunningBot, words: str, channel: str = "#builds") -> str:
    """A message that everybody in a channel sees, once it exists."""
    human = bot.sandbox.human
    return await human.wait_for(
        lambda: next(
            (text for m in human.messages(channel) if words in (text := human.text(m))), None
        ),
        what=words,
    )


async def open_form(bot: RunningBot, text: str = "subscribe", *, user: str = "ada") -> Any:
    await bot.sandbox.human.slash("#builds", "/workflow", f"alerts {text}", user=user)
    return await bot.sandbox.human.wait_for(lambda: bot.sandbox.human.modal(user), what="the form")


def only(bot: RunningBot) -> Subscription:
    (found,) = bot.subscriptions.kept.values()
    return found


async def test_a_command_subscribes_the_channel_and_everybody_sees_who_did(
    bot: RunningBot,
) -> None:
    answer = await alerts(
        bot,
        "subscribe failed stalled workflow=implement severity>=warning for 15m "
        "mention=@operators quiet=22:00-07:00 tz=Europe/Berlin",
    )

    made = only(bot)
    assert "Subscribed (number 1)" in answer
    assert (made.channel_id, made.kinds) == (
        BUILDS,
        frozenset({AlertKind.FAILED, AlertKind.STALLED}),
    )
    assert made.filter.workflow == "implement"
    assert made.mention == f"<!subteam^{OPERATORS}>"
    assert str(made.quiet_hours) == "22:00-07:00"
    public = await wait_for_post(bot, "subscribed this channel to alerts")
    assert f"<@{ADA}>" in public
    assert "subteam" not in public


async def test_a_group_that_slack_did_not_mark_is_looked_up(bot: RunningBot) -> None:
    await bot.sandbox.human.say("#builds", "@signalbox alerts subscribe failed mention=operators")

    await wait_for_private(bot, "Subscribed (number 1)")

    assert only(bot).mention == f"<!subteam^{OPERATORS}>"


async def test_the_same_subscription_again_changes_nothing(bot: RunningBot) -> None:
    await alerts(bot, "subscribe failed")
    await wait_for_post(bot, "subscribed this channel")

    again = await alerts(bot, "subscribe failed")

    assert "exactly that subscription already" in again
    assert len(bot.subscriptions.kept) == 1
    assert len(bot.sandbox.human.messages("#builds")) == 1


async def test_the_time_zone_is_that_of_the_person(bot: RunningBot) -> None:
    await alerts(bot, "subscribe failed quiet=22-7")

    assert only(bot).time_zone == "Etc/UTC"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("subscribe bogus", "There is no kind of alert `bogus`"),
        ("subscribe failed mention=@nobody", "There is no user group `@nobody`"),
        ("subscribe failed workflow=nonsense", "`/workflow workflows`"),
        ("subscribe failed for=soon", "`for=15m`"),
        ("edit 3", "`/workflow alerts list`"),
        ("unsubscribe 3", "`/workflow alerts list`"),
        ("unsubscribe x", "needs the number"),
        ("mute", "`/workflow alerts mute 2h`"),
        ("frobnicate", "`/workflow help alerts`"),
        ("test bogus", "There is no kind of alert `bogus`"),
        ("help", "*Kinds*"),
    ],
)
async def test_every_error_says_what_to_type(sandbox: Sandbox, text: str, words: str) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        await alerts(bot, "subscribe failed")

        assert words in await alerts(bot, text)

        assert len(bot.subscriptions.kept) == 1
        await sandbox.wait_until_idle()


@pytest.mark.parametrize("text", ["list", "edit", "unsubscribe", "unsubscribe all"])
async def test_without_a_subscription_it_is_said_how_to_make_one(
    sandbox: Sandbox, text: str
) -> None:
    async with open_bot(sandbox, FakeServices()) as bot:
        assert "`/workflow alerts subscribe usual`" in await alerts(bot, text)
        await sandbox.wait_until_idle()


async def test_a_mute_without_a_subscription_is_refused(bot: RunningBot) -> None:
    assert "There is no such subscription" in await alerts(bot, "mute 2h")


async def test_a_channel_is_muted_and_told_again(bot: RunningBot) -> None:
    await alerts(bot, "subscribe failed")

    muted = await alerts(bot, "mute 2h")
    listed = await alerts(bot, "list")
    unmuted = await alerts(bot, "mute off")

    assert "not even of critical alerts" in muted
    assert "🔕" in listed
    assert "told here again" in unmuted
    await wait_for_post(bot, "muted alerts in this channel until")
    await wait_for_post(bot, "ended the mute")


async def test_subscriptions_are_ended_by_number_and_all_at_once(bot: RunningBot) -> None:
    for text in ("failed", "stalled", "killed"):
        await alerts(bot, f"subscribe {text}")

    one = await alerts(bot, "unsubscribe 2")
    assert "`stalled`" in one
    assert "2 subscriptions left" in one
    rest = await alerts(bot, "unsubscribe all")

    assert "Ended 2 subscriptions" in rest
    assert not bot.subscriptions.kept
    await wait_for_post(bot, "ended subscriptions of this channel to alerts: `stalled`")


async def test_which_one_to_end_is_asked_with_buttons(bot: RunningBot) -> None:
    for text in ("failed", "stalled"):
        await alerts(bot, f"subscribe {text}")

    await alerts(bot, "unsubscribe")
    question = await wait_for_private(bot, "Which subscription shall I end?")
    assert len(bot.subscriptions.kept) == 2
    buttons = [block for block in question["blocks"] if "accessory" in block]
    assert len(buttons) == 2
    await press(bot, question, row=1)

    await wait_for_private(bot, "Ended 1 subscription")
    assert only(bot).kinds == {AlertKind.FAILED}


async def press(bot: RunningBot, message: dict[str, Any], *, row: int) -> None:
    """Press the button of one row of a list."""
    rows = [block for block in message["blocks"] if "accessory" in block]
    only_row = {**message, "blocks": [rows[row]]}
    message["blocks"][:] = only_row["blocks"]
    await bot.sandbox.human.click(
        "#builds", str(message["ts"]), label=rows[row]["accessory"]["text"]["text"]
    )
