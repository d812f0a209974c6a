"""Which messages about alerts are drawn first: those in which something is not shown yet."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import pytest

from core.domain.drawables import DrawableKind, SlackMessage, SlackMessageState
from core.domain.runs.run import StopReason
from core.store.database.engine import Database
from core.store.slack import slack_messages
from tests.alerts.world import RUNNER, AlertWorld

pytestmark = pytest.mark.any_speed


async def draw(world: AlertWorld, key: str) -> None:
    """Record that the message was sent just now."""
    shown = SlackMessage(
        id=uuid4(),
        drawable_kind=DrawableKind.ALERT,
        thread_key=key,
        slot="alert",
        channel_id="C1",
        state=SlackMessageState.SHOWN,
        updated_at=world.now,
    )
    async with world.database.sessions.begin() as session:
        await slack_messages.save(session, shown)


async def test_a_message_is_urgent_until_what_happened_is_shown(database: Database) -> None:
    world = AlertWorld(database)
    await world.subscribe()
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    (message,) = await world.messages()
    key = str(message.group.id)
    assert await world.alerts.urgent([key]) == {key}

    world.now += timedelta(minutes=5)
    await draw(world, key)
    assert await world.alerts.urgent([key]) == frozenset()

    world.now += timedelta(minutes=5)
    await world.alerts.acknowledge([message.alerts[0].id], by=RUNNER)
    assert await world.alerts.urgent([key, str(uuid4()), "no id"]) == {key}
