"""Digests in the sandbox over real protocols: once at their time, with charts or without."""

from __future__ import annotations

import struct
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from bot.slack.views.blocks import CHART
from core.domain.alerts.channels.subscription import DigestPeriod
from core.domain.alerts.kinds import AlertKind
from core.domain.runs.run import CostSource, StopReason
from core.services.alerts.digests import DigestService
from tests.alerts.channel import AlertChannel, channel, serving

__all__ = ["channel"]


async def a_day_of_runs(channel: AlertChannel) -> datetime:
    """Subscribe the channel to a daily digest, let runs end; the time at which it is due."""
    world = channel.world
    due = world.now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=2)
    await channel.subscribe(
        AlertKind.KILLED, digest=DigestPeriod.DAILY, digest_hour=due.hour, mention="<@U024BE7LH>"
    )
    for cost in ("0.25", "1.25"):
        run = await world.start(task_input=f"Spend ${cost}")
        world.wait(minutes=10)
        await world.finish(run, cost_usd=Decimal(cost), cost_source=CostSource.REPORTED)
    await world.ended_run(StopReason.AGENT_ERROR, workflow_name="review")
    return due


def blocks_of(channel: AlertChannel, kind: str) -> list[dict[str, Any]]:
    """The blocks of a type in the one message."""
    [message] = channel.messages()
    return [block for block in message.messages[0]["blocks"] if block["type"] == kind]


async def test_a_digest_comes_once_at_its_time_with_a_chart(channel: AlertChannel) -> None:
    due = await a_day_of_runs(channel)
    world = channel.world
    digests = DigestService(world.context)
    async with serving(channel):
        world.now = due - timedelta(seconds=1)
        assert await digests.write_due() == 0
        world.now = due
        assert [await digests.write_due() for _ in range(3)] == [1, 0, 0]

        message = await channel.only_message()
        await channel.wait_until_drawn()

        assert "3 runs ended" in message.text
        assert "$1.50 reported by 2 runs" in message.text
        assert "Failures by workflow" in message.text
        assert "Spend $0.25" in message.text
        # What happened is no news that calls somebody.
        assert "U024BE7LH" not in str(message.messages[0]["blocks"])
        # Who sees the chart needs no picture of it.
        assert pictures(channel) == []
        [chart] = blocks_of(channel, CHART)
        now, before = chart["chart"]["series"]
        assert {point["label"]: point["value"] for point in now["data"]} == {
            "Completed": 2,
            "To look at": 0,
            "Unfinished": 1,
            "Killed": 0,
        }
        assert {point["value"] for point in before["data"]} == {0}

        world.now = due + timedelta(days=1)
        assert await digests.write_due() == 1
        _, second = await channel.wait_for_messages(2)
        assert "No run ended" in second.text


def pictures(channel: AlertChannel) -> list[dict[str, Any]]:
    """The files in the thread of the one digest."""
    [thread] = channel.messages()
    return [file for message in thread.messages[1:] for file in message.get("files", ())]


async def test_a_slack_that_refuses_charts_gets_their_numbers_in_words_and_pictures(
    channel: AlertChannel, caplog: pytest.LogCaptureFixture
) -> None:
    due = await a_day_of_runs(channel)
    world = channel.world
    channel.harness.sandbox.gate.unknown_blocks = frozenset({CHART})
    async with serving(channel):
        world.now = due
        await DigestService(world.context).write_due()
        message = await channel.only_message()
        await channel.wait_until_drawn()

        assert "3 runs ended" in message.text
        assert blocks_of(channel, CHART) == []
        assert "Completed: this day 2, the day before 0" in message.text
        assert "Unfinished: this day 1, the day before 0" in message.text
        [picture] = pictures(channel)
        assert (picture["name"], picture["mimetype"]) == ("chart-1.png", "image/png")
        assert picture["title"] == "Ended runs by outcome"
        assert "Completed, To look at, Unfinished, Killed" in picture["alt_txt"]
        content = channel.harness.sandbox.workspace.files[picture["id"]].content
        assert content is not None
        width, height = struct.unpack(">II", content[16:24])
        assert (width > 1000, height > 400) == (True, True)
    # A bot that starts again shows nothing twice.
    async with serving(channel):
        await channel.wait_until_drawn()
        assert len(pictures(channel)) == 1
    assert "message_content.refused" in {getattr(one, "event", "") for one in caplog.records}


@pytest.mark.sampled(1)
@pytest.mark.parametrize("fault", ["lost_answer", "429", "500"])
async def test_an_upload_that_goes_wrong_leads_to_one_picture(
    channel: AlertChannel, fault: str
) -> None:
    due = await a_day_of_runs(channel)
    channel.harness.sandbox.gate.unknown_blocks = frozenset({CHART})
    channel.harness.sandbox.faults.add("files.completeUploadExternal", fault)
    async with serving(channel):
        channel.world.now = due
        await DigestService(channel.world.context).write_due()

        await channel.only_message()
        await channel.wait_until_drawn()

        assert len(pictures(channel)) == 1


@pytest.mark.sampled(1)
@pytest.mark.parametrize("fault", ["lost_answer", "429", "500"])
async def test_a_post_that_goes_wrong_leads_to_one_digest(
    channel: AlertChannel, fault: str
) -> None:
    due = await a_day_of_runs(channel)
    channel.harness.sandbox.faults.add("chat.postMessage", fault)
    async with serving(channel):
        channel.world.now = due
        await DigestService(channel.world.context).write_due()

        await channel.wait_until_drawn()

        assert "3 runs ended" in (await channel.only_message()).text
