"""A subscribed channel of the sandbox, with runs on real Postgres and a bot that draws."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

from bot.assembly.running_app import RunningApp
from bot.sandbox.slack.people import BUILDS
from core.domain.alerts.channels.subscription import Source, Subscription
from core.domain.alerts.kinds import AlertKind
from core.domain.drawables import DrawableKind
from core.domain.runs.activity.awaited import AwaitedKind
from core.domain.runs.run import Run
from core.store.database import leadership
from core.store.database.advisory_locks import AdvisoryLock
from core.store.database.engine import Database
from tests.alerts.world import RUNNER, AlertWorld
from tests.card import DEFAULT_TIMEOUT, Card
from tests.fakes.threads import bot_messages
from tests.harness import Harness, open_harness
from tests.limits import limit, patient


@dataclass
class AlertChannel:
    """The channel #builds, its subscription, and what is shown there.

    Attributes:
        world: Runs and evaluations; its clock begins at the present, like that of the bot.
    """

    harness: Harness
    world: AlertWorld = field(init=False)

    def __post_init__(self) -> None:
        """Begin at the present time."""
        self.world = AlertWorld(self.harness.database, now=datetime.now(UTC))

    async def subscribe(self, *kinds: AlertKind, **wishes: Any) -> Subscription:
        """Subscribe the channel."""
        wanted = Subscription(
            id=uuid4(),
            team_id=self.harness.sandbox.team_id,
            channel_id=BUILDS,
            source=Source.SLACK,
            created_at=self.world.now,
            kinds=frozenset(kinds),
            **wishes,
        )
        return await self.world.subscriptions.subscribe(wanted, by=RUNNER)

    async def silent_run(self, **fields: Any) -> Run:
        """A run whose build has been silent for twelve minutes."""
        present = self.world.now
        self.world.now = present - timedelta(minutes=12)
        run = await self.world.start(**fields)
        await self.world.hear(run, kind=AwaitedKind.TOOL, name="Bash: make test")
        self.world.now = present
        return run

    async def evaluate(self) -> None:
        """Look once, with a worker that reports."""
        await self.world.worker()
        # The bot's own clock may be looking at this moment.
        while not (await self.world.evaluate()).was_free:  # noqa: ASYNC110
            await asyncio.sleep(0.05)

    def messages(self) -> list[Card]:
        """What the bot has posted in the channel, without replies."""
        return [
            Card(self.harness.human, str(message["ts"]))
            for message in bot_messages(self.harness.sandbox)
        ]

    async def wait_for_messages(self, number: int = 1) -> Sequence[Card]:
        """Wait until the bot has posted so many messages."""
        return await self.harness.human.wait_for(
            lambda: found if len(found := self.messages()) == number else None,
            timeout=patient(DEFAULT_TIMEOUT),
            what=f"{number} messages about alerts",
        )

    async def only_message(self) -> Card:
        """The one message about alerts, once it is there."""
        return (await self.wait_for_messages())[0]

    async def wait_until_drawn(self) -> None:
        """Wait until everything shows the state of its rows."""
        drawables = self.harness.backend.drawables
        async with limit(DEFAULT_TIMEOUT):
            # The database does not tell what was drawn, so it is polled.
            while await drawables.outdated(  # noqa: ASYNC110
                team_id=self.harness.sandbox.team_id,
                kinds=[DrawableKind.ALERT, DrawableKind.DIGEST],
            ):
                await asyncio.sleep(0.05)

    async def evaluate_and_draw(self) -> None:
        """Look once, and wait until that is shown."""
        await self.evaluate()
        await self.wait_until_drawn()

    async def end_silence(self, run: Run) -> None:
        """Let the run be heard of, which ends its alert."""
        await self.world.hear(run)
        await self.evaluate_and_draw()

    def slots(self) -> dict[str, int]:
        """How many messages there are of each slot, without the part after a colon."""
        found: dict[str, int] = {}
        for message in self.harness.sandbox.workspace.messages.get(BUILDS, {}).values():
            payload = (message.get("metadata") or {}).get("event_payload", {})
            if payload.get("kind") == DrawableKind.ALERT:
                slot = str(payload["slot"]).partition(":")[0]
                found[slot] = found.get(slot, 0) + 1
        return found


@pytest.fixture
async def channel(database: Database, tmp_path: Path) -> AsyncIterator[AlertChannel]:
    """The channel, with a bot over Socket Mode and without a worker."""
    async with open_harness(database, tmp_path / "home", transport="socket") as harness:
        yield AlertChannel(harness)
        await harness.settle()


@asynccontextmanager
async def serving(channel: AlertChannel) -> AsyncIterator[RunningApp]:
    """Run the bot, but not its clock: the test evaluates, at its own times."""
    dsn = channel.harness.database.dsn
    async with (
        leadership.leadership(dsn, AdvisoryLock.SCHEDULER),
        channel.harness.serving(runs_worker=False) as running,
    ):
        yield running
