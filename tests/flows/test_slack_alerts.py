"""Alerts in the sandbox over real protocols: one alert is one message, as long as it lasts."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from core.domain.alerts.channels.quiet_hours import QuietHours
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import StopReason
from core.store.database.engine import Database
from tests.alerts.channel import AlertChannel, channel, serving
from tests.harness import CONFIG, open_harness

__all__ = ["channel"]

VIEWERS = """
[roles]
viewer = ["*"]
"""


async def test_an_alert_is_one_message_from_its_begin_to_its_end(channel: AlertChannel) -> None:
    await channel.subscribe(AlertKind.STALLED)
    async with serving(channel):
        run = await channel.silent_run()
        await channel.evaluate()
        message = await channel.only_message()
        opened = await message.wait_for_text("`make test` has been running for 10 min")
        assert "Nothing is heard of a run" in opened
        assert message.replies == []

        await message.press("Acknowledge", user="ben")
        await message.wait_for_text("acknowledged by ben")
        channel.world.wait(minutes=1)
        await channel.end_silence(run)

        assert "resolved after 1" in message.text
        assert message.labels == []
        [history] = message.replies
        assert "Acknowledged by ben" in history
        assert "Resolved after 1" in history
    assert channel.slots() == {"alert": 1, "history": 1}


async def test_a_snooze_that_ends_while_it_lasts_is_told_in_a_reply(
    channel: AlertChannel,
) -> None:
    await channel.subscribe(AlertKind.STALLED, mention="<!subteam^S0614TZR7>")
    async with serving(channel):
        await channel.silent_run()
        await channel.evaluate()
        message = await channel.only_message()

        await message.press("Snooze 1 h")
        await message.wait_for_text("snoozed until")
        channel.world.wait(minutes=59)
        await channel.evaluate_and_draw()
        assert "it still lasts" not in "".join(message.replies)
        channel.world.wait(minutes=2)
        await channel.evaluate_and_draw()

        reply = await message.wait_for_reply("The snooze has ended, and it still lasts")
        assert "<!subteam^S0614TZR7>" in reply
    assert channel.slots() == {"alert": 1, "history": 1, "woken": 1}


async def test_still_fine_leaves_a_silent_run_alone_for_half_an_hour(
    channel: AlertChannel,
) -> None:
    await channel.subscribe(AlertKind.STALLED)
    async with serving(channel):
        await channel.silent_run()
        await channel.evaluate()
        message = await channel.only_message()

        await message.press("Still fine", user="ben")
        await message.wait_for_reply("Still fine, says ben")

        assert "snoozed until" in message.text
        assert "Still fine" not in message.labels


async def test_runs_that_fail_together_share_a_message(channel: AlertChannel) -> None:
    await channel.subscribe(AlertKind.FAILED)
    async with serving(channel):
        for number in (1, 2):
            await channel.world.ended_run(StopReason.AGENT_ERROR, task_input=f"Task {number}")
        await channel.evaluate()
        message = await channel.only_message()
        await message.wait_for_text("2 runs failed")
        channel.world.wait(minutes=2)
        await channel.world.ended_run(StopReason.AGENT_ERROR, task_input="Task 3")
        await channel.evaluate_and_draw()

        assert "3 runs failed" in await message.wait_for_text("Task 3")
        assert "1 more run failed" in await message.wait_for_reply("Task 3")
        await message.press("Acknowledge all", user="ben")
        await message.wait_for_text("acknowledged by ben")
        await channel.wait_until_drawn()
        assert message.text.count("acknowledged by ben") == 3
    assert channel.slots() == {"alert": 1, "joined": 1, "history": 1}


async def test_what_happened_in_quiet_hours_is_one_message_after_them(
    channel: AlertChannel,
) -> None:
    now = channel.world.now
    hours = QuietHours(
        start=(now - timedelta(hours=1)).time().replace(second=0, microsecond=0),
        end=(now + timedelta(hours=1)).time().replace(second=0, microsecond=0),
        time_zone="UTC",
    )
    await channel.subscribe(AlertKind.FAILED, AlertKind.ATTENTION, quiet_hours=hours)
    async with serving(channel):
        for number in (1, 2):
            await channel.world.ended_run(StopReason.AGENT_ERROR, task_input=f"Task {number}")
        await channel.evaluate_and_draw()
        assert channel.messages() == []

        channel.world.wait(hours=1)
        await channel.evaluate()

        message = await channel.only_message()
        assert "2 alerts during quiet hours" in message.text
        assert "Task 1" in message.text
        assert "Task 2" in message.text


async def test_the_end_is_shown_in_the_channel_where_that_is_wanted(
    channel: AlertChannel,
) -> None:
    await channel.subscribe(AlertKind.STALLED, broadcasts=True)
    async with serving(channel):
        run = await channel.silent_run()
        await channel.evaluate()
        await channel.only_message()
        channel.world.wait(minutes=1)
        await channel.end_silence(run)

        _, ended = await channel.wait_for_messages(2)
        shown = channel.harness.human.text(channel.harness.human.messages("#builds")[-1])
        assert "Resolved after 1" in shown
        assert ended.ts != channel.messages()[0].ts


async def test_a_restarted_bot_goes_on_with_the_same_message(channel: AlertChannel) -> None:
    await channel.subscribe(AlertKind.STALLED)
    async with serving(channel):
        run = await channel.silent_run()
        await channel.evaluate()
        message = await channel.only_message()
        await channel.wait_until_drawn()
    channel.world.wait(minutes=1)
    await channel.world.hear(run)
    await channel.evaluate()

    async with serving(channel):
        await channel.wait_until_drawn()

    assert "resolved after 1" in message.text
    assert channel.slots() == {"alert": 1, "history": 1}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("fault", ["lost_answer", "429", "500"])
async def test_a_post_that_goes_wrong_leads_to_one_message(
    channel: AlertChannel, fault: str
) -> None:
    await channel.subscribe(AlertKind.STALLED)
    channel.harness.sandbox.faults.add("chat.postMessage", fault)
    async with serving(channel):
        await channel.silent_run()
        await channel.evaluate()
        await channel.only_message()
        await channel.wait_until_drawn()

    assert channel.slots() == {"alert": 1}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("fault", ["lost_answer", "429", "500"])
async def test_an_update_that_goes_wrong_is_repeated(channel: AlertChannel, fault: str) -> None:
    await channel.subscribe(AlertKind.STALLED)
    async with serving(channel):
        run = await channel.silent_run()
        await channel.evaluate()
        message = await channel.only_message()
        await channel.wait_until_drawn()
        channel.harness.sandbox.faults.add("chat.update", fault)
        channel.world.wait(minutes=1)

        await channel.end_silence(run)

        assert "resolved after 1" in message.text
    assert channel.slots() == {"alert": 1, "history": 1}


async def test_a_press_on_an_alert_that_has_ended_is_answered_privately(
    channel: AlertChannel,
) -> None:
    await channel.subscribe(AlertKind.STALLED)
    async with serving(channel):
        run = await channel.silent_run()
        await channel.evaluate()
        message = await channel.only_message()
        seen = message.screenshot()
        await channel.end_silence(run)

        await message.press_stale(seen, "Acknowledge", user="ben")

        told = await channel.harness.wait_for_private("already ended", user="ben")
        assert "resolved after" in told
        assert "acknowledged" not in message.text


async def test_pressing_twice_is_harmless(channel: AlertChannel) -> None:
    await channel.subscribe(AlertKind.FAILED)
    async with serving(channel):
        await channel.world.ended_run(StopReason.AGENT_ERROR)
        await channel.evaluate()
        message = await channel.only_message()
        seen = message.screenshot()
        for _ in range(2):
            await message.press_stale(seen, "Acknowledge", user="ben")
        await channel.harness.sandbox.wait_until_idle()
        await message.wait_for_reply("Acknowledged by ben")
        await channel.wait_until_drawn()

        assert "".join(message.replies).count("Acknowledged by ben") == 1
        assert channel.harness.private_messages("ben") == []


async def test_a_viewer_is_told_who_may_acknowledge(database: Database, tmp_path: Path) -> None:
    config = f"{CONFIG}\n{VIEWERS}"
    async with open_harness(
        database, tmp_path / "home", transport="http", config=config
    ) as harness:
        channel = AlertChannel(harness)
        await channel.subscribe(AlertKind.STALLED)
        async with serving(channel):
            await channel.silent_run()
            await channel.evaluate()
            message = await channel.only_message()
            for label in ("Still fine", "Acknowledge", "Snooze until 9:00"):
                await message.press(label, user="ben")
                await harness.wait_for_private(
                    "Only people with the role runner can acknowledge and snooze alerts",
                    user="ben",
                )
                harness.sandbox.workspace.ephemerals.clear()
            await channel.wait_until_drawn()

            assert "acknowledged" not in message.text
            assert "snoozed" not in message.text
