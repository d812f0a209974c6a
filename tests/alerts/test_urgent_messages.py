"""Which messages about alerts are drawn first: those in which something happened unseen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from core.domain.alerts.kinds import AlertKind
from core.domain.drawables import DrawableKind, SlackMessage, SlackMessageState
from core.domain.runs.run import StopReason
from core.services.alerts.alerts import UNSHOWN_GRACE
from core.store.database.engine import Database
from core.store.slack import slack_messages
from tests.alerts.world import RUNNER, AlertWorld

pytestmark = pytest.mark.any_speed


async def send(world: AlertWorld, group_id: str) -> None:
    """Record that the message was sent just now."""
    row = SlackMessage(
        id=uuid4(),
        drawable_kind=DrawableKind.ALERT,
        thread_key=group_id,
        slot="alert",
        channel_id="C1",
        state=SlackMessageState.SHOWN,
        updated_at=world.now,
    )
    await slack_messages.save(world.database.reads, row)


async def test_a_message_is_urgent_until_what_happened_is_shown(database: Database) -> None:
    world = AlertWorld(database)
    await world.worker()
    await world.subscribe(kinds=frozenset({AlertKind.FAILED}))
    await world.ended_run(StopReason.AGENT_ERROR)
    await world.evaluate()
    [message] = await world.messages()
    group_id = str(message.group.id)

    assert await world.alerts.urgent([group_id]) == {group_id}
    world.now += UNSHOWN_GRACE + timedelta(seconds=1)
    await send(world, group_id)
    assert await world.alerts.urgent([group_id]) == frozenset()
    await world.alerts.acknowledge([message.alerts[0].id], by=replace(RUNNER, name="ben"))
    assert await world.alerts.urgent([group_id, str(uuid4()), "x"]) == {group_id}
    assert await world.alerts.urgent([]) == frozenset()
