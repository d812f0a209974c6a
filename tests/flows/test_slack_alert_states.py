"""What alerts tell and do not tell: a rising severity, an explained silence, a mute, a newcomer."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from core.domain.alerts.kinds import AlertKind
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.run import StopReason
from tests.alerts.channel import AlertChannel, channel, serving
from tests.card import Card

__all__ = ["channel"]

CALLED = "<!subteam^S0614TZR7>"


async def the_list(channel: AlertChannel, title: str) -> Card:
    """The message that lists alerts, among what else the bot has said in the channel."""
    return await channel.harness.human.wait_for(
        lambda: next((one for one in channel.messages() if title in one.text), None), what=title
    )


async def test_a_severity_that_rises_is_edited_and_called_out(channel: AlertChannel) -> None:
    await channel.subscribe(AlertKind.BUDGET, mention=CALLED)
    world = channel.world
    async with serving(channel):
        run = await world.start(budget_usd=Decimal(5))
        await world.hear(run)
        await world.change(run, cost_usd=Decimal("4.10"))
        await channel.evaluate()
        message = await channel.only_message()
        await message.wait_for_text("Budget nearly used up")
        assert message.replies == []

        await world.change(run, cost_usd=Decimal("5.20"))
        await channel.evaluate_and_draw()

        assert "Budget used up" in message.text
        assert CALLED in await message.wait_for_reply("Now critical")
    assert channel.slots() == {"alert": 1, "history": 1, "raised": 1}


async def test_a_lost_worker_explains_the_silence_of_its_run(channel: AlertChannel) -> None:
    await channel.subscribe(AlertKind.STALLED, AlertKind.WORKER_LOST)
    world = channel.world
    async with serving(channel):
        world.now -= timedelta(minutes=12)
        await world.worker("w1")
        run = await world.start()
        await world.hear(run, kind=AwaitedKind.TOOL, name="Bash: make test")
        world.wait(minutes=12)
        await world.worker("w2")
        await world.evaluate()
        message = await channel.only_message()
        assert "Worker lost" in await message.wait_for_text("w1")

        # It was only cut off; what it still does not hear of its run is now told.
        for _ in range(5):
            world.wait(seconds=10)
            await world.worker("w1")
            await world.worker("w2")
            await world.evaluate()
        _, silent = await channel.wait_for_messages(2)
        await channel.wait_until_drawn()

        assert "`make test`" in silent.text
        assert "resolved after" in message.text


async def test_what_fired_in_a_mute_and_is_open_is_told_at_its_end(channel: AlertChannel) -> None:
    await channel.subscribe(AlertKind.FAILED, AlertKind.STALLED)
    world, harness = channel.world, channel.harness
    async with serving(channel):
        await harness.command("alerts mute 1h", user="ben")
        told = await harness.wait_for_private("Muted until", user="ben")
        assert "What is open at its end is told then." in told
        heard = await channel.silent_run(task_input="Be silent for a while")
        await channel.evaluate()
        await world.hear(heard)
        for number in (1, 2):
            await world.ended_run(StopReason.AGENT_ERROR, task_input=f"Task {number}")
        world.wait(minutes=30)
        await channel.evaluate_and_draw()
        assert channel.slots() == {}

        world.wait(minutes=31)
        await world.hear(heard)
        await channel.evaluate()
        message = await the_list(channel, "2 alerts from the time of the mute")
        await channel.evaluate_and_draw()

        assert "Task 1" in message.text
        assert "Task 2" in message.text
        assert "Be silent" not in message.text
        await message.press("Acknowledge all", user="ben")
        await message.wait_for_text("acknowledged by ben")
    assert channel.slots()["alert"] == 1


async def test_a_new_subscription_lists_what_is_open_and_edits_that(channel: AlertChannel) -> None:
    world, harness = channel.world, channel.harness
    async with serving(channel):
        run = await channel.silent_run(task_input="Be silent")
        failed = await world.ended_run(StopReason.AGENT_ERROR, task_input="Fail")
        await channel.evaluate()

        await harness.command("alerts subscribe usual", user="ben")
        await harness.wait_for_private("Subscribed (number 1)", user="ben")
        message = await the_list(channel, "2 alerts from before the subscription")
        assert "2 of 2 open" in message.text
        world.wait(minutes=1)
        await world.hear(run)
        await world.start(parent_run_id=failed.id, session_id=failed.session_id)
        await channel.evaluate_and_draw()

        assert "resolved after" in message.text
        assert "none of them is open any more" in message.text
    assert channel.slots() == {"alert": 1, "history": 1}
